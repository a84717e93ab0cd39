"""Array ops -> C: typed lookups by shape (templates/map.h.j2), walks over the array's own list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pystap.codegen import names
from pystap.codegen.variables import Shape
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from pystap.codegen.emit import Emitter


class Arrays:
    """The part of an Emitter that knows arrays."""

    def __init__(self, emitter: Emitter) -> None:
        self._e = emitter

    def _shape(self, name: str) -> Shape:
        return self._e.variables.shape(name)

    def find(self, name: str, keys: list[str]) -> str:
        """An expression for the element or NULL."""
        return f"m_{self._shape(name).name}_find(&{names.variable(name)}, {', '.join(keys)})"

    def obtain(self, name: str, keys: list[str], mark: ir.Mark) -> str:
        """An expression for the element, made if need be; NULL after a failure."""
        number = self._e.mark(mark)
        return f"m_{self._shape(name).name}_obtain(c, &{names.variable(name)}, {number}, {', '.join(keys)})"

    def node(self, name: str) -> str:
        """The C type of an array's elements."""
        return f"struct m_{self._shape(name).name}_node"

    def get(self, op: ir.MapGet) -> None:
        """Reads; what is missing is 0 or empty."""
        e = self._e
        with e.write.block(""):
            keys = e.ready(op.keys)
            e.write(f"const {self.node(op.name)} *found = {self.find(op.name, keys)};")
            e.write("")
            if self._shape(op.name).value == "string":
                e.assign(op.place, f"found ? found->value : {e.tables.literal('')}")
            else:
                e.assign(op.place, "found ? found->value : 0")

    def set(self, op: ir.MapSet) -> None:
        """Writes one element."""
        e = self._e
        with e.write.block(""):
            *keys, value = e.ready([*op.keys, op.value])
            e.write(f"{self.node(op.name)} *found = {self.obtain(op.name, keys, op.mark)};")
            e.write("")
            e.write("if (unlikely(!found))")
            e.write(f"\tgoto {e.on_error};")
            if self._shape(op.name).value == "string":
                e.write(f"stap_assign(found->value, {value});")
            else:
                e.write(f"found->value = {value};")

    def update(self, op: ir.MapUpdate) -> None:
        """Reads and writes one element in one lookup."""
        e = self._e
        with e.write.block(""):
            *keys, value = e.ready([*op.keys, op.value])
            if op.operator in "/%" and op.operator:
                e.write(f"if (unlikely({value} == 0)) {{")
                e.write(f'\tstap_fail(c, {e.mark(op.mark)}, "division by 0");')
                e.write(f"\tgoto {e.on_error};")
                e.write("}")
            e.write(f"{self.node(op.name)} *found = {self.obtain(op.name, keys, op.mark)};")
            e.write("")
            e.write("if (unlikely(!found))")
            e.write(f"\tgoto {e.on_error};")
            if op.old is not None:
                e.assign(op.old, "found->value")
            if op.operator == ".":
                e.write(f"stap_concat(found->value, found->value, {value}, c->scratch);")
            else:
                e.write(f"found->value = {e.values.operate(op.operator, 'found->value', value, op.mark)};")
            if op.new is not None:
                e.assign(op.new, "found->value")

    def contains(self, op: ir.MapIn) -> None:
        """`in`, by lookup, or by a walk where a key may be anything."""
        e = self._e
        with e.write.block(""):
            keys = e.ready(op.keys)
            if None not in op.keys:
                e.assign(op.place, f"{self.find(op.name, keys)} != NULL")
                return
            e.assign(op.place, "0")
            self._walk(op.name, "found", "const ")
            with e.write.block(""):
                self._skip_others(op.name, "found", op.keys, keys)
                e.assign(op.place, "1")
                e.write("break;")

    def delete(self, op: ir.MapDelete) -> None:
        """Takes elements out."""
        e = self._e
        map = names.variable(op.name)
        if all(k is None for k in op.keys):
            e.write(f"stap_map_clear(&{map});")
            return
        with e.write.block(""):
            keys = e.ready(op.keys)
            if None in op.keys:
                e.write("struct stap_node *at, *next;")
                e.write("")
                with e.write.block(f"for (at = {map}.first; at; at = next)"):
                    e.write(f"{self.node(op.name)} *found = ({self.node(op.name)} *)at;")
                    e.write("")
                    e.write("next = at->next;")
                    self._skip_others(op.name, "found", op.keys, keys)
                    e.write(f"stap_map_remove(&{map}, at);")
                return
            e.write(f"{self.node(op.name)} *found = {self.find(op.name, keys)};")
            e.write("")
            e.write("if (found)")
            e.write(f"\tstap_map_remove(&{map}, &found->node);")

    def foreach(self, op: ir.MapForeach) -> None:
        """Sorts if told to, then walks."""
        e = self._e
        at = f"e{e.number()}"
        with e.write.block(""):
            slice = op.slice or ()
            *wanted, limit = e.ready([*slice, op.limit])
            slice_held = self._hold(wanted, slice)
            held = f"limit{e.number()}"
            if op.limit is not None:
                e.write(f"s64 {held} = {limit};")
            e.write(f"const {self.node(op.name)} *{at};")
            e.write("")
            self._sort(op)
            e.write(f"for ({at} = (void *){names.variable(op.name)}.first; {at}; {at} = (void *){at}->node.next)")
            with e.write.block(""):
                if op.slice is not None:
                    self._skip_others(op.name, at, op.slice, slice_held)
                if op.limit is not None:
                    e.write(f"if ({held}-- <= 0)")
                    e.write("\tbreak;")
                for index, place in enumerate(op.keys):
                    e.assign(place, f"{at}->k{index}")
                if op.value is not None:
                    e.assign(op.value, f"{at}->value")
                e.in_loop(None, op.body)

    def _hold(self, spelt: list[str], keys: tuple[ir.Arg | None, ...]) -> list[str]:
        """A slice's keys keep the values that they had before the first round."""
        e = self._e
        held = []
        for text, key in zip(spelt, keys, strict=True):
            name = f"k{e.number()}"
            if key is None or isinstance(key, ir.Const | ir.Literal):
                name = text
            elif isinstance(key, ir.StrLocal | ir.StrTemp | ir.StrGlobal | ir.SavedStr):
                name = e.storage.scratch()
                e.write(f"stap_assign({name}, {text});")
            else:
                e.write(f"const s64 {name} = {text};")
            held.append(name)
        return held

    def _sort(self, op: ir.MapForeach) -> None:
        if not op.sort:
            return
        e = self._e
        shape = self._shape(op.name)
        map = names.variable(op.name)
        text = "false"
        if op.sort_by:
            offset = f"offsetof({self.node(op.name)}, k{op.sort_by - 1})"
            text = "true" if shape.keys[op.sort_by - 1].is_text else "false"
        elif shape.value == "stats":
            operator = op.aggregate or "count"
            e.variables.needs(op.name, operator)
            parts = f"{e.variables.kind(op.name)}.parts"
            e.write(f"stap_map_rank(c, &{map}, {parts}, STAP_RANK_{operator.upper()});")
            offset = "offsetof(struct stap_node, rank)"
        else:
            offset = f"offsetof({self.node(op.name)}, value)"
            text = "true" if shape.value == "string" else "false"
        direction = 1 if op.sort > 0 else -1
        e.write(
            f"stap_map_sort(&{map}, (struct stap_order){{ .offset = {offset}, .text = {text}, "
            f".direction = {direction} }});"
        )

    def _walk(self, name: str, at: str, const: str) -> None:
        e = self._e
        e.write(f"{const}{self.node(name)} *{at};")
        e.write("")
        e.write(f"for ({at} = (void *){names.variable(name)}.first; {at}; {at} = (void *){at}->node.next)")

    def _skip_others(self, name: str, at: str, keys: tuple[ir.Arg | None, ...], spelt: list[str]) -> None:
        """In a walk: goes on where a key is not the wanted one."""
        e = self._e
        for key, wanted, spelling in zip(self._shape(name).keys, keys, spelt, strict=True):
            if wanted is not None:
                e.write(f"if (!({key.equal(at, spelling)}))")
                e.write("\tcontinue;")
