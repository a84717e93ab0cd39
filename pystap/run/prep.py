"""pystap-prep: fetches what a kernel needs from Debian's packages into pystap's own store, without installing anything.

The image (for --vm), the headers (to build modules) and, on demand, the debug symbols.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pystap.diagnostics import StapError
from pystap.run import kernels

FLAVOUR = "cloud-amd64"
REALTIME_FLAVOUR = "rt-amd64"
EXACT = re.compile(r"^\d+\.\d+.*-[a-z0-9-]*amd64$")
# Debian's kernels since 7.0: linux-image only depends on the packages that have the image and the modules.
_IMAGE_PARTS = "binary|modules|base"
_HEADER_PARTS = "headers|kbuild"  # of which neighbouring kernels share some
_PACKAGE = re.compile(rf"^linux-(?:image|{_IMAGE_PARTS}|{_HEADER_PARTS})-(?:unsigned-)?(\d.*?)(?:-dbg|-unsigned)?$")
UPDATE_HINT = "if it should be there, refresh the package lists: apt-get update"


def main(arguments: list[str] | None = None) -> int:
    """The command line of pystap-prep; returns its exit status."""
    options = _options(arguments)
    try:
        _prepare(options)
    except StapError as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return 1
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pystap-prep", description="Fetches a kernel for --vm, and its headers, from Debian's packages."
    )
    parser.add_argument(
        "release",
        nargs="*",
        default=[],
        help="a release (6.1.0-56-cloud-amd64), the beginning of one (6.12: its newest cloud kernel, "
        f"6.12-rt: the newest with PREEMPT_RT), or package files (*.deb); "
        f"default: {kernels.DEFAULT_SERIES}, or the kernel of this Debian where it has no {kernels.DEFAULT_SERIES}",
    )
    parser.add_argument("--debuginfo", action="store_true", help="fetch the debug symbols as well (about 300 MB)")
    parser.add_argument("--no-headers", action="store_true", help="fetch the image only")
    parser.add_argument("--list", action="store_true", help="list the kernels that are there, and fetch nothing")
    return parser.parse_args(arguments)


def _prepare(options: argparse.Namespace) -> None:
    if options.list:
        for release in kernels.releases():
            print(_summary(release))
        return
    packages = [Path(word) for word in options.release if word.endswith(".deb")]
    if packages:
        _unpack_given(packages)
        return
    for release in [resolve(word) for word in options.release] or [_default()]:
        _fetch(release, _missing(release, headers=not options.no_headers, debuginfo=options.debuginfo))
        if options.debuginfo:
            _index(release)
        print(_summary(release))


def _index(release: str) -> None:
    """Makes the index of the kernel's functions now, so that the first script need not wait for it."""
    from pystap.target import Target

    dwarf = Target.of(release, kernels.find).dwarf()
    if dwarf is not None:
        dwarf.index.variables("")


def resolve(wanted: str) -> str:
    """The release that a release, or the beginning of one, stands for: the newest that Debian's archive has."""
    if EXACT.match(wanted):
        return wanted
    # An archive knows many kernels; only those of this series and flavour are asked for.
    series = wanted.removesuffix(kernels.REALTIME)
    flavour = FLAVOUR if series == wanted else REALTIME_FLAVOUR
    pattern = f"^linux-image-{re.escape(series)}[.+-].*{flavour}$"
    found = _output(["apt-cache", "search", "--names-only", pattern]).splitlines()
    releases = {line.split(" ")[0].removeprefix("linux-image-") for line in found}
    numbered = [r for r in releases if re.match(r"^\d+\.\d+\.\d", r)]
    if not numbered:
        raise StapError(f"Debian's archive has no {flavour} kernel {series}; {UPDATE_HINT}")
    return max(numbered, key=kernels.version_key)


def _default() -> str:
    """The newest of the series that --vm prefers, or the one that this Debian itself runs on."""
    try:
        return resolve(kernels.DEFAULT_SERIES)
    except StapError:
        depends = _output(["apt-cache", "depends", f"linux-image-{FLAVOUR}"])
        found = re.search(r"Depends: linux-image-(\d\S+)", depends)
        if found is None:
            raise
        return found[1]


def _summary(release: str) -> str:
    kernel = kernels.find(release)
    parts = (("image", kernel.vmlinuz), ("headers", kernel.build_tree), ("debug symbols", kernel.debuginfo))
    return f"{release}: " + ", ".join(f"{what} {path or 'not there'}" for what, path in parts)


def _missing(release: str, headers: bool, debuginfo: bool) -> list[str]:
    """The packages that make this kernel complete."""
    known = kernels.find(release) if release in kernels.releases() else None
    packages: list[str] = []
    if known is None or known.vmlinuz is None or known.modules_dir is None:
        packages += _with_parts(f"linux-image-{release}", _IMAGE_PARTS)
    if headers and (known is None or known.build_tree is None):
        packages += _with_parts(f"linux-headers-{release}", _HEADER_PARTS)
    if debuginfo and (known is None or known.debuginfo is None):
        packages.append(f"linux-image-{release}-dbg")
    return packages


def _with_parts(package: str, parts: str) -> list[str]:
    """A package, and those of the same kernel that it depends on."""
    depends = _output(["apt-cache", "depends", package])
    if "Depends:" not in depends:
        raise StapError(f"there is no package {package}; {UPDATE_HINT}")
    return [package, *re.findall(rf"^\s*Depends: (linux-(?:{parts})-\d\S+)", depends, re.MULTILINE)]


def _fetch(release: str, packages: list[str]) -> None:
    target = kernels.store() / release
    with tempfile.TemporaryDirectory(dir=kernels.store(), prefix=".fetch-") as work:
        for package in packages:
            print(f"fetching {package} ...", flush=True)
            _unpack(_download(package, Path(work)), Path(work, "root"))
        _relocate(Path(work, "root"), target)
        _move(Path(work, "root"), target)


def _download(package: str, directory: Path) -> Path:
    before = set(directory.glob("*.deb"))
    # As root apt would hand the work to a user who may not write here.
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", package]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    new = set(directory.glob("*.deb")) - before
    if done.returncode or len(new) != 1:
        reason = "\n  ".join(done.stderr.strip().splitlines()[-3:])
        raise StapError(f"cannot fetch {package}:\n  {reason}\n  {UPDATE_HINT}")
    return new.pop()


def _unpack(package: Path, root: Path) -> None:
    done = subprocess.run(["dpkg-deb", "-x", str(package), str(root)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise StapError(f"cannot unpack {package.name}: {done.stderr.strip()}")


def _unpack_given(packages: list[Path]) -> None:
    """Packages that were fetched by other means; what neighbouring kernels share goes to each of those given."""
    versions = {package: _version(package) for package in packages}
    releases = sorted({version for version in versions.values() if EXACT.match(version)})
    for package, version in versions.items():
        users = [r for r in releases if r == version or (version not in releases and r.startswith(f"{version}-"))]
        if not users:
            raise StapError(f"{package.name} serves several kernels: give it together with the headers of one")
        for release in users:
            with tempfile.TemporaryDirectory(dir=kernels.store(), prefix=".fetch-") as work:
                _unpack(package, Path(work, "root"))
                _relocate(Path(work, "root"), kernels.store() / release)
                _move(Path(work, "root"), kernels.store() / release)
    for release in releases:
        print(_summary(release))


def _version(package: Path) -> str:
    """The release that a package is for, or the beginning of those that share it."""
    name = _output(["dpkg-deb", "-f", str(package), "Package"]).strip()
    match = _PACKAGE.match(name)
    if match is None:
        raise StapError(f"{package.name} is package {name}, not a kernel's image, headers or debug symbols")
    return match[1].removesuffix("-common").removesuffix("-common-rt")


def _relocate(root: Path, target: Path) -> None:
    """Gives headers, which name each other by absolute path, the paths here, and modules the folder of all kernels."""
    for makefile in root.glob("usr/src/linux-headers-*/Makefile"):
        text = makefile.read_text()
        moved = re.sub(r"^(include |KBUILD_OUTPUT=)/usr/src/", rf"\g<1>{target}/usr/src/", text, flags=re.MULTILINE)
        if moved != text:
            makefile.write_text(moved)
    merged = root / "usr/lib/modules"  # where /lib is a link to /usr/lib
    if merged.is_dir():
        shutil.copytree(merged, root / "lib/modules", symlinks=True, copy_function=os.replace, dirs_exist_ok=True)
        shutil.rmtree(merged)


def _move(root: Path, target: Path) -> None:
    """Adds what was unpacked to what is there."""
    if not target.exists():
        os.replace(root, target)
    elif root.exists():
        shutil.copytree(root, target, symlinks=True, dirs_exist_ok=True)


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise StapError(f"pystap-prep needs Debian's {command[0]}; give it package files (*.deb) instead") from None
    except subprocess.CalledProcessError as error:
        raise StapError(f"{' '.join(command)}: {error.stderr.strip()}; {UPDATE_HINT}") from None


if __name__ == "__main__":
    sys.exit(main())
