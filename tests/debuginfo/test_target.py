"""The kernels of the store, from their boot images alone, against their own debug files where these are there."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from pystap.debuginfo.ctype import spell
from pystap.debuginfo.elf import Elf
from pystap.debuginfo.spec import Spec
from pystap.diagnostics import StapError, Unresolved
from pystap.run import kernels
from pystap.target import Target
from tests.support.kernels import available

pytestmark = pytest.mark.headers


@cache
def target(series: str) -> Target:
    return Target.of(series, kernels.find)


def debug_file(series: str) -> Path:
    kernel = available(series)
    if kernel is None or kernel.debuginfo is None:
        pytest.skip(f"no debug-info of kernel {series}: pystap-prep --debuginfo {series}")
    return kernel.debuginfo


def test_the_boot_image_and_the_debug_file_are_of_one_build(series: str) -> None:
    assert Elf.open(debug_file(series)).build_id() == target(series).build_id


def test_kallsyms_are_the_symbols_of_the_debug_file(series: str) -> None:
    theirs = {(s.name, s.value) for s in Elf.open(debug_file(series)).symbols()}
    ours = {(s.name, s.address) for s in target(series).symbols().symbols("*")}
    assert len(ours) > 80000
    assert ours <= theirs


def test_functions_that_start_with_an_ftrace_call(series: str) -> None:
    symbols = target(series).symbols()
    read, trap, boot = (symbols.lookup(n) for n in ("vfs_read", "do_int3", "start_kernel"))
    assert read is not None and trap is not None and boot is not None  # noqa: PT018
    assert (read.has_fentry, read.probeable) == (True, True)
    assert (trap.probeable, boot.probeable) == (False, False)


def test_prototypes_and_tracepoints(series: str) -> None:
    info = target(series).kernel_info()
    prototype = info.prototype("vfs_read")
    assert prototype is not None
    assert spell(prototype) == "ssize_t (struct file*, char*, size_t, loff_t*)"
    [found] = info.tracepoints("sched:sched_switch")
    names = [f"{name}:{spell(ctype)}" for name, ctype in found.arguments]
    assert names == ["preempt:bool", "prev:struct task_struct*", "next:struct task_struct*", "prev_state:unsigned int"]
    assert all(t.system for t in target(series).tracepoints("*"))


def test_btf_and_dwarf_know_the_same_struct(series: str) -> None:
    debug_file(series)
    dwarf = target(series).dwarf()
    assert dwarf is not None
    [entry] = dwarf.entries(Spec("vfs_read"))
    file = dwarf.scope_at(entry).lookup("file").type
    assert spell(file) == "struct file*"
    theirs = target(series).kernel_info().type("struct file")
    ours = file.target.get()  # type: ignore[union-attr]
    assert [(m.name, m.offset_bits) for m in ours.members] == [(m.name, m.offset_bits) for m in theirs.members]  # type: ignore[union-attr]


def test_modules_by_name(series: str) -> None:
    info = target(series).module_info("nf-nat")
    assert "nf_nat_setup_info" in {f.name for f in info.functions("nf_nat_*")}
    with pytest.raises(Unresolved, match=r"no module 'nf_natt' under .*/lib/modules/") as caught:
        target(series).module_path("nf_natt")
    assert "nf_nat" in caught.value.similar
    assert caught.value.hint == "a module elsewhere can be given by its path"


def test_a_module_that_is_built_in(series: str) -> None:
    with pytest.raises(Unresolved, match="no module 'ext4'") as caught:
        target(series).module_path("ext4")
    assert caught.value.hint.startswith("ext4 is built into this kernel: kernel.function(")


def test_a_tree_that_is_none() -> None:
    with pytest.raises(StapError, match=r"no configured kernel build tree.*modules_prepare"):
        Target.of("/nonexistent/tree")


def test_configuration_and_exports(series: str) -> None:
    assert target(series).has_config("KPROBES")
    assert not target(series).has_config("CONFIG_NO_SUCH_OPTION")
    assert target(series).exports["register_kprobe"] == "EXPORT_SYMBOL_GPL"
