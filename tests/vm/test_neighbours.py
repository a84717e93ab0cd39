"""What other tracers offer, as scripts; a tapset that the user overrides; a kernel that lacks something."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pystap import cli, paths
from tests.support.kernels import Guests, available

pytestmark = pytest.mark.vm
Run = Callable[..., str]


@pytest.fixture
def run(series: str, guests: Guests, capsys: pytest.CaptureFixture[str]) -> Run:
    """Compiles a script, runs it while the command runs, and gives what it prints."""

    def run(script: str, command: str, *options: str) -> str:
        status = cli.main(["-p4", "-w", "-r", series, *options, "-e", script])
        compiled = capsys.readouterr()
        assert status == 0, compiled.err
        guests.get(series).put("/tmp/command", f"({command}) > /dev/null".encode())
        done = guests.run(series, Path(compiled.out.strip()), options=("-c", "sh /tmp/command"))
        assert (done.stderr, done.status) == (b"", 0)
        return done.stdout.decode()

    return run


def test_function_graph(run: Run) -> None:
    """Calls as ftrace's function_graph draws them: nested by braces, each with its duration."""
    points = ", ".join(f'kernel.function("{name}").{{}}' for name in ("do_sys_openat2", "vfs_open", "do_dentry_open"))
    script = f"""
        global depth, entered
        probe {points.format("call", "call", "call")} {{
            if (execname() != "head") next
            printf("%*s%s() {{\\n", depth[tid()] * 2, "", ppfunc())
            entered[tid(), depth[tid()]++] = gettimeofday_ns()
        }}
        probe {points.format("return", "return", "return")} {{
            if (execname() != "head" || !depth[tid()]) next
            took = gettimeofday_ns() - entered[tid(), --depth[tid()]]
            printf("%*s}} %s %d\\n", depth[tid()] * 2, "", ppfunc(), took > 0)
        }}
    """
    wanted = (
        "do_sys_openat2() {\n  vfs_open() {\n    do_dentry_open() {\n    } do_dentry_open 1\n"
        "  } vfs_open 1\n} do_sys_openat2 1\n"
    )
    assert wanted in run(script, "head /etc/hostname")


def test_filtered_allocations(run: Run) -> None:
    """As trace-cmd's filter on kmem:kmalloc: only requests beyond 1000 bytes, each with its size."""
    script = """
        global all, large, least = 1073741824
        probe kernel.trace("kmem:kmalloc") {
            all++
            if ($bytes_req > 1000) { large++; if ($bytes_req < least) least = $bytes_req }
        }
        probe end { printf("%d %d %d\\n", all > large, large > 0, least > 1000) }
    """
    assert run(script, "for i in 1 2 3 4; do head /etc/hostname; done; dmesg") == "1 1 1\n"


def test_sampling(run: Run) -> None:
    """As perf: who runs at each tick; a busy loop is on top, or next to an idle CPU."""
    script = """
        global samples
        probe timer.profile { samples[execname()] <<< 1 }
        probe end { foreach (name in samples- limit 2) if (name != "swapper/0" && name != "swapper/1") println(name) }
    """
    assert run(script, "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done") == "sh\n"


def test_another_indentation(run: Run, tmp_path: Path) -> None:
    """A copy of indent.stp with another prefix replaces the library's, private functions and all."""
    text = (paths.tapsets() / "indent.stp").read_text()
    old = 'return sprintf("%6d %s:%-*s", since, desc, depth, "")'
    assert old in text
    (tmp_path / "indent.stp").write_text(text.replace(old, 'return sprintf("%s:%-*s", desc, depth, "")'))
    script = """
        probe kernel.function("vfs_open").call, kernel.function("do_dentry_open").call {
            if (execname() == "head") printf("%s->%s\\n", thread_indent(2), ppfunc())
        }
        probe kernel.function("vfs_open").return, kernel.function("do_dentry_open").return {
            if (execname() == "head") thread_indent(-2)
        }
    """
    lines = run(script, "head /etc/hostname", "-I", str(tmp_path)).splitlines()
    assert len(lines) >= 2
    assert len(lines) % 2 == 0
    for outer, inner in zip(lines[::2], lines[1::2], strict=True):
        assert re.fullmatch(r"head\(\d+\):->vfs_open", outer)
        assert re.fullmatch(r"head\(\d+\):  ->do_dentry_open", inner)
    plain = run(script, "head /etc/hostname").splitlines()
    assert re.fullmatch(r" *\d+ head\(\d+\):->vfs_open", plain[0])


@pytest.mark.parametrize("option", ["UPROBES", "RELAY"])
def test_a_kernel_without_it(series: str, option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One clear error before anything is compiled, and --doctor names the option."""
    kernel = available(series)
    assert kernel is not None
    assert kernel.build_tree is not None
    for entry in kernel.build_tree.iterdir():
        if entry.name != ".config":
            (tmp_path / entry.name).symlink_to(entry.resolve())
    config = (kernel.build_tree / ".config").read_text()
    (tmp_path / ".config").write_text(config.replace(f"CONFIG_{option}=y", f"# CONFIG_{option} is not set"))
    script = 'probe process("/bin/busybox").begin, process("/bin/busybox").function("main") { println(pp()) }'
    assert cli.main(["-p4", "-r", str(tmp_path), "-e", script]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert len(re.findall(r"(?:semantic error: |ERROR: ).*CONFIG_", said.err)) == 1, said.err
    assert f"CONFIG_{option}" in said.err
    assert "Traceback" not in said.err
    assert cli.main(["-r", str(tmp_path), "--doctor"]) in (0, 1)
    assert re.search(rf"(MISSING|absent ) CONFIG_{option} ", capsys.readouterr().out)
