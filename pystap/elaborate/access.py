"""What target expressions mean at one site: TargetVar, Cast, AtVar, Entry, @defined -> accesses, saved values, texts.

What is not there is left in the tree with its reason in `failures`: it is an error only where it survives the removal
of unused code.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pystap.debuginfo.api import DebugInfo, Scope
from pystap.debuginfo.ctype import CType, Enum, spell, strip
from pystap.diagnostics import Unresolved, similar_names
from pystap.elaborate import pretty
from pystap.elaborate.entered import Entered
from pystap.elaborate.rebuild import with_fields
from pystap.elaborate.targetvars import Path, Place, cast_root, space_of
from pystap.elaborate.tokens import token
from pystap.ir import nodes as ir
from pystap.options import Options
from pystap.providers.base import TextValue
from pystap.syntax import ast
from pystap.syntax.walk import walk

if TYPE_CHECKING:
    from pystap.target import Target

Fold = Callable[[Any], Any]
_WRITE = "write to target variable not permitted; need stap -g"
_SHOWN = 5  # names that may have been meant


@dataclass(frozen=True, slots=True)
class Confusion:
    """A `$x` in a return probe: its span, and how it is spelt."""

    span: Any
    text: str


@dataclass(slots=True)
class Access:
    """The resolver of one site (fold.Resolver)."""

    scope: Scope | None
    target_: Target | None
    options: Options
    home: str = "kernel"  # where @cast and @var look without a module argument
    is_return: bool = False
    instead: str = ""  # what to write at a site without a scope
    texts: Mapping[str, str] = field(default_factory=dict)  # by name: "$name" for $$name
    values: Mapping[str, TextValue] = field(default_factory=dict)  # by name: "value" for $value
    copy: Callable[[ast.Call, Access, Fold], ast.Call] | None = None  # of functions with $variables, for this site
    is_global: Callable[[str, bool], bool] | None = None  # symbols.Namespace's; None: no name is known to be one
    failures: dict[ast.Node, Unresolved] = field(default_factory=dict)
    outcomes: list[Hashable] = field(default_factory=list)  # what was decided, for sharing of equal bodies
    entry: list[ast.Expr] = field(default_factory=list)
    confusions: list[Confusion] = field(default_factory=list)
    enum_names: dict[str, CType] = field(default_factory=dict)  # synthetic functions that @enumname needs
    entered: Entered | None = None
    _at_entry: bool = False
    _saved: dict[Hashable, int] = field(default_factory=dict)

    # --- fold.Resolver -----------------------------------------------------------------------------

    def target(self, node: Any, fold: Fold) -> ast.Expr:
        """The replacement of a target expression, or the node itself with its failure noted."""
        try:
            new: ast.Expr = self._resolve(node, fold)
        except Unresolved as failure:
            unresolved: ast.Expr = self._failed(node, failure)
            return unresolved
        if self.entered is None:
            self.entered = Entered(getattr(self.scope, "activation", lambda: None))
        new = self.entered.replaced(new)
        self.outcomes.append(_outcome(new))
        return new

    def defined(self, node: ast.Defined, fold: Fold) -> ast.Expr:
        """1 where the operand resolves, else 0."""
        mark = len(self.outcomes), len(self.entry), len(self.confusions), dict(self.failures)
        folded = fold(node.operand)
        # What is left for autocast to resolve counts as defined.
        unresolved = any(n in self.failures for n in walk(folded))
        del self.outcomes[mark[0] :], self.entry[mark[1] :], self.confusions[mark[2] :]
        self._saved = {key: k for key, k in self._saved.items() if k < len(self.entry)}
        self.failures = mark[3]
        value = int(not unresolved)
        self.outcomes.append(value)
        return ast.Number(value, span=node.span)

    def kept(self) -> Iterator[Hashable]:
        """What the values kept at the entry are; of other expressions than targets, `outcomes` has the targets."""
        for value in self.entry:
            outcome = _outcome(value)
            yield None if isinstance(outcome, tuple) and outcome[0] == "node" else outcome

    def called(self, node: ast.Call, fold: Fold) -> ast.Expr:
        """The call itself, or one of this site's copy of a function with $variables."""
        return node if self.copy is None else self.copy(node, self, fold)

    def assigned(self, node: Any, fold: Fold) -> Any:
        """An assignment to a target expression: allowed in guru mode, its value unchanged."""
        value = fold(node.value) if isinstance(node, ast.Assign) else None
        text = self._own_text(node.target)
        if text is not None:
            return self._text_assigned(node, text, value)
        if not self.options.guru:
            self._failed(node.target, Unresolved(_WRITE, span=node.target.span))
            target: Any = node.target
        elif self.is_return and not _is_result(node.target):
            self._failed(node.target, Unresolved("write to target variable not permitted in .return probes"))
            target = node.target
        else:
            target = self.target(node.target, fold)
        changes = {"target": target} if value is None else {"target": target, "value": value}
        return with_fields(node, changes)

    def _text_assigned(self, node: Any, text: TextValue, value: Any) -> Any:
        functions = {"=": text.replace, ".=": text.extend}
        name = functions.get(node.operator, "")
        if not name:
            reason = f"invalid operator {node.operator}" if text.replace else "it can only be read"
            self._failed(node.target, Unresolved(f"cannot assign to the text '${node.target.name}': {reason}"))
            return with_fields(node, {"value": value}) if value is not None else node
        self.outcomes.append(name)
        return ast.Call(name, (value,), span=node.span)

    # --- the kinds -------------------------------------------------------------------------------

    def _failed(self, node: Any, failure: Unresolved) -> Any:
        if self.options.skip_badvars:
            self.outcomes.append(0)
            return ast.Number(0, span=node.span)
        self.failures[node] = failure
        self.outcomes.append(failure.reason)
        return node

    def _resolve(self, node: Any, fold: Fold) -> Any:
        match node:
            case ast.TargetVar(base=None):
                return self._variable(node, fold)
            case ast.TargetVar():
                return self._based(node, fold)
            case ast.Cast() | ast.AtVar():
                return self._path(ast.TargetVar("", base=node, span=node.span), fold)
            case ast.AtEnum(name=name):
                return ast.Number(self._enumerator(name), span=node.span)
            case ast.AtEnumName():
                return self._enum_name(node, fold)
            case ast.AtConst(text=text):
                return self._constant(node, text)
            case ast.Entry(operand=operand):
                return self._entry(operand, fold, node)
            case _:
                raise AssertionError(f"not a target expression: {type(node).__name__}")

    def _constant(self, node: ast.AtConst, text: str) -> ast.Expr:
        if not self.options.guru and node.span.file.is_user:
            raise Unresolved("using @const operator not permitted; need stap -g", span=node.span)
        return ast.EmbeddedExpr(f" /* pure */ /* unprivileged */ ({text}) ", span=node.span)

    def _own_text(self, node: Any) -> TextValue | None:
        """The text of the site's own that `$value` is."""
        plain = isinstance(node, ast.TargetVar) and node.base is None and not (node.steps or node.address_of)
        return self.values.get(node.name) if plain else None

    def _variable(self, node: ast.TargetVar, fold: Fold) -> Any:
        own = self._own_text(node)
        if own is not None:
            return ast.Call(own.read, (), span=node.span)
        if self.scope is None:
            raise Unresolved("unresolved target-symbol expression", hint=self.instead, span=node.span)
        text = self._text(node)
        if text is not None:
            return text
        if self.is_return and not self._at_entry and not _is_result(node):
            if not _always_at_entry(node):
                self.confusions.append(Confusion(node.span, unparse_target(node)))
            return self._entry(node, fold, node)
        if pretty.is_collective(node.name):
            return pretty.collective(node, self.scope)
        return self._path(node, fold)

    def _text(self, node: ast.TargetVar) -> ast.Expr | None:
        """`$$name`, `$$system` and the like, which a scope knows as constant text."""
        text = self.texts.get(node.name)
        return None if text is None or node.steps else ast.String(text, span=node.span)

    def _based(self, node: ast.TargetVar, fold: Fold) -> Any:
        if isinstance(node.base, (ast.Cast, ast.AtVar)):
            return self._path(node, fold)
        base = fold(node.base)
        steps = tuple(_folded_step(s, fold) for s in node.steps)
        if isinstance(base, ast.TargetAccess) and base.ctype is not None:
            # A ternary by @defined left one $variable of two: its type is known now.
            place = Place(ir.Hole(0), base.ctype, False, space_of(base.value))
            path = Path(place, [base], ir.Mark(node.span, token(node)))
            path.walk(steps)
            return finish(path, node)
        # Autocast: types.py knows what the base is, later.
        return with_fields(node, {"base": base, "steps": steps})

    def _path(self, node: ast.TargetVar, fold: Fold) -> Any:
        path = Path(self._root(node), mark=ir.Mark(node.span, token(node)))
        operand = node.base.operand if isinstance(node.base, ast.Cast) else None
        if operand is not None:
            path.holes.append(fold(operand))
        path.walk(tuple(_folded_step(s, fold) for s in node.steps))
        return finish(path, node)

    def _root(self, node: ast.TargetVar) -> Place:
        match node.base:
            case ast.Cast() as cast:
                ctype, space = self._cast_type(cast)
                return cast_root(ir.Hole(0), ctype, space)
            case ast.AtVar() as at:
                return self._static(at)
            case _:
                assert self.scope is not None
                return self._lookup(node)

    def _lookup(self, node: ast.TargetVar) -> Place:
        assert self.scope is not None
        try:
            return Place.of(self.scope.lookup(node.name), self.scope.space)
        except Unresolved as failure:
            if failure.similar and "(alternatives" not in failure.reason:
                listed = ", ".join(f"${name.removeprefix('$')}" for name in failure.similar)
                reason = f"{failure.reason} (alternatives: {listed})"
                raise Unresolved(reason, hint=failure.hint, span=failure.span) from failure
            raise

    # --- types and static variables ----------------------------------------------------------------

    def _infos(self, module: str | None) -> Iterator[tuple[DebugInfo, ir.Space]]:
        if self.target_ is None:
            return
        for name in (module or self.home or "kernel").split(":"):
            space = ir.Space.USER if name.startswith("<") or _is_program(name) else ir.Space.KERNEL
            if not name.startswith("<"):
                yield debug_info(self.target_, name), space
            if name.endswith(">"):
                yield _header(self.target_, name), space
        if module is None and self.home not in ("", "kernel") and not _is_program(self.home):
            yield self.target_.kernel_info(), ir.Space.KERNEL

    def _cast_type(self, cast: ast.Cast) -> tuple[CType, ir.Space]:
        last: Unresolved | None = None
        for info, space in self._infos(cast.module):
            for name in _spellings(cast.type_name):
                try:
                    ctype = info.type(name)
                except Unresolved as failure:
                    last = failure
                    continue
                return ctype, self._cast_space(cast, space)
        where = cast.module or self.home
        hint = last.hint if last is not None else ""
        raise Unresolved(f"type definition '{cast.type_name}' not found in '{where}'", hint=hint, span=cast.span)

    def _cast_space(self, cast: ast.Cast, space: ir.Space) -> ir.Space:
        if cast.module is None and self.scope is not None:
            return self.scope.space
        return space

    def _static(self, at: ast.AtVar) -> Place:
        name, _, unit = at.name.partition("@")
        failure = None
        for info, space in self._infos(at.module):
            try:
                return Place.of(info.variable(name, unit or None), space)
            except Unresolved as cause:
                failure = failure or cause
        if failure is None:
            raise Unresolved(f"unable to find global '{name}' in '{at.module or self.home}'", span=at.span)
        reason = failure.reason + similar_names(failure.similar[:_SHOWN])
        raise Unresolved(reason, hint=failure.hint, span=failure.span) from failure

    def _enumerator(self, name: str) -> int:
        infos = [*self._infos(None), *self._infos("kernel")]
        for info, _ in infos:
            find = getattr(info, "enumerator", None)
            value = find(name) if find is not None else None
            if value is not None:
                return int(value)
        raise Unresolved(f"unable to find enumerator '{name}'")

    def _enum_name(self, node: ast.AtEnumName, fold: Fold) -> ast.Expr:
        value = fold(node.value)
        if node.type_name is not None:
            ctype, _ = self._cast_type(ast.Cast(value, node.type_name, node.module, span=node.span))
        elif isinstance(value, ast.TargetAccess) and value.ctype is not None:
            ctype = value.ctype
        else:
            raise Unresolved("@enumname needs the name of an enum type", span=node.span)
        enum = strip(ctype)
        if not isinstance(enum, Enum):
            raise Unresolved(f"'{spell(ctype)}' is not an enum", span=node.span)
        name = f"__enumname_{enum.name or hex(abs(hash(enum.values)))}"
        self.enum_names[name] = enum
        return ast.Call(name, (value,), span=node.span)

    # --- entry values --------------------------------------------------------------------------------

    def _entry(self, operand: Any, fold: Fold, node: Any) -> Any:
        if not self.is_return:
            raise Unresolved("@entry is only valid in .return probes", span=node.span)
        before, self._at_entry = self._at_entry, True
        try:
            value = self._resolve(operand, fold) if isinstance(operand, ast.TargetVar) else fold(operand)
        finally:
            self._at_entry = before
        if self._at_entry:
            return value
        if isinstance(value, (ast.Number, ast.String)):
            return value
        user = node.span.file.is_user
        for name in walk(value):
            if isinstance(name, ast.Name) and not (self.is_global and self.is_global(name.name, user)):
                reason = f"cannot translate general @entry expression: local '{name.name}' has no value at the entry"
                raise Unresolved(reason, span=name.span)
        return self._save(value, node)

    def _save(self, value: Any, node: Any) -> ast.EntryValue:
        key = _outcome(value)
        number = self._saved.get(key)
        if number is None:
            number = len(self.entry)
            self.entry.append(value)
            self._saved[key] = number
        ctype = value.ctype if isinstance(value, ast.TargetAccess) else None
        return ast.EntryValue(number, "string" if is_text(value) else "long", ctype, span=node.span)


def finish(path: Path, node: ast.TargetVar) -> Any:
    """What a walked path becomes: an address, a text, or a number."""
    if node.address_of:
        # &@cast(p, "struct s") is p itself, typed: what it points at lies there.
        return path.read() if isinstance(node.base, ast.Cast) and not node.steps else path.address()
    if node.pretty:
        return pretty.lone(path, node)
    return path.read()


def debug_info(target: Target, module: str) -> DebugInfo:
    """The facts about `kernel`, `kernel<header>`, a module's name, or an object's path."""
    if module == "kernel" or module.startswith("kernel<"):
        return target.kernel_info()
    if _is_program(module):
        find = getattr(target, "user_info", None)
        if find is None:
            raise Unresolved(f"no debug-info for '{module}'")
        info: DebugInfo = find(os.path.abspath(module))
        return info
    return target.module_info(os.path.abspath(module) if "/" in module else module)


def _is_program(name: str) -> bool:
    """Whether a name is the path of a program or library, not of a module of the kernel."""
    return "/" in name.partition("<")[0] and not name.endswith((".ko", ".ko.xz", ".ko.zst", ".ko.gz"))


def _header(target: Target, name: str) -> DebugInfo:
    """The types that a header declares: only its `type` is ever asked."""
    if target.header_types is None:
        raise Unresolved(f"headers are not compiled here: '{name}'")
    return target.header_types(name)  # type: ignore[return-value]


def is_text(value: Any) -> bool:
    """Whether a resolved expression is a string."""
    match value:
        case ast.Pretty() | ast.String():
            return True
        case ast.EntryValue(result=result) | ast.TargetAccess(result=result):
            return result == "string"
        case ast.Binary(operator="."):
            return True
        case ast.Print():
            return value.to_string
        case _:
            return False


def unparse_target(node: ast.TargetVar) -> str:
    """A target variable as written, as far as messages need it."""
    steps = "".join(f"->{s.name}" if isinstance(s, ast.Member) else "[...]" for s in node.steps)
    return f"{'&' if node.address_of else ''}${node.name}{steps}{'$' * node.pretty}"


def _is_result(node: Any) -> bool:
    return isinstance(node, ast.TargetVar) and node.base is None and node.name in ("return", "$return")


def _always_at_entry(node: ast.TargetVar) -> bool:
    """`$$vars` and the like in a return probe need no warning."""
    return node.name.startswith("$")


def _folded_step(step: ast.Step, fold: Fold) -> ast.Step:
    if isinstance(step, ast.Member):
        return step
    index = fold(step.index)
    return step if index is step.index else with_fields(step, {"index": index})


def _spellings(name: str) -> Iterator[str]:
    """`struct` and `union` may be left out of a type's name."""
    name = " ".join(name.replace("*", " * ").split()).replace(" *", "*")
    yield name
    if not name.startswith(("struct ", "union ", "enum ", "class ")):
        yield f"struct {name}"
        yield f"union {name}"
        yield f"enum {name}"


def _outcome(value: Any) -> Hashable:
    """A key that is equal for equal resolutions."""
    match value:
        case ast.TargetAccess(value=expr, holes=holes, ctype=ctype):
            return ("access", expr, tuple(map(_outcome, holes)), None if ctype is None else spell(ctype))
        case ast.Index(base=ast.Name(name=name), keys=keys):
            return ("index", name, tuple(map(_outcome, keys)))
        case ast.Call(name=name, arguments=()):
            return ("call", name)
        case ast.EntryValue(number=number, result=result):
            return ("entry", number, result)
        case ast.Pretty(fields=fields, depth=depth):
            return ("pretty", depth, tuple((f.label, _outcome(f.access), _outcome(f.address)) for f in fields))
        case ast.Number(value=number):
            return number
        case ast.String(value=text):
            return text
        case None:
            return None
        case _:
            return ("node", id(value))
