"""Bodies of handlers and functions: IR ops -> C statements, op by op.

After each op that can fail stands a test of the context's error, which leaves for the nearest catch or the body's end.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, assert_never

from pystap.codegen import names
from pystap.codegen.arrays import Arrays
from pystap.codegen.embedded import line_directive
from pystap.codegen.output import Output
from pystap.codegen.statistics import Statistics
from pystap.codegen.values import Values, may_fail
from pystap.codegen.writer import BACK_TO_C, Writer
from pystap.ir import nodes as ir

if TYPE_CHECKING:
    from pystap.codegen.frames import Storage
    from pystap.codegen.unit import Unit

END = "out"


class Emitter:
    """Writes one body."""

    def __init__(self, unit: Unit, writer: Writer, storage: Storage, result: str | None = None) -> None:
        self.unit = unit
        self.tables = unit.tables
        self.variables = unit.variables
        self.write = writer
        self.storage = storage
        self.result = result  # long, string or None: what Return returns
        self.values = Values(unit.tables, unit.variables, storage)
        self.on_error = END
        self._steps: list[str | None] = []  # of the loops around: what Continue jumps to, None: C's own continue
        self._labels = 0
        self._arrays = Arrays(self)
        self._output = Output(self)
        self._statistics = Statistics(self)

    # --- what the other emitters use

    def value(self, e: ir.Expr) -> str:
        """A value in C."""
        return self.values.value(e)

    def arg(self, arg: ir.Arg) -> str:
        """A value or text in C."""
        return self.values.arg(arg)

    def mark(self, mark: ir.Mark) -> int:
        """A mark's number."""
        return self.tables.mark(mark)

    def check(self) -> None:
        """Leaves when something failed."""
        self.write("if (unlikely(c->last_error))")
        self.write(f"\tgoto {self.on_error};")

    def check_if(self, fails: bool) -> None:
        """`check` after what can fail."""
        if fails:
            self.check()

    def number(self) -> int:
        """A number that no label or variable of this body has yet."""
        self._labels += 1
        return self._labels

    def ready(self, args: Sequence[ir.Arg | None]) -> list[str]:
        """Arguments evaluated before an op's effect; those that can fail are tested first."""
        spelt = []
        failing = False
        for arg in args:
            text = "" if arg is None else self.arg(arg)
            if arg is not None and may_fail(arg):
                held = f"v{self.number()}"
                self.write(f"s64 {held} = {text};")
                text, failing = held, True
            spelt.append(text)
        self.check_if(failing)
        return spelt

    def place(self, place: ir.Place) -> str:
        """Where a result goes: an s64 variable or a string's storage."""
        match place:
            case ir.Local():
                return names.local(place.name)
            case ir.Temp():
                return names.temporary(place.number)
            case ir.StrLocal() | ir.StrTemp():
                return self.values.text(place)
            case _:
                assert_never(place)

    def assign(self, place: ir.Place, text: str) -> None:
        """Puts a spelt value or text into a place."""
        if isinstance(place, ir.StrLocal | ir.StrTemp):
            self.write(f"stap_assign({self.place(place)}, {text});")
        else:
            self.write(f"{self.place(place)} = {text};")

    # --- ops

    def block(self, body: ir.Block) -> None:
        """Ops in order."""
        for op in body:
            self.op(op)

    def op(self, op: ir.Op) -> None:
        """One op; its mark is what gcc's messages about the lines are translated to."""
        mark = getattr(op, "mark", None)
        if mark is not None and mark.token:
            self.write.span = mark.span
        self._op(op)

    def _op(self, op: ir.Op) -> None:  # noqa: C901, PLR0915
        match op:
            case ir.Set():
                self.set(op)
            case ir.SetStr():
                self.assign(op.place, self.values.text(op.value))
            case ir.SetGlobal():
                self.set_global(op)
            case ir.SetGlobalStr():
                self.write(f"stap_assign({names.variable(op.name)}, {self.values.text(op.value)});")
            case ir.AddGlobal():
                self.set_global(op)
            case ir.Store():
                self.store(op)
            case ir.SetReg():
                self.write(f"stap_register_set(c, {op.number}, {self.value(op.value)}, {op.width});")
                self.check()
            case ir.SetField():
                self.set_field(op)
            case ir.Concat():
                left, right = self.values.text(op.left), self.values.text(op.right)
                self.write(f"stap_concat({self.place(op.place)}, {left}, {right}, c->scratch);")
            case ir.Call():
                self.call(op)
            case ir.MapGet():
                self._arrays.get(op)
            case ir.MapSet():
                self._arrays.set(op)
            case ir.MapUpdate():
                self._arrays.update(op)
            case ir.MapIn():
                self._arrays.contains(op)
            case ir.MapDelete():
                self._arrays.delete(op)
            case ir.MapForeach():
                self._arrays.foreach(op)
            case ir.StatAdd():
                self._statistics.add(op)
            case ir.StatGet():
                self._statistics.get(op)
            case ir.StatClear():
                self._statistics.clear(op)
            case ir.HistBucket():
                self._statistics.bucket(op)
            case ir.HistForeach():
                self._statistics.foreach(op)
            case ir.Print():
                self._output.print(op)
            case ir.Sprint():
                self._output.sprint(op)
            case ir.PrintHist():
                self._statistics.print(op)
            case ir.SprintHist():
                self._statistics.sprint(op)
            case ir.Pretty():
                self._output.pretty(op)
            case ir.Regex():
                self._output.regex(op)
            case ir.If():
                self.branch(op)
            case ir.Loop():
                self.loop(op)
            case ir.Break():
                self.write("break;")
            case ir.Continue():
                self.write(f"goto {self._steps[-1]};" if self._steps[-1] else "continue;")
            case ir.Return():
                self.leave(op)
            case ir.Next():
                self.next()
            case ir.Try():
                self.attempt(op)
            case ir.Fail():
                self.write(f"stap_fail(c, {self.mark(op.mark)}, {self.tables.literal(op.text)});")
                self.write(f"goto {self.on_error};")
            case ir.Charge():
                self.write(f"if (!stap_charge(c, {op.actions}, {self.mark(op.mark)}))")
                self.write(f"\tgoto {self.on_error};")
            case ir.Embedded():
                self.embedded(op)
            case ir.SaveEntry():
                self.save(op)
            case _:
                assert_never(op)

    def set(self, op: ir.Set) -> None:
        """A catch sees the variable as it was before what failed."""
        if may_fail(op.value) and isinstance(op.place, ir.Local) and self.on_error != END:
            with self.write.block(""):
                (value,) = self.ready([op.value])
                self.assign(op.place, value)
            return
        self.assign(op.place, self.value(op.value))
        self.check_if(may_fail(op.value))

    def set_global(self, op: ir.SetGlobal | ir.AddGlobal) -> None:
        """Values that failed are never stored."""
        with self.write.block(""):
            (value,) = self.ready([op.value])
            if isinstance(op, ir.AddGlobal):
                self.write(self.variables.add(op.name, value))
                return
            for line in self.variables.write(op.name, value):
                self.write(line)

    def store(self, op: ir.Store) -> None:
        """Guru mode's writing of memory."""
        user = "true" if op.space is ir.Space.USER else "false"
        with self.write.block(""):
            address, value = self.ready([op.address, op.value])
            self.write(f"stap_store(c, {address}, {op.size}, {value}, {user}, {self.mark(op.mark)});")
        self.check()

    def set_field(self, op: ir.SetField) -> None:
        """What an engine passes on."""
        if op.name == "retval":
            self.write(f"stap_set_retval(c, {self.value(op.value)});")
        else:
            self.write(f"c->{names.identifier(op.name)} = {self.value(op.value)};")
        self.check_if(may_fail(op.value))

    def call(self, op: ir.Call) -> None:
        """Functions in turn until one does not `next`."""
        mark = self.mark(op.mark)
        last = op.functions[-1]
        with self.write.block(""):
            arguments, result = self._arguments(op)
            for id in op.functions:
                self._call_one(id, arguments, result, op, mark)
                if id != last:
                    self.write("if (c->next) {")
                    self.write("\tc->next = false;")
            self._exhausted(op, mark)
            for _ in op.functions[1:]:
                self.write("}")
            if result and op.place is not None and result != self.place(op.place):
                self.assign(op.place, result)

    def _arguments(self, op: ir.Call) -> tuple[str, str]:
        """The spelt arguments, and where the result lands: elsewhere than in a string that is an argument too."""
        spelt = self.ready(op.arguments)  # lowering has copied those globals that the callee changes
        result = "" if op.place is None else self.place(op.place)
        if self.unit.function(op.functions[0]).result == "string" and (not result or result in spelt):
            result = self.storage.scratch()
        if self.unit.function(op.functions[0]).result == "string":
            spelt.append(result)
        return ", ".join(["c", *spelt]), result

    def _call_one(self, id: str, arguments: str, result: str, op: ir.Call, mark: int) -> None:
        if id in self.unit.recursive:
            self.write(f"if (!stap_nest(c, {mark}))")
            self.write(f"\tgoto {self.on_error};")
        elif (bytes := self.unit.stack_bytes(id)) is not None:
            self.write(f"if (!stap_descend(c, {bytes}, {mark}))")
            self.write(f"\tgoto {self.on_error};")
        returns = self.unit.function(id).result == "long" and isinstance(op.place, ir.Local | ir.Temp)
        self.write(f"{f'{result} = ' if returns else ''}{names.function(id)}({arguments});")
        if id in self.unit.recursive:
            self.write("c->nesting--;")
        if self.unit.can_fail(id):
            self.write("if (unlikely(c->last_error)) {")
            self.write(f"\tstap_fail_called(c, {mark});")
            self.write(f"\tgoto {self.on_error};")
            self.write("}")

    def _exhausted(self, op: ir.Call, mark: int) -> None:
        if self.unit.can_next(op.functions[-1]):
            self.write("if (c->next) {")
            self.write("\tc->next = false;")
            self.write(f'\tstap_fail(c, {mark}, "all functions exhausted");')
            self.write(f"\tgoto {self.on_error};")
            self.write("}")

    def branch(self, op: ir.If) -> None:
        """if, with a condition that failed taking neither way."""
        if may_fail(op.condition):
            with self.write.block(""):
                (condition,) = self.ready([op.condition])
                self._branch(op, condition)
            return
        self._branch(op, self.values.condition(op.condition))

    def _branch(self, op: ir.If, condition: str) -> None:
        if not op.then and not op.otherwise:
            return
        with self.write.block(f"if ({condition})" if op.then else f"if (!({condition}))"):
            self.block(op.then or op.otherwise)
        if op.then and op.otherwise:
            self.write.lines.pop()
            with self.write.block("} else"):
                self.block(op.otherwise)

    def loop(self, op: ir.Loop) -> None:
        """for (;;) { body; step }"""
        step = f"step_{self.number()}"
        with self.write.block("for (;;)"):
            self.in_loop(step, op.body)
            self.write.label(step)
            self.write(";")
            self.block(op.step)

    def in_loop(self, step: str | None, body: ir.Block) -> None:
        """A loop's body."""
        self._steps.append(step)
        with self.write.block(""):
            self.block(body)
        self._steps.pop()

    def leave(self, op: ir.Return) -> None:
        """Out of a function."""
        if op.value is not None and self.result is not None:
            if self.result == "string":
                self.write(f"stap_assign(result, {self.arg(op.value)});")
            else:
                self.write(f"result = {self.arg(op.value)};")
                if may_fail(op.value):
                    self.check()
        self.write(f"goto {END};")

    def next(self) -> None:
        """Ends the handler; a function says that it was not meant."""
        if self.unit.in_function:
            self.write("c->next = true;")
        self.write(f"goto {END};")

    def attempt(self, op: ir.Try) -> None:
        """try/catch: what is fatal goes on outwards."""
        label = f"catch_{self.number()}"
        outer, self.on_error = self.on_error, label
        with self.write.block(""):
            self.block(op.body)
        self.on_error = outer
        self.write.label(label)
        with self.write.block("if (unlikely(c->last_error))"):
            self.write("if (c->fatal)")
            self.write(f"\tgoto {outer};")
            if op.message is not None:
                self.write(f"strscpy({self.values.text(op.message)}, c->last_error, MAXSTRINGLEN);")
            self.write("stap_error_clear(c);")
            self.block(op.handler)

    def embedded(self, op: ir.Embedded) -> None:
        """C in an expression."""
        with self.write.block(""):
            self.write("struct stap_context *const CONTEXT __maybe_unused = c;")
            self.write.raw(f"#define STAP_FUNCTION_MARK {self.mark(op.mark)}")
            is_text = isinstance(op.place, ir.StrTemp)
            place = self.place(op.place)
            self.write(f"strscpy({place}, (" if is_text else f"{place} = (s64)(")
            self.write.raw(f"{line_directive(op.mark)}\n{_with_arguments(op.code)}\n{BACK_TO_C}")
            self.write("), MAXSTRINGLEN);" if is_text else ");")
            self.write.raw("#undef STAP_FUNCTION_MARK")
        self.check()

    def save(self, op: ir.SaveEntry) -> None:
        """The entry side of a return probe. What failed is not saved."""
        is_text = isinstance(op.value, ir.Literal | ir.StrLocal | ir.StrTemp | ir.StrGlobal | ir.SavedStr)
        with self.write.block(""):
            (value,) = self.ready([op.value])
            self.write(f"stap_save{'_string' if is_text else ''}(c, {op.number}, {value});")


def _with_arguments(code: str) -> str:
    """C in an expression of a function may name its numbers STAP_ARG_x, as C functions do."""
    return re.sub(r"\bSTAP_ARG_(\w+)", lambda found: names.local(found[1]), code) if "STAP_ARG_" in code else code
