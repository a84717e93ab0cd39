"""The accelerator of a guest: asked once, remembered, and never KVM where no guest came up under it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from pystap.run import accel
from pystap.run.kernels import Kernel

KERNEL = Kernel("6.1.0-1-test", None, None, None)


@pytest.fixture(autouse=True)
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYSTAP_CACHE", str(tmp_path / "cache"))
    made = tmp_path / "kvm"
    made.touch()
    monkeypatch.setattr(accel, "_DEVICE", str(made))
    return made


@pytest.mark.parametrize(("comes_up", "answer"), [(True, "kvm"), (False, "tcg")])
def test_the_answer_of_one_probe_is_remembered(comes_up: bool, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[Kernel] = []

    def probe(kernel: Kernel) -> bool:
        probes.append(kernel)
        return comes_up

    monkeypatch.setattr(accel, "_comes_up", probe)
    assert [accel.choose(KERNEL), accel.choose(KERNEL)] == [answer, answer]
    assert probes == [KERNEL]


def test_without_a_device_nothing_is_probed(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device.unlink()
    monkeypatch.setattr(accel, "_comes_up", lambda kernel: pytest.fail("probed"))
    assert accel.choose(KERNEL) == "tcg"


@pytest.mark.parametrize(
    ("said", "cpus", "answer"),
    [
        ("QEMU emulator version 7.2.22 (Debian 1:7.2)", 1, "tcg"),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2)", 2, "tcg,thread=single"),
        ("QEMU emulator version 8.1.0", 2, "tcg"),
        ("QEMU emulator version 10.0.2", 2, "tcg"),
        ("", 2, "tcg,thread=single"),
    ],
)
def test_threads_of_software_emulation(monkeypatch: pytest.MonkeyPatch, said: str, cpus: int, answer: str) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: SimpleNamespace(stdout=said))
    accel._version.cache_clear()
    assert accel.software(cpus) == answer
    accel._version.cache_clear()
