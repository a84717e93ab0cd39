"""pystap-prep with packages made here; what the network would bring is left to a person."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pystap.run import kernels, prep

RELEASE = "9.9.9+test-cloud-amd64"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYSTAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def package(tmp_path: Path, name: str, files: dict[str, str]) -> str:
    root = tmp_path / name
    for path, content in {"DEBIAN/control": CONTROL.format(name=name), **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    made = tmp_path / f"{name}.deb"
    subprocess.run(["dpkg-deb", "-b", root, made], check=True, capture_output=True)
    return str(made)


CONTROL = "Package: {name}\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <n@example.org>\nDescription: test\n"


def test_packages_become_a_kernel(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = package(
        tmp_path,
        f"linux-image-{RELEASE}",
        {f"boot/vmlinuz-{RELEASE}": "image", f"lib/modules/{RELEASE}/kernel/net/a-b.ko": "x"},
    )
    headers = package(
        tmp_path,
        f"linux-headers-{RELEASE}",
        {
            f"usr/src/linux-headers-{RELEASE}/Makefile": "include /usr/src/linux-headers-9.9.9-common/Makefile\n",
            f"usr/src/linux-headers-{RELEASE}/.config": "",
        },
    )
    assert prep.main([image, headers]) == 0
    kernel = kernels.find("9.9")
    assert kernel.release == RELEASE
    assert kernel.vmlinuz == cache / "kernels" / RELEASE / f"boot/vmlinuz-{RELEASE}"
    assert kernel.module("a_b") == cache / "kernels" / RELEASE / f"lib/modules/{RELEASE}/kernel/net/a-b.ko"
    assert kernel.build_tree is not None
    included = (kernel.build_tree / "Makefile").read_text()
    assert included == f"include {cache}/kernels/{RELEASE}/usr/src/linux-headers-9.9.9-common/Makefile\n"
    assert f"{RELEASE}: image" in capsys.readouterr().out
    assert not list((cache / "kernels").glob(".fetch-*"))


def test_a_package_that_is_no_kernel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = package(tmp_path, "hello", {"usr/share/x": ""})
    assert prep.main([other]) == 1
    assert "not a kernel's image, headers or debug symbols" in capsys.readouterr().err


def test_a_release_that_is_not_in_the_archive(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(prep, "_output", lambda command: "")
    assert prep.main(["5.99"]) == 1
    assert capsys.readouterr().err.startswith("ERROR: Debian's archive has no cloud-amd64 kernel 5.99; if it should")


def test_a_series_means_its_newest_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    found = "\n".join(
        f"linux-image-{r} - Linux"
        for r in ("6.1-cloud-amd64", "6.1.0-9-cloud-amd64", "6.1.0-56-cloud-amd64", "6.1.0-47-cloud-amd64")
    )
    monkeypatch.setattr(prep, "_output", lambda command: found)
    assert prep.resolve("6.1") == "6.1.0-56-cloud-amd64"
    assert prep.resolve("6.1.0-47-cloud-amd64") == "6.1.0-47-cloud-amd64"


def test_a_series_with_preempt_rt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    monkeypatch.setattr(prep, "_output", lambda command: asked.append(command) or "linux-image-6.1.0-56-rt-amd64 - x")
    assert prep.resolve("6.1-rt") == "6.1.0-56-rt-amd64"
    assert asked[0][-1] == r"^linux-image-6\.1[.+-].*rt-amd64$"


def test_a_kernel_in_several_packages(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Debian's since 7.0: image, modules and base each have a package, and /lib is a link to /usr/lib."""
    modules = f"usr/lib/modules/{RELEASE}"
    tree = f"usr/src/linux-headers-{RELEASE}"
    made = [
        package(tmp_path, f"linux-binary-{RELEASE}", {f"{modules}/vmlinuz": "image"}),
        package(tmp_path, f"linux-modules-{RELEASE}", {f"{modules}/kernel/net/a-b.ko": "x"}),
        package(tmp_path, f"linux-base-{RELEASE}", {f"{modules}/config": "CONFIG_X=y"}),
        package(
            tmp_path,
            f"linux-headers-{RELEASE}",
            {f"{tree}/Makefile": f"KBUILD_OUTPUT=/{tree}\ninclude /usr/src/linux-headers-9.9.9+test-common/Makefile\n"},
        ),
        package(tmp_path, "linux-headers-9.9.9+test-common", {"usr/src/linux-headers-9.9.9+test-common/Makefile": "x"}),
        package(tmp_path, "linux-kbuild-9.9.9+test", {"usr/lib/linux-kbuild-9.9.9+test/fixdep": "x"}),
    ]
    assert prep.main(made) == 0
    own = cache / "kernels" / RELEASE
    kernel = kernels.find("9.9")
    assert kernel.vmlinuz == own / "lib/modules" / RELEASE / "vmlinuz"
    assert kernel.module("a_b") == own / "lib/modules" / RELEASE / "kernel/net/a-b.ko"
    assert (own / tree / "Makefile").read_text() == (
        f"KBUILD_OUTPUT={own}/{tree}\ninclude {own}/usr/src/linux-headers-9.9.9+test-common/Makefile\n"
    )
    assert (own / "usr/src/linux-headers-9.9.9+test-common/Makefile").is_file()
    assert (own / "usr/lib/linux-kbuild-9.9.9+test/fixdep").is_file()
    assert capsys.readouterr().out.count(RELEASE + ": image") == 1


def test_shared_headers_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prep.main([package(tmp_path, "linux-kbuild-9.9.9+test", {"usr/lib/x": ""})]) == 1
    assert "give it together with the headers of one" in capsys.readouterr().err


def test_the_packages_of_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = f"""linux-image-{RELEASE}
  PreDepends: linux-base
 |Depends: dracut
  Depends: linux-base-{RELEASE}
  Depends: linux-binary-{RELEASE}
  Depends: linux-modules-{RELEASE}
"""
    monkeypatch.setattr(prep, "_output", lambda command: listed)
    parts = prep._with_parts(f"linux-image-{RELEASE}", prep._IMAGE_PARTS)
    assert parts == [f"linux-{part}-{RELEASE}" for part in ("image", "base", "binary", "modules")]


def test_the_default_is_this_debian_s_kernel_where_there_is_no_6_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def output(command: list[str]) -> str:
        return f"linux-image-cloud-amd64\n  Depends: linux-image-{RELEASE}\n" if "depends" in command else ""

    monkeypatch.setattr(prep, "_output", output)
    assert prep._default() == RELEASE
