"""The class decorators of nodes: dataclass(frozen=True, slots=True), made in a quarter of the time.

A compiler that starts in a tenth of a second cannot spend a third of it on making its node classes; instances are
made quicker too. `dataclasses.fields` and `replace` work on the classes as on any dataclass.
"""

from __future__ import annotations

from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from inspect import get_annotations
from operator import attrgetter
from typing import Any, TypeVar, cast, dataclass_transform

T = TypeVar("T")


class Frozen:
    """What nodes have in common: they cannot be changed, they can be shown and pickled."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __getstate__(self) -> list[Any]:
        return [getattr(self, f.name) for f in fields(self)]  # type: ignore[arg-type]

    def __setstate__(self, state: list[Any]) -> None:
        for f, value in zip(fields(self), state, strict=True):  # type: ignore[arg-type]
            object.__setattr__(self, f.name, value)


@dataclass_transform(eq_default=False, frozen_default=True, field_specifiers=(field,))
def node(kind: type[T]) -> type[T]:
    """Makes a node class, whose base is Frozen or another node: slotted, compared by identity."""
    return cast("type[T]", _slotted(kind, kind.__bases__))


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(kind: type[T]) -> type[T]:
    """Makes a class without bases: frozen, slotted, compared by its fields (but those with compare=False)."""
    made = _slotted(kind, (Frozen,))
    compared = [f.name for f in fields(made) if f.compare]
    parts = attrgetter(*compared) if compared else _nothing

    def same(self: Any, other: object) -> bool:
        return bool(parts(self) == parts(other)) if self.__class__ is other.__class__ else NotImplemented

    def digest(self: Any) -> int:
        return hash((made, parts(self)))

    made.__eq__, made.__hash__ = same, digest
    return cast("type[T]", made)


def _nothing(node: object) -> None:
    """What nodes without fields are compared by."""


def _slotted(kind: type, bases: tuple[type, ...]) -> Any:
    kind.__doc__ = kind.__doc__ or kind.__name__  # or dataclass would work out a signature for it
    plain: type = dataclass(init=False, repr=False, eq=False)(kind)
    own = list(get_annotations(kind))
    left_out = {*own, "__dict__", "__weakref__"}
    namespace = {name: value for name, value in vars(plain).items() if name not in left_out}
    made: Any = type(kind)(kind.__name__, bases, {**namespace, "__slots__": tuple(own)})
    made.__qualname__ = kind.__qualname__
    made.__init__ = _initializer(made)
    return made


def _initializer(made: type) -> Any:
    """`def __init__(self, a, b=..., *, span=...)`, which stores by the slots' own descriptors."""
    scope: dict[str, Any] = {}
    positional: list[str] = ["self"]
    by_name: list[str] = []
    body = [" pass"]
    for f in fields(made):
        scope[f"_set_{f.name}"] = getattr(made, f.name).__set__
        text = f.name
        if f.default is not MISSING:
            scope[f"_default_{f.name}"] = f.default
            text = f"{f.name}=_default_{f.name}"
        (by_name if f.kw_only else positional).append(text)
        body.append(f" _set_{f.name}(self, {f.name})")
    star = ["*", *by_name] if by_name else []
    exec(f"def __init__({', '.join(positional + star)}):\n" + "\n".join(body), scope)
    return scope["__init__"]
