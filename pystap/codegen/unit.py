"""What the bodies of one module share while they are written: tables, globals, functions, and what is needed."""

from __future__ import annotations

import re

from pystap.codegen.frames import Storage, heights, nodes, recursive_functions, storage
from pystap.codegen.tables import Tables
from pystap.codegen.variables import Variables
from pystap.ir import nodes as ir
from pystap.ir.tails import TAG

# Ops that leave no error in the context by themselves, whatever their operands.
_SAFE = (
    ir.Set, ir.SetStr, ir.SetGlobal, ir.SetGlobalStr, ir.AddGlobal, ir.Concat, ir.Sprint, ir.Print, ir.If,
    ir.Loop, ir.Break, ir.Continue, ir.Return, ir.Next, ir.Regex, ir.SaveEntry, ir.MapGet, ir.MapIn,
    ir.MapDelete, ir.StatClear,
)  # fmt: skip
_HARMLESS = (
    ir.Const, ir.Local, ir.Temp, ir.GlobalValue, ir.Saved, ir.Bits, ir.Unary, ir.Compare, ir.StrCompare, ir.Select,
    ir.Literal, ir.StrLocal, ir.StrTemp, ir.StrGlobal, ir.SavedStr,
)  # fmt: skip
_LEVELS = 4  # calls inside of calls that MINSTACKSPACE is enough for
_MANY = 256  # bytes of locals that are asked for at any level
_FAILING_C = re.compile(r"\b(CONTEXT|STAP_ERROR|kread|uread|kwrite|uwrite|\w*deref|stap_\w+)\b")


class Unit:
    """One module in the making."""

    def __init__(self, module: ir.Module, string_limit: int) -> None:
        self.module = module
        self.tables = Tables(string_limit)
        self.variables = Variables(module, string_limit)
        self.functions = {f.id: f for f in module.functions}
        self.storages = {f.id: _function_storage(f) for f in module.functions}
        self.recursive = recursive_functions({id: s.calls for id, s in self.storages.items()})
        self._heights = heights(self.storages, self.recursive)
        self.needs: set[str] = set(module.needs)
        self.in_function = False
        self._items: set[str] = set()
        self._can_fail: dict[str, bool] = {}

    def function(self, id: str) -> ir.Function:
        """A function by its id."""
        return self.functions[id]

    def item_bytes(self, size: str) -> None:
        """Notes the size of an output item."""
        self._items.add(size)

    def item_sizes(self) -> list[str]:
        """All sizes noted."""
        return sorted(self._items)

    def stack_bytes(self, id: str) -> int | None:
        """What a call of a function needs of the kernel's stack, where that has to be asked for: one level of four."""
        function = self.functions[id]
        longs = 8 * (len(function.longs) + len(function.parameters) + len(self.storages[id].longs))
        return longs if id not in self.recursive and (self._heights[id] % _LEVELS == 0 or longs > _MANY) else None

    def can_next(self, id: str) -> bool:
        """Whether a function may hand over to the next overload."""
        function = self.functions[id]
        if function.code is not None:
            return "STAP_NEXT" in function.code
        return any(isinstance(n, ir.Next) for n in nodes(function.body))

    def can_fail(self, id: str) -> bool:
        """Whether a call may leave an error in the context."""
        if id in self.recursive:
            return True
        if id not in self._can_fail:
            function = self.functions[id]
            if TAG in function.tags:  # nothing is left to be skipped when it failed
                self._can_fail[id] = False
            elif function.code is not None:
                self._can_fail[id] = "myproc-unprivileged" in function.tags or bool(_FAILING_C.search(function.code))
            else:
                self._can_fail[id] = any(self._fails(n) for n in nodes(function.body))
        return self._can_fail[id]

    def _fails(self, node: object) -> bool:
        if isinstance(node, ir.Call):
            if any(self.stack_bytes(id) is not None for id in node.functions):
                return True
            return len(node.functions) > 1 or self.can_next(node.functions[0]) or self.can_fail(node.functions[0])
        if isinstance(node, ir.Binary):
            return node.operator in "/%"
        if isinstance(node, ir.Field):
            return node.name not in ("ip", "sp", "retval", "verdict", "arg", "cpu_offset")
        if isinstance(node, ir.Print | ir.Sprint):
            return "m" in node.format or "M" in node.format
        return not isinstance(node, (*_SAFE, *_HARMLESS))


def _function_storage(function: ir.Function) -> Storage:
    texts = [name for name, kind in function.parameters if kind == "string"]
    if function.code is None:
        return storage(function.body, function.strings, texts)
    made = Storage()
    if "unmodified-fnargs" not in function.tags:
        made.slots = [f"l_{name}" for name in texts]
    return made
