"""Where globals live: plain statics, per-CPU members of the context, maps; and the shapes of the maps' nodes."""

from __future__ import annotations

from dataclasses import dataclass

from pystap.codegen import names
from pystap.diagnostics import StapError
from pystap.ir import nodes as ir

MAX_BUCKETS = 4096  # a histogram must fit into one output record
_PARTS = {
    "sum": "STAP_STAT_SUM",
    "avg": "STAP_STAT_SUM",
    "min": "STAP_STAT_RANGE",
    "max": "STAP_STAT_RANGE",
    "variance": "STAP_STAT_VARIANCE",
}


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a map shape."""

    index: int
    is_text: bool

    @property
    def member(self) -> str:
        """Its place in a node."""
        return f"char k{self.index}[STAP_STRING_BYTES] __aligned(8)" if self.is_text else f"s64 k{self.index}"

    @property
    def parameter(self) -> str:
        """How it is passed."""
        return f"const char *k{self.index}" if self.is_text else f"s64 k{self.index}"

    @property
    def hash(self) -> str:
        """The hash with this key added."""
        return f"stap_hash_{'string' if self.is_text else 'word'}(hash, k{self.index})"

    @property
    def same(self) -> str:
        """Whether a node has it."""
        return self.equal("found", f"k{self.index}")

    @property
    def store(self) -> str:
        """Puts it into a node."""
        if self.is_text:
            return f"stap_copy(made->k{self.index}, k{self.index});"
        return f"made->k{self.index} = k{self.index};"

    def equal(self, node: str, value: str) -> str:
        """Whether a node's key is this value."""
        at = f"{node}->k{self.index}"
        return f"stap_equal({at}, {value})" if self.is_text else f"{at} == {value}"


@dataclass(frozen=True, slots=True)
class Shape:
    """Key and value types of a map: one set of C functions serves all maps of a shape."""

    keys: tuple[Key, ...]
    value: str  # long, string, stats

    @property
    def name(self) -> str:
        """A C identifier part: ls_l is [long, string] -> long."""
        return (
            "".join("s" if k.is_text else "l" for k in self.keys) + "_" + {"stats": "x"}.get(self.value, self.value[0])
        )

    @property
    def parameters(self) -> str:
        """The keys as C parameters."""
        return ", ".join(k.parameter for k in self.keys)

    @property
    def arguments(self) -> str:
        """The keys as they are handed on."""
        return ", ".join(f"k{k.index}" for k in self.keys)

    @property
    def value_member(self) -> str:
        """The value's place in a node."""
        spelt = {"long": "s64 value;", "string": "char value[STAP_STRING_BYTES] __aligned(8);"}
        return spelt.get(self.value, "/* the value lies in per-CPU cells */")

    @property
    def value_clear(self) -> str:
        """Gives a new node its value."""
        return {"long": "made->value = 0;", "string": "made->value[0] = 0;"}.get(self.value, "")

    @property
    def obtain(self) -> str:
        """What guards insertion: arrays of statistics grow under the read lock."""
        return "shared" if self.value == "stats" else "alone"

    @staticmethod
    def of(map: ir.Map) -> Shape:
        """The shape of a script array."""
        return Shape(tuple(Key(i, kind == "string") for i, kind in enumerate(map.keys)), map.value)


def stat_bytes(buckets: int) -> str:
    """The C size of one CPU's cell."""
    return f"(sizeof(struct stap_cell) + {buckets} * sizeof(s64))"


def buckets(hist: ir.Hist | None) -> int:
    """How many counts a histogram has."""
    if hist is None:
        return 0
    if hist.linear is None:
        return 128
    low, high, step = hist.linear
    count = (high - low) // step + 3 if step > 0 else 0
    if not 3 <= count <= MAX_BUCKETS:
        raise StapError(
            f"@hist_linear({low}, {high}, {step}) would have {count} buckets; it may have up to {MAX_BUCKETS}: "
            "choose a larger interval or a smaller range"
        )
    return count


class Variables:
    """The module's globals by name, and how C reads, writes and defines them."""

    def __init__(self, module: ir.Module, string_limit: int) -> None:
        self.string_limit = string_limit
        self.globals = {g.name: g for g in module.globals}
        self.shapes = list(dict.fromkeys(Shape.of(g) for g in module.globals if isinstance(g, ir.Map)))
        self._read: dict[str, set[str]] = {g.name: set() for g in module.globals}

    def read(self, name: str) -> str:
        """A long scalar's value."""
        scalar = self.globals[name]
        assert isinstance(scalar, ir.Scalar)
        c = names.variable(name)
        return f"({c} + stap_percpu_sum({_offset(c)}))" if scalar.per_cpu else c

    def write(self, name: str, value: str) -> list[str]:
        """Statements that set a long scalar."""
        scalar = self.globals[name]
        assert isinstance(scalar, ir.Scalar)
        c = names.variable(name)
        clear = [f"stap_percpu_clear({_offset(c)});"] if scalar.per_cpu else []
        return [*clear, f"{c} = {value};"]

    def add(self, name: str, value: str) -> str:
        """A statement that adds to a long scalar."""
        scalar = self.globals[name]
        assert isinstance(scalar, ir.Scalar)
        c = names.variable(name)
        return f"{f'c->globals.{c}' if scalar.per_cpu else c} += {value};"

    def map(self, name: str) -> ir.Map:
        """An array by name."""
        found = self.globals[name]
        assert isinstance(found, ir.Map)
        return found

    def shape(self, name: str) -> Shape:
        """An array's shape."""
        return Shape.of(self.map(name))

    def stat(self, name: str) -> ir.Stat:
        """A statistic, or what an array of them keeps."""
        found = self.globals[name]
        if isinstance(found, ir.Map):
            return found.stat or ir.Stat(name)
        assert isinstance(found, ir.Stat)
        return found

    def needs(self, name: str, operator: str) -> None:
        """Notes that an operator reads a statistic, so that it is kept."""
        self._read[name].add(operator)

    def kind(self, name: str) -> str:
        """The macro that says how a statistic is kept."""
        return f"STAP_KIND_{names.variable(name)}"

    def shift(self, name: str) -> int:
        """The shift of a statistic's variance."""
        return self.stat(name).shift

    def bucket_count(self, name: str) -> int:
        """How many buckets a statistic keeps."""
        return buckets(self.stat(name).hist)

    def parts(self, name: str) -> str:
        """Which sums a statistic keeps, as C flags."""
        stat = self.stat(name)
        wanted = {_PARTS[op] for op in stat.ops | self._read[name] if op in _PARTS}
        if stat.variance:
            wanted.add("STAP_STAT_VARIANCE")
        return " | ".join(sorted(wanted)) or "0"

    def stats(self) -> list[str]:
        """Names of all statistics, arrays of them included."""
        return [
            g.name
            for g in self.globals.values()
            if isinstance(g, ir.Stat) or (isinstance(g, ir.Map) and g.value == "stats")
        ]

    def kind_lines(self) -> list[str]:
        """The macros of `kind`."""
        lines = []
        for name in self.stats():
            hist = self.stat(name).hist
            low, high, step = (hist.linear if hist else None) or (0, 0, 1)
            linear = "true" if hist and hist.linear else "false"
            lines.append(
                f"#define {self.kind(name)} ((struct stap_stat_kind){{ .parts = {self.parts(name)}, "
                f".shift = {self.shift(name)}, .buckets = {self.bucket_count(name)}, .linear = {linear}, "
                f".low = {names.c_number(low)}, .high = {names.c_number(high)}, .step = {names.c_number(step)} }})"
            )
        return lines

    def percpu_members(self) -> list[str]:
        """Members of the context."""
        members = []
        for g in self.globals.values():
            c = names.variable(g.name)
            if isinstance(g, ir.Scalar) and g.per_cpu:
                members.append(f"s64 {c};")
            elif isinstance(g, ir.Stat):
                members.append(f"struct {{ struct stap_cell cell; s64 buckets[{self.bucket_count(g.name)}]; }} {c};")
        return members

    def definition_lines(self) -> list[str]:
        """The statics of globals, and their locks."""
        lines = []
        for g in self.globals.values():
            c = names.variable(g.name)
            lines += _definition(g, c, self)
            lines.append(f"static struct stap_lock {c}_lock __maybe_unused = {{ .name = {names.c_string(g.name)} }};")
        return lines

    def map_names(self) -> list[str]:
        """C names of the maps, which are allocated at load."""
        return [names.variable(g.name) for g in self.globals.values() if isinstance(g, ir.Map)]

    def lock_names(self) -> list[str]:
        """C names of the globals' locks."""
        return [f"{names.variable(name)}_lock" for name in self.globals]

    def parameter_lines(self) -> list[str]:
        """Module parameters: -G sets a scalar."""
        lines = []
        for g in self.globals.values():
            if isinstance(g, ir.Scalar) and g.parameter:
                kind = "LONG" if g.type == "long" else "STRING"
                lines.append(f"STAP_PARAMETER_{kind}({names.variable(g.name)}, {names.c_string(g.name)});")
        return lines


def _offset(c: str) -> str:
    return f"offsetof(struct stap_context, globals.{c})"


def _definition(g: ir.Global, c: str, variables: Variables) -> list[str]:
    if isinstance(g, ir.Stat):
        return []
    if isinstance(g, ir.Scalar) and g.type == "string":
        held = names.encode(str(g.initial))[: variables.string_limit - 1].decode("utf-8", "surrogateescape")
        return [f"static char {c}[STAP_STRING_BYTES] __aligned(8) = {names.c_string(held)};"]
    if isinstance(g, ir.Scalar):
        return [f"static s64 {c} = {names.c_number(int(g.initial))};"]
    cell = f" .cell_bytes = {stat_bytes(variables.bucket_count(g.name))}," if g.value == "stats" else ""
    return [
        f"static struct stap_map {c} = {{",
        f"\t.size = {g.size or 'MAXMAPENTRIES'}, .sized = {'true' if g.size else 'false'}, "
        f".wrap = {'true' if g.wrap else 'false'},{cell}",
        f"\t.node_bytes = sizeof(struct m_{Shape.of(g).name}_node),",
        "};",
    ]
