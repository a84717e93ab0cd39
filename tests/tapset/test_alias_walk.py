"""The tapset library's aliases: what resolves with SystemTap's on 6.1 resolves here, and sets the same variables."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import available

HERE = Path(__file__).parent
SERIES = "6.1"


def _table(name: str) -> dict[str, str]:
    lines = (line.partition("\t") for line in (HERE / name).read_text().splitlines() if not line.startswith("#"))
    return {key: rest for key, _, rest in lines}


WANTED = {name: tuple(variables.split()) for name, variables in _table("aliases.tsv").items()}
MISSING = _table("aliases_missing.tsv")
EXTRA = {  # what these have beside: SystemTap sets it too, but lists what all places of an alias have
    "nfs.proc.write_done": {"valid:long"},
    "nfs.proc.write_setup": {"how:long"},
    "signal.pending.return": {"retval:long"},
    "syscall.clone.return": {
        "clone_flags:long", "stack_start:long", "parent_tid_uaddr:long", "child_tid_uaddr:long", "argstr:string",
    },
    "syscall.getrandom.return": {
        "buf:string", "buf_unquoted:string", "count:long", "flags:long", "flags_str:string", "argstr:string",
    },
    "syscall.mq_open": {"filename_unquoted:string"},
    "syscall.open": {"filename_unquoted:string"},
}  # fmt: skip


def _family(alias: str) -> str:
    return alias.partition(".")[0]


def _excused(alias: str) -> bool:
    return any(fnmatchcase(alias, known) for known in MISSING)


def _patterns(family: str) -> list[str]:
    """One glob for each length of name in a family."""
    return sorted({".".join([family] + ["*"] * name.count(".")) for name in WANTED if _family(name) == family})


def _listed(family: str, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for pattern in _patterns(family):
        cli.main(["-r", SERIES, "-L", pattern])
        for line in capsys.readouterr().out.splitlines():
            name, _, variables = line.partition(" ")
            found[name] = tuple(v for v in variables.split() if v[0] != "$" and v.endswith((":long", ":string")))
    return found


@pytest.mark.parametrize("family", sorted({_family(a) for a in WANTED if not _excused(a)}))
def test_aliases_resolve_with_their_variables_in_order(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = available(SERIES)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {SERIES}: pystap-prep --debuginfo {SERIES}")
    listed = _listed(family, capsys)
    wanted = {a: v for a, v in WANTED.items() if _family(a) == family and not _excused(a)}
    assert [a for a in wanted if a not in listed] == []
    wrong = {a: set(v) ^ set(listed[a]) - EXTRA.get(a, set()) for a, v in wanted.items() if v}
    assert {a: sorted(v) for a, v in wrong.items() if v} == {}
    ordered = {a: tuple(v for v in listed[a] if v in wanted[a]) for a in wanted}
    assert {a: v for a, v in ordered.items() if v != wanted[a]} == {}


def test_exceptions_have_reasons() -> None:
    assert all(reason for reason in MISSING.values())
    assert sum(1 for alias in WANTED if not _excused(alias)) >= 1312


def test_each_value_is_checked_where_the_table_says() -> None:
    """alias_values.tsv names for each alias a script that a test runs, which holds it, or why there is none."""
    elsewhere = {"syscall", "nfs", "nfsd", "sunrpc"}
    rows = [line.split("\t") for line in (HERE / "alias_values.tsv").read_text().splitlines() if line[0] != "#"]
    assert sorted(row[0] for row in rows) == sorted(a for a in WANTED if _family(a) not in elsewhere)
    unchecked = [row for row in rows if row[1] == "-"]
    assert all(len(row) == 3 for row in unchecked), "each has its reason"
    assert len(unchecked) <= 40
    texts = {row[1]: (HERE.parent.parent / row[1]).read_text() for row in rows if row[1] != "-"}

    def held(alias: str, text: str) -> bool:
        family = alias.rpartition(".")[0]
        return bool(re.search(rf"(?<![\w.]){re.escape(alias)}(?!\.?\w)", text)) or f"probe {family}.* " in text

    assert [row[0] for row in rows if row[1] != "-" and not held(row[0], texts[row[1]])] == []
