"""Arrays: elements read, written and stepped in one lookup, membership, deletion."""

from __future__ import annotations

from typing import Union

from pystap.ir import nodes as ir
from pystap.lower.body import Core, TextPlace
from pystap.lower.marks import first_token
from pystap.syntax import ast


class Maps(Core):
    """Lowering of what is done to array elements."""

    __slots__ = ()

    def element(self, e: ast.Index) -> ir.Expr:
        """a[k] as a number."""
        place = self.temp()
        with self.scratch():
            self.emit(ir.MapGet(place, _array(e), self._all_keys(e.keys), mark=first_token(e.span)))
        return place

    def text_element(self, e: ast.Index, place: TextPlace) -> ir.Str:
        """a[k] as a text, copied to `place`."""
        with self.scratch():
            self.emit(ir.MapGet(place, _array(e), self._all_keys(e.keys), mark=first_token(e.span)))
        return place

    def contains(self, e: ast.In) -> ir.Expr:
        """k in a."""
        place = self.temp()
        with self.scratch():
            self.emit(ir.MapIn(place, e.array.name, self.keys(e.keys)))
        return place

    def assign_element(self, e: ast.Assign, used: bool) -> ir.Expr:
        """a[k] = v   a[k] += v   a[k] <<< v   (numbers)."""
        assert isinstance(e.target, ast.Index)
        name, mark = _array(e.target), first_token(e.target.span)
        with self.scratch():
            *keys, value = self.values((*e.target.keys, e.value))
            return self._store_element(e.operator, name, tuple(keys), value, used, mark)

    def _store_element(
        self, operator: str, name: str, keys: tuple[ir.Arg, ...], value: ir.Arg, used: bool, mark: ir.Mark
    ) -> ir.Expr:
        number: ir.Expr = value  # type: ignore[assignment]
        if operator == "<<<":
            number = self.keep(number) if used else number
            self.emit(ir.StatAdd(ir.StatRef(name, keys), number, mark=mark))
            return number
        if operator == "=":
            number = self.keep(number) if used and not isinstance(number, (ir.Const, ir.Temp)) else number
            self.emit(ir.MapSet(name, keys, number, mark=mark))
            return number
        new = self.temp() if used else None
        self.emit(ir.MapUpdate(name, keys, operator[:-1], number, new=new, mark=mark))
        return new or ir.Const(0)

    def step_element(self, target: ast.Index, step: int, prefix: bool, used: bool) -> ir.Expr:
        """a[k]++ and its kin."""
        place = self.temp() if used else None
        old, new = (None, place) if prefix else (place, None)
        with self.scratch():
            keys = self._all_keys(target.keys)
            mark = first_token(target.span)
            self.emit(ir.MapUpdate(_array(target), keys, "+", ir.Const(step), old=old, new=new, mark=mark))
        return place or ir.Const(0)

    def assign_text_element(self, e: ast.Assign, used: bool) -> ir.Str:
        """a[k] = "s"   a[k] .= "s"; where the result is not used it is an empty literal."""
        assert isinstance(e.target, ast.Index)
        name, mark = _array(e.target), first_token(e.target.span)
        if e.operator == "=":
            *keys, text = self.values((*e.target.keys, e.value))
            self.emit(ir.MapSet(name, tuple(keys), text, mark=mark))
            return text  # type: ignore[return-value]
        place = self.text_temp() if used else None
        *keys, text = self.values((*e.target.keys, e.value))
        self.emit(ir.MapUpdate(name, tuple(keys), ".", text, new=place, mark=mark))
        return place or ir.Literal("")

    def delete(self, target: Union[ast.Name, ast.Index]) -> None:
        """delete x   delete a[k]   delete a[k, *]."""
        if isinstance(target, ast.Index):
            with self.scratch():
                self.emit(ir.MapDelete(_array(target), self.keys(target.keys)))
            return
        self._reset(target.name)

    def _reset(self, name: str) -> None:
        if self.is_local(name):
            text = self.locals[name].type == "string"
            self.emit(ir.SetStr(ir.StrLocal(name), ir.Literal("")) if text else ir.Set(ir.Local(name), ir.Const(0)))
            return
        variable = self.module.globals[name]
        if variable.keys:
            self.emit(ir.MapDelete(name, ()))
        elif variable.variable.type == "stats":
            self.emit(ir.StatClear(name))
        elif variable.variable.type == "string":
            self.emit(ir.SetGlobalStr(name, ir.Literal("")))
        else:
            self.emit(ir.SetGlobal(name, ir.Const(0)))

    def _all_keys(self, keys: tuple[ast.Expr, ...]) -> tuple[ir.Arg, ...]:
        return self.values(keys)


def _array(e: ast.Index) -> str:
    assert isinstance(e.base, ast.Name)
    return e.base.name
