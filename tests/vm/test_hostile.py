"""Text that tries to get out of the C literal, comment, shell word or module parameter into which pystap puts it."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from pystap import cli
from tests.support.kernels import Guests

pytestmark = pytest.mark.vm

# Ends strings, comments, lines and trigraphs; would not compile outside of where it belongs.
EVIL = "\"; #error evil\n*/ int evil = 1; /* ??/ \\\n' %> $(touch /tmp/evil) `touch /tmp/evil` ; touch /tmp/evil \\"
SPELT = EVIL.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")  # in a script's literal
LINE = EVIL.replace("\n", " ")
FOLDER, FILE = "a *", '\\"; #error evil % .stp'  # with the slash between them the end of a comment


def built(series: str, capsys: pytest.CaptureFixture[str], *words: str) -> Path:
    status = cli.main(["-p4", "-w", "-r", series, *words])
    done = capsys.readouterr()
    assert (status, done.err) == (0, "")
    return Path(done.out.rstrip("\n"))


def said(guests: Guests, series: str, module: Path, *words: str) -> tuple[str, str]:
    done = guests.run(series, module, *words)
    assert guests.sh(series, "ls /tmp/evil").status != 0
    return done.stdout.decode(), done.stderr.decode()


def test_literals_arguments_and_parameters(guests: Guests, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Constants, formats, @1 (quoted), $1 (as it stands), keys, regular expressions, -G, --modinfo."""
    percent = SPELT.replace("%", "%%")
    script = f"""
        global seen, given = "none"
        probe begin {{
            println("{SPELT}")
            printf("{percent}\\n")
            println(@1)
            println(strlen($2))
            seen["{SPELT}"] = "{SPELT}"
            foreach (k in seen) println(k == seen[k])
            println("a*/b" =~ "^a\\\\*/b$|\\"; #error|/\\\\* evil")
            println(given)
            printf("%s|%s|", "{SPELT}", sprintf("{percent}"))
            exit()
        }}"""
    words = ["--modinfo", f"evil={LINE}", "-e", script, EVIL, f'"{SPELT}"']
    module = built(series, capsys, *words)
    stdout, stderr = said(guests, series, module, "given=a b'c; touch /tmp/evil $(touch /tmp/evil) */ \\ \n x=1")
    expected = f"{EVIL}\n{EVIL}\n{EVIL}\n{len(EVIL)}\n1\n1\na b'c; touch /tmp/evil $(touch /tmp/evil) */ \\ \n x=1\n"
    assert (stdout, stderr) == (f"{expected}{EVIL}|{EVIL}|", "")
    assert f"evil={LINE}".encode() + b"\0" in module.read_bytes()


def test_names_of_files_and_probes(
    guests: Guests, series: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The script's own name, which errors show; a probed program's; a procfs file's; all go into comments, too."""
    folder = tmp_path / FOLDER
    folder.mkdir()
    script, program = folder / FILE, folder / ("program" + FILE)
    shutil.copy("/bin/true", program)
    quoted = [str(text).replace("\\", "\\\\").replace('"', '\\"') for text in (program, FILE)]
    script.write_text(
        f"""probe process("{quoted[0]}").begin {{ println(pp()) }}
        probe procfs("{quoted[1]}").read {{ $value = pp() }}
        probe begin {{ println(pp()) }} probe timer.ms(1) {{ println(1 / (pid() - pid())) }}"""
    )
    module = built(series, capsys, str(script))
    guests.get(series).put("/tmp/copy", program.read_bytes(), 0o755)
    guests.sh(series, f"mkdir -p {shlex.quote(str(folder))}; cp /tmp/copy {shlex.quote(str(program))}")
    stdout, stderr = said(guests, series, module)
    assert stdout == "begin\n"
    assert stderr.startswith(f"ERROR: division by 0 near operator '/' at {script}:3:")


@pytest.mark.parametrize(
    "point",
    [
        'kernel.function("{}")',
        'kernel.function("vfs_read@{}")',
        'kernel.statement("{}@*:1")',
        'module("{}").function("*")',
        'kernel.trace("{}")',
        'process("{}").function("*")',
        'process("/bin/sh").mark("{}")',
        'perf.sw.cpu_clock.process("{}").counter("n")',
        'netfilter.hook("{}").pf("NFPROTO_IPV4")',
        'kernel.data("{}").write',
    ],
)
def test_points_that_mean_nothing(capsys: pytest.CaptureFixture[str], series: str, point: str) -> None:
    """An error about the point, and no file, command or traceback."""
    text = f"probe {point.format(SPELT)} {{ println(1) }}"
    assert cli.main(["-p4", "-r", series, "-e", text]) == 1
    said = capsys.readouterr().err
    assert said.startswith("semantic error: while resolving probe point: ")
    assert "mistake of its own" not in said
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("-D", 'X="evil"'),
        ("-D", "X=1;evil"),
        ("-G", "x=a;b"),
        ("-G", "x=$(id)"),
        ("-m", "../x"),
        ("-m", "a b"),
        ("-r", "6.1;id"),
        ("-S", "1;id"),
        ("--modinfo", "a b=c"),
        ("--modinfo", 'x") evil("=1'),
    ],
)
def test_options_with_more_than_they_may_hold(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    assert cli.main(["-p1", option, value, "-e", "probe begin {}"]) == 1
    assert f"ERROR: Safety pattern mismatch for {option} parameter ('{value}'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ['a"b', "a b", "$(touch /tmp/evil)", ";touch x", "a\nb", "`id`", "a:b", "a%b"])
def test_a_cache_whose_name_a_shell_would_take_apart(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    installed = sorted(Path("/lib/modules").glob("*/build/Makefile"))
    if not installed:
        pytest.skip("needs an installed kernel's headers")
    monkeypatch.setenv("PYSTAP_CACHE", str(tmp_path / name))
    assert cli.main(["-p4", "-r", installed[0].parent.parent.name, "-e", "probe begin { exit() }"]) == 1
    said = capsys.readouterr().err
    assert "makefiles do not take" in said
    assert "set PYSTAP_CACHE to another folder" in said
    assert not Path("/tmp/evil").exists()
