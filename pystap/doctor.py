"""What a kernel and this machine offer: asked all at once by --doctor, and what is needed before anything is compiled.

Each check names what lacks and the command that mends it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pystap.diagnostics import StapError
from pystap.options import Options
from pystap.target import Target

# What a module's runtime needs of any kernel, and what for.
_CONFIG = {
    "MODULES": "loading modules",
    "MODULE_UNLOAD": "unloading modules",
    "RELAY": "the output channel",
    "PROC_FS": "the control files",
    "KALLSYMS": "symbol names",
    "PERF_EVENTS": "deferred wake-ups",
}
# What some probes need: engine -> options.
_ENGINE_CONFIG = {
    "kprobe": ("KPROBES",),
    "kretprobe": ("KPROBES", "KRETPROBES"),
    "fentry": ("FUNCTION_TRACER",),
    "tracepoint": ("TRACEPOINTS",),
    "uprobe": ("UPROBES",),
    "perf": ("PERF_EVENTS",),
    "hwbreakpoint": ("HAVE_HW_BREAKPOINT",),
    "netfilter": ("NETFILTER",),
    "timer": ("HIGH_RES_TIMERS",),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    remedy: str = ""
    needed: bool = True  # False: pystap works without it, only less well


def run(options: Options) -> int:
    """--doctor: prints every finding; exit status 1 when something needed lacks."""
    from pystap.run import kernels

    target = Target.of(options.release, kernels.find if options.release and "/" not in options.release else None)
    print(f"kernel {target.release}{' (running)' if target.running else ''}")
    findings = list(examine(target))
    for finding in findings:
        mark = "ok     " if finding.good else ("MISSING" if finding.needed else "absent ")
        print(f"  {mark} {finding.subject}")
        if not finding.good and finding.remedy:
            print(f"            {finding.remedy}")
    return 0 if all(f.good or not f.needed for f in findings) else 1


def examine(target: Target) -> Iterator[Finding]:
    """Everything worth knowing, in the order in which a session would stumble over it."""
    yield from _configuration(target, _CONFIG)
    yield from _engines(target)
    yield _headers(target)
    yield from _types(target)
    yield from _tools(target)
    if target.running:
        yield from _running(signing=False)
    yield from _guest()


def require_build(target: Target) -> None:
    """Before compiling: headers and the runtime's own needs; raises StapError naming the first that lacks."""
    _raise_first([_headers(target), *_configuration(target, _CONFIG), *_tools(target)], target)


def require_engines(target: Target, engines: Iterable[str]) -> None:
    """Before compiling: the kernel's options behind the probes that a script uses."""
    wanted = {o: f"{engine} probes" for engine in engines for o in _ENGINE_CONFIG.get(engine, ())}
    _raise_first(_configuration(target, wanted), target)


def require_run(target: Target, options: Options) -> None:
    """Before compiling for pass 5: a place to run the module."""
    if options.vm is not None:
        _raise_first([f for f in _guest() if f.needed or not f.good], target)
    elif target.running:
        _raise_first(list(_running(signing=options.sign_module is not None)), target)


def _raise_first(findings: Iterable[Finding], target: Target) -> None:
    for finding in findings:
        if not finding.good:
            remedy = f"\n  {finding.remedy}" if finding.remedy else ""
            raise StapError(f"kernel {target.release}: {finding.subject} is missing{remedy}")


def _configuration(target: Target, wanted: dict[str, str]) -> Iterator[Finding]:
    if not target.kconfig:
        return  # nothing is known: the headers' check says so
    for name, purpose in wanted.items():
        remedy = "run the script on a kernel that has it: pystap --vm"
        yield Finding(f"CONFIG_{name} ({purpose})", target.has_config(name), remedy)


def _engines(target: Target) -> Iterator[Finding]:
    wanted = {option: f"{engine} probes" for engine, names in _ENGINE_CONFIG.items() for option in names}
    for finding in _configuration(target, wanted):
        yield Finding(finding.subject, finding.good, "such probes are refused on this kernel", needed=False)


def _headers(target: Target) -> Finding:
    release = target.release
    remedy = f"apt-get install linux-headers-{release}, or: pystap-prep {release}"
    if target.running and shutil.which("qemu-system-x86_64"):
        remedy += "; or run the script on another kernel: pystap --vm"
    return Finding(f"kernel headers of {release}", target.build_tree is not None, remedy)


def _types(target: Target) -> Iterator[Finding]:
    release = target.release
    image = f"apt-get install linux-image-{release}, or: pystap-prep {release}"
    yield Finding("kernel symbols", _answers(target.symbols), image, needed=False)
    yield Finding("types and arguments (BTF)", target.btf is not None, image, needed=False)
    found = target.debuginfo is not None and target.debuginfo.exists()
    yield Finding("debug-info (lines, locals, inlines)", found, target.debuginfo_advice, needed=False)


def _answers(question: Callable[[], object]) -> bool:
    try:
        question()
    except Exception:
        return False
    return True


def _tools(target: Target) -> Iterator[Finding]:
    from pystap.build.kbuild import compiler_name

    compiler = compiler_name(target.build_tree) if target.build_tree else "gcc"
    for tool, package in ((compiler, compiler), ("make", "make"), ("ld", "binutils")):
        yield Finding(f"the program {tool}", shutil.which(tool) is not None, f"apt-get install {package}")


def _running(signing: bool) -> Iterator[Finding]:
    yield Finding(
        "permission to load modules (root)", os.geteuid() == 0, "run pystap as root, or in a guest: pystap --vm"
    )
    yield Finding(
        "loading of modules (kernel.modules_disabled is 0)",
        os.path.exists("/proc/modules") and _read("/proc/sys/kernel/modules_disabled") in {"0", ""},
        "reboot, or run the script in a guest: pystap --vm",
    )
    yield from _signatures(signing)


def _signatures(signing: bool) -> Iterator[Finding]:
    """Whether the kernel loads modules without a signature that it can check."""
    remedy = "sign the module with a key that the kernel knows: --sign-module[=DIR]; or run it in a guest: pystap --vm"
    lockdown = re.search(r"\[(\w+)\]", _read("/sys/kernel/security/lockdown"))
    locked = lockdown is not None and lockdown[1] != "none"
    cause = " (lockdown, Secure Boot)" if _secure_boot() else " (lockdown)"
    yield Finding(f"loading of unsigned modules{cause if locked else ''}", signing or not locked, remedy)
    if not locked:
        enforced = _read("/sys/module/module/parameters/sig_enforce") == "Y"
        yield Finding("loading of unsigned modules (module.sig_enforce is off)", signing or not enforced, remedy)
    if lockdown is not None and lockdown[1] == "confidentiality":
        mend = "no probe can be armed under lockdown=confidentiality: boot with lockdown=integrity, or: pystap --vm"
        yield Finding("kprobes and perf events (lockdown is not confidentiality)", False, mend)


def _secure_boot() -> bool:
    """The firmware's own word: four bytes of attributes, and a 1."""
    for variable in Path("/sys/firmware/efi/efivars").glob("SecureBoot-*"):
        try:
            return variable.read_bytes()[4:5] == b"\1"
        except OSError:
            return False
    return False


def _guest() -> Iterator[Finding]:
    for tool, package in (("qemu-system-x86_64", "qemu-system-x86"), ("busybox", "busybox-static")):
        yield Finding(f"{tool} (for --vm)", shutil.which(tool) is not None, f"apt-get install {package}", needed=False)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
