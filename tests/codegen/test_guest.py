"""Modules under load in a guest of two CPUs: nothing is lost, nothing hangs, what is bad fails its handler alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kernels import Guests, available

pytestmark = [pytest.mark.vm, pytest.mark.slow]

READ = "dd if=/dev/zero of=/dev/null bs=1 count=50 2>/dev/null"
LOAD = f"for i in 1 2 3 4; do (for k in $(seq 10); do {READ}; done) & done; wait"


def built(script: str, series: str, *options: str) -> Path:
    """A script's module."""
    kernel = available(series)
    assert kernel is not None
    command = [sys.executable, "-m", "pystap", "-p4", "-g", "-r", kernel.release, *options, "-e", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip().splitlines()[-1])


def said(guests: Guests, series: str, script: str, *options: str, load: str = LOAD) -> tuple[str, str]:
    """What a script printed while the load ran."""
    finished = guests.run(series, built(script, series, *options), options=("-c", load))
    return finished.stdout.decode(), finished.stderr.decode()


def test_every_way_of_counting_agrees(guests: Guests, series: str) -> None:
    script = """
    global n, m, a, s, sa, t
    probe kernel.function("vfs_read").call {
      n++; m = m + 1; a[tid(), execname()]++; s <<< 1; sa[execname()] <<< 2; t[cpu()] .= "x"
    }
    probe end {
      foreach ([i, e] in a) total += a[i, e]
      foreach (e in sa) { count += @count(sa[e]); sum += @sum(sa[e]) }
      printf("counts %d %d %d %d %d %d\\n", n > 2000, n - m, n - total, n - @count(s), n - count, 2 * n - sum)
    }
    """
    out, err = said(guests, series, script, "-DMAXMAPENTRIES=4096", "-DMAXTRYLOCK=10000", "-DSTP_NO_OVERLOAD")
    assert "counts 1 0 0 0 0 0" in out, out + err
    assert "skipped" not in err


def test_bad_addresses_fail_the_handler_and_no_more(guests: Guests, series: str) -> None:
    script = """
    global bad
    probe kernel.function("vfs_read").call {
      foreach (address in bad) {
        try { x = @kderef(8, address); n++ } catch (m) { c++ }
        try { x = @uderef(4, address); n++ } catch (m) { c++ }
      }
      if (execname() == "dd") { printf("good %d caught %d%s\\n", n, c, x ? "!" : ""); exit() }
    }
    probe begin {
      bad[0] = 1; bad[8] = 1; bad[-1] = 1; bad[-8] = 1; bad[0x8000000000000000] = 1; bad[0x00007fffffffffff] = 1
      bad[0x0000800000000000] = 1; bad[0xffff000000000000] = 1; bad[0xfeffffffffffffff] = 1; bad[0xff00000000000000] = 1
    }
    """
    out, err = said(guests, series, script, load=READ)
    assert "good 0 caught 20" in out, out + err


def test_a_reader_that_waits_for_a_writer_gives_up(guests: Guests, series: str) -> None:
    script = """
    global g
    probe kernel.function("vfs_read").call { for (i = 0; i < 900; i++) g = g + i }
    probe timer.ms(1) { for (i = 0; i < 900; i++) g = g ^ i }
    probe end { println("alive") }
    """
    defines = ("-DMAXTRYLOCK=1", "-DTRYLOCKDELAY=1", "-DMAXSKIPPED=1000000", "-DMAXACTION=10000")
    out, err = said(guests, series, script, *defines)
    assert "alive" in out, out + err
    assert "ERROR" not in err, err


def test_deep_recursion_stops_before_the_stack_does(guests: Guests, series: str) -> None:
    script = """
    function r(n) { return n > 0 ? r(n - 1) + 1 : 0 }
    probe kernel.function("vfs_read").call {
      if (execname() == "dd") { try { println(r(100000)) } catch (m) { println(m) } exit() }
    }
    """
    options = ("-DMAXNESTING=100000", "-DMAXACTION=1000000")
    out, err = said(guests, series, script, *options, load=READ)
    assert "MAXNESTING exceeded" in out, out + err


def chain(length: int, kept: int) -> str:
    """Functions that call each other without recursion, and keep their locals meanwhile."""
    functions = []
    for n in range(length):
        called = f"f{n + 1}(y, x + 1)" if n < length - 1 else "x"
        makes = " ".join(f"a{k} = a{k - 1} * y + x" for k in range(1, kept))
        total = " ^ ".join(f"a{k}" for k in range(kept))
        body = f"a0 = x {makes} r = 0 if (y != 123456) r += {called} if (y == 654321) r += {called}"
        functions.append(f"function f{n}(x, y) {{ {body} return r + ({total}) }}")
    return "\n".join(functions)


def test_a_long_chain_of_calls_stops_before_the_stack_does(guests: Guests, series: str) -> None:
    script = f"""{chain(200, 18)}
    probe begin {{ try {{ println(f0(1, 2)) }} catch (m) {{ println(m) }} exit() }}
    """
    out, err = said(guests, series, script, "-DMAXACTION=100000")
    assert "too little kernel stack left for another call" in out, out + err


def test_errors_stop_the_session_after_maxerrors(guests: Guests, series: str) -> None:
    script = (
        'probe kernel.function("vfs_read").call { println(1 / (tid() - tid())) } probe error { println("error probe") }'
    )
    out, err = said(guests, series, script, "-DMAXERRORS=2")
    assert out.count("error probe") == 1
    assert 3 <= err.count("ERROR: division by 0 near operator '/'") <= 4, err
