"""Types from headers that gcc compiles with BTF."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pystap import paths
from pystap.build.headers import finder
from pystap.build.kbuild import recipe
from pystap.debuginfo.ctype import Struct, find_member, offset_of, size_of
from pystap.diagnostics import Unresolved
from tests.support.kernels import available


def _writes_btf() -> bool:
    command = ["gcc", "-gbtf", "-x", "c", "-c", "-o", "/dev/null", "/dev/null"]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not _writes_btf(), reason="needs a gcc that writes BTF (12 or later)")


def test_a_header_of_programs(tmp_path: Path) -> None:
    find = finder(None, tmp_path, tmp_path)
    timeval = find("<sys/time.h>").type("struct timeval")
    assert isinstance(timeval, Struct)
    assert size_of(timeval) == 16
    found = find_member(timeval, "tv_usec")
    assert found is not None
    assert offset_of(found) == 64
    kept = list((tmp_path / "headers").iterdir())
    assert [k.suffix for k in kept] == [".btf"]
    assert find("<sys/time.h>") is find("<sys/time.h>")


def test_a_header_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unresolved, match=r"nosuch\.h: No such file"):
        finder(None, tmp_path, tmp_path)("<nosuch.h>")


def test_kernel_headers_need_a_tree(tmp_path: Path) -> None:
    with pytest.raises(Unresolved, match="no kernel headers"):
        finder(None, tmp_path, tmp_path)("kernel<linux/sched.h>")


def test_kernel_headers_after_the_installation_that_met_the_kernel_first_is_gone(tmp_path: Path) -> None:
    kernel = available("6.1")
    if kernel is None or kernel.build_tree is None:
        pytest.skip("no kernel 6.1: pystap-prep 6.1")
    shutil.copytree(paths.runtime(), tmp_path / "gone")
    recipe(kernel.build_tree, tmp_path, tmp_path / "gone")
    shutil.rmtree(tmp_path / "gone")
    find = finder(kernel.build_tree, tmp_path, paths.runtime())
    entry = find("kernel<linux/netfilter_ipv4/ip_tables.h>").type("struct ipt_entry")
    assert isinstance(entry, Struct)
    assert size_of(entry) == 112
