"""argv -> Options, and the messages of a wrong command line."""

from __future__ import annotations

import pytest

from pystap import cli
from pystap.cli import UsageError, parse


def test_script_and_arguments_are_permuted() -> None:
    options = parse(["a.stp", "-v", "one", "-vv", "two", "--", "-g"])
    assert options.script == "a.stp"
    assert options.arguments == ("one", "two", "-g")
    assert options.verbose == (3, 3, 3, 3, 3)
    assert not options.guru


def test_expression_leaves_all_words_as_arguments() -> None:
    options = parse(["-e", "probe begin {}", "5", "x"])
    assert options.expression == "probe begin {}"
    assert options.script is None
    assert options.arguments == ("5", "x")


def test_joined_values() -> None:
    options = parse(["-p4", "-DMAXACTION=10", "-DSTP_NO_OVERLOAD", "-Gx=3", "-T", "0.5", "--vp", "12", "-e", "x"])
    assert options.last_pass == 4
    assert options.defines == (("MAXACTION", "10"), ("STP_NO_OVERLOAD", "1"))
    assert options.defined("STP_NO_OVERLOAD") == "1"
    assert options.number("MAXACTION", 1000) == 10
    assert options.globals == (("x", "3"),)
    assert options.timeout == 0.5
    assert options.verbose == (1, 2, 0, 0, 0)


@pytest.mark.parametrize(("words", "release"), [(["--vm"], ""), (["--vm=6.12"], "6.12")])
def test_vm_takes_an_optional_release(words: list[str], release: str) -> None:
    assert parse([*words, "-e", "x"]).vm == release


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "A script must be specified."),
        (["-e", "a", "-e", "b"], "Only one script can be given on the command line."),
        (["-p9", "-e", "x"], "Invalid pass number (should be 1-5)."),
        (["-s", "0", "-e", "x"], "Invalid buffer size (should be 1-4095)."),
        (["-T", "0", "-e", "x"], "Invalid timeout interval."),
        (["-l", "x", "-L", "y"], "only one of the -l/-L/--dump-* switches"),
        (["-l", "x", "-e", "y"], "Cannot specify a script"),
        (["-c", "true", "-x", "1", "-e", "y"], "You can't specify -c and -x together."),
        (["-A", "stap_1", "-c", "true"], "You can't specify the '-c' and '-A' options together."),
        (["-S", "1,2", "-e", "y"], "You have to specify output FILE with '-S' option."),
        (["-g", "--privilege=stapusr", "-e", "y"], "You can't specify -g and --privilege"),
        (["-D", "A;rm", "-e", "y"], "Safety pattern mismatch for -D"),
        (["-G", "x", "-e", "y"], "Safety pattern mismatch for -G"),
        (["--nosuch", "-e", "y"], "--nosuch"),
        (["-Z", "-e", "y"], "-Z"),
        (["--suppress-time-limits", "-e", "y"], "'-g' before"),
        (["--vm", "-x", "1", "-e", "y"], "--vm and -x"),
    ],
)
def test_wrong_command_lines(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert message in str(caught.value)


def test_usage_errors_end_with_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["-p9", "-e", "x"]) == 1
    assert capsys.readouterr().err.endswith("Try '--help' for more information.\n")


def test_help_and_version_end_with_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: pystap")
    assert cli.main(["-V"]) == 0
    assert "pystap version" in capsys.readouterr().out


def test_options_of_a_script_s_first_line(tmp_path: object) -> None:
    from pathlib import Path

    script = Path(str(tmp_path)) / "s.stp"
    script.write_text("#!/usr/bin/stap -v -g\nprobe begin {}\n")
    assert cli._first_line_words(["-v -g", str(script), "x"]) == ["-v", "-g", str(script), "x"]
    assert cli._first_line_words(["-e", "-v -g"]) == ["-e", "-v -g"]


@pytest.mark.parametrize("name", ["nosuch.stp", "/"])
def test_unreadable_scripts(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([name]) == 1
    assert f"Input file '{name}'" in capsys.readouterr().err
