"""procfs probes: files under /proc/systemtap/MODULE/ that handlers answer, read and written in a guest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pystap import cli
from pystap.run.vm import Finished
from tests.support.kernels import Guests
from tests.support.quiet import keeps_quiet

pytestmark = pytest.mark.vm

SCRIPT = """
global n, last
probe procfs("a/hits").read.maxsize(2000) {
    n++
    $value = "lost"
    $value = sprintf("hits %d\\n", n)
    for (i = 0; i < 150; i++) $value .= "0123456789"
    $value .= strlen($value) == 511 ? " whole\\n" : " cut\\n"
}
probe procfs("a/word").umask(0).write { last = $value; printf("got %s", $value) }
probe procfs("a/word").read { $value = "was " . last }
probe procfs.read { for (i = 0; i < 100; i++) $value .= "0123456789" }
"""
COMMAND = """
cd /proc/systemtap/stap_*
ls -l a/hits a/word command | cut -c1-10
cat a/hits | wc -c
cat a/hits | tail -c 7
dd if=a/hits bs=100 count=1 2>/dev/null | head -n 1
echo 42 > a/word
cat a/word
cat command > /tmp/cut 2>/dev/null
"""


def run(series: str, guests: Guests, capsys: pytest.CaptureFixture[str], script: str, command: str) -> Finished:
    status = cli.main(["-p4", "-w", "-r", series, "-e", script])
    compiled = capsys.readouterr()
    assert status == 0, compiled.err
    guests.get(series).put("/tmp/command", command.encode())
    with keeps_quiet(guests.get(series)):
        done = guests.run(series, Path(compiled.out.strip()), options=("-c", "sh /tmp/command"))
    assert guests.sh(series, "grep -q ^stap_ /proc/modules").status == 1, "the module is gone"
    return done


def test_files_are_answered(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """Texts longer than a string, written words, modes by umask, and a buffer that is too small."""
    done = run(series, guests, capsys, SCRIPT, COMMAND)
    lines = done.stdout.decode().splitlines()
    assert sorted(lines) == sorted(
        ["-r--------", "-rw--w--w-", "-r--------", "1514", " whole", "hits 3", "got 42", "was 42"]
    )
    assert b"ERROR: buffer size exceeded, consider .maxsize(521). near operator" in done.stderr
    assert b"\n  -DSTP_PROCFS_BUFSIZE=BYTES" in done.stderr
    assert done.status == 1


METRIC = re.compile(  # of the text format: a name, labels, a number
    r'([a-zA-Z_:][a-zA-Z0-9_:]*)\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*)\} ([+-]?\d+)'
)
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"(?:,|$)')


def metrics(text: str) -> dict[tuple[str, ...], int]:
    """The numbers of a text for Prometheus by name and labels' values; what is not of that format is an error."""
    found = {}
    assert text.endswith("\n")
    for line in text[:-1].split("\n"):
        match = METRIC.fullmatch(line)
        assert match, line
        name, labels, number = match.groups()
        values = [value for _, value in LABEL.findall(labels)]
        found[name, *(re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), value) for value in values)] = int(number)
    return found


WORDS = r"""
        reads["a \"b\""] = 3
        reads["back\\slash\nline"] = -4
        reads["caf\303\251 \360\237\230\200 \t\001"] = 5
        reads["\303("] = 6
"""
KEYS = ('a "b"', "back\\slash\nline", "caf\u00e9 \U0001f600 \t\x01", "\ufffd(")


def test_metrics(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """probe prometheus and its macros: the text is as its format has it, whatever the labels are."""
    script = f"""
        global reads, moved
        probe begin {{ {WORDS} moved["vda", 1] = 9223372036854775807 }}
        probe prometheus {{
            @prometheus_dump_array1(reads, "reads", "who")
            @prometheus_dump_array2(moved, "moved", "disk", "way")
        }}
    """
    done = run(series, guests, capsys, script, "cat /proc/systemtap/stap_*/__prometheus")
    assert (done.stderr, done.status) == (b"", 0)
    reads = {("reads", key): number for key, number in zip(KEYS, (3, -4, 5, 6), strict=True)}
    assert metrics(done.stdout.decode()) == reads | {("moved", "vda", "1"): 2**63 - 1}


def test_any_text_is_json(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """Names, descriptions and values with all that JSON escapes, and with what is no UTF-8."""
    script = f"""
        global reads
        probe begin {{
            {WORDS}
            json_set_prefix("a\\t\\"b\\"")
            foreach (k in reads) json_add_string_metric(k, k . k)
        }}
        probe json_data {{
            @json_output_data_start
            foreach (k in reads) {{ @json_output_string_value(k, k) }}
            @json_output_data_end
        }}
    """
    done = run(series, guests, capsys, script, "cd /proc/systemtap/stap_*; cat metadata.json data.json")
    assert (done.stderr, done.status) == (b"", 0)
    described, told = map(json.loads, done.stdout.decode().splitlines())
    assert described["prefix"] == 'a\t"b"'
    assert {m["name"]: m["description"] for m in described["metrics"]} == {key: key * 2 for key in KEYS}
    assert told["data"] == {key: key for key in KEYS}


JSON = """
probe begin {
    json_set_prefix("calls")
    printf("%d %d %d %d\\n", json_add_numeric_metric("n", "a number", "count"), json_add_string_metric("s", "a text"),
           json_add_array("cpu", "each CPU"), json_add_numeric_metric("n", "again", ""))
    printf("%d %d %d\\n", json_add_array_numeric_metric("cpu", "load", "how busy", "percent"),
           json_add_array_string_metric("cpu", "state", "what it does"), json_add_array_string_metric("no", "x", "y"))
}
probe json_data {
    @json_output_data_start
    @json_output_numeric_value("n", -42)
    @json_output_string_value("s", "a \\"word\\"")
    @json_output_array_numeric_value("cpu", "cpu0", "load", 7)
    @json_output_array_string_value("cpu", "cpu0", "state", "idle")
    @json_output_array_numeric_value("cpu", "cpu1", "load", 9)
    @json_output_data_end
}
"""


def test_metrics_as_json(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """What json_* describes and probe json_data tells is JSON with those names and values."""
    done = run(series, guests, capsys, JSON, "cd /proc/systemtap/stap_*; cat metadata.json data.json")
    assert (done.stderr, done.status) == (b"", 0)
    lines = done.stdout.decode().splitlines()
    assert [line for line in lines if line[0] != "{"] == ["0 0 0 -1", "0 0 -1"]
    described, told = (json.loads(line) for line in lines if line[0] == "{")
    assert (described["prefix"], told["generation"]) == ("calls", 0)
    metrics = {m["name"]: m for m in described["metrics"]}
    assert {name: m["type"] for name, m in metrics.items()} == {"n": "integer", "s": "string", "cpu": "array"}
    assert (metrics["n"]["units"], metrics["s"]["description"]) == ("count", "a text")
    assert {m["name"]: m["type"] for m in metrics["cpu"]["metrics"]} == {"load": "integer", "state": "string"}
    assert told["data"] == {
        "n": -42,
        "s": 'a "word"',
        "cpu": [{"__id": "cpu0", "load": 7, "state": "idle"}, {"__id": "cpu1", "load": 9}],
    }


def test_standard_input_s_lines(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """input.line joins what is written until the newline."""
    script = 'probe input.line { printf("<%s>", line) } probe input.char { printf("%s.", char) }'
    command = "cd /proc/systemtap/stap_*; for c in a b 'c\\n'; do printf $c > __stdin; done"
    done = run(series, guests, capsys, script, command)
    assert (done.stderr, done.status) == (b"", 0)
    assert done.stdout == b"a.b.<abc\n>c\n."


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('probe procfs("a").write { $value = "x" }', "cannot assign to the text '$value': it can only be read"),
        ('probe procfs("a").read { $value += 1 }', "cannot assign to the text '$value': invalid operator +="),
        ('probe procfs("../a").read { $value = "" }', "must be relative"),
        ('probe procfs("cmd").read { $value = "" }', "taken by the module itself"),
        ('probe procfs("a").read.maxsize(0) { $value = "" }', "maxsize must be from 1"),
    ],
)
def test_refused(script: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-p2", "-r", "6.1", "-e", script]) == 1
    assert message in capsys.readouterr().err
