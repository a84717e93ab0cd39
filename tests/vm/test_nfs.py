"""Aliases of the NFS client, its server and of RPC, over a real mount: nfs/lab.py runs both in one guest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pystap import cli
from pystap.run import binaries
from pystap.run.vm import Guest
from tests.support.kernels import RUNNER, available, can_boot

pytestmark = pytest.mark.vm
NFS = Path(__file__).parent / "nfs"
LAB = "/usr/bin/python3 -IS /tmp/lab.py"


@pytest.fixture
def server(series: str, debuginfo: None) -> Iterator[Guest]:
    """A guest whose NFS server runs."""
    if reason := can_boot():
        pytest.skip(reason)
    kernel = available(series)
    assert kernel is not None
    with Guest(kernel, ("nfsd", "nfsv3", "nfsv4"), {RUNNER: binaries.runner()}, host=True, cpus=2) as guest:
        guest.put("/tmp/lab.py", (NFS / "lab.py").read_bytes())
        done = guest.sh(f"{LAB} server", timeout=90)
        assert done.status == 0, done
        yield guest


def test_files_of_a_server(server: Guest, series: str, capsys: pytest.CaptureFixture[str]) -> None:
    for script, told in (("nfs.stp", expected), ("functions.stp", of_functions)):
        assert cli.main(["-p4", "-w", "-r", series, str(NFS / script)]) == 0
        server.put("/tmp/module.ko", Path(capsys.readouterr().out.strip()).read_bytes())
        for mounted in ("3", "4.2"):
            work = f"sh -c '{LAB} mount {mounted}; {LAB} work; umount /mnt'"
            done = server.run([RUNNER, "-c", work, "/tmp/module.ko"], timeout=120)
            assert (done.stderr, done.status) == (b"", 0)
            lines = done.stdout.decode().splitlines()
            said = "\n".join(line for line in lines if line.startswith(("file ", "connected ")))
            facts = re.fullmatch(r"file ino=(\d+) dev=(\S+)\nconnected from (\d+)", said)
            assert facts is not None, said
            for line in told(int(mounted[0]), *facts.groups()):
                assert line in lines, f"{line}\nis not in\n" + "\n".join(lines)


def expected(version: int, ino: str, dev: str, _: str) -> list[str]:
    """What lab.py's work is, seen from both ends."""
    where, client, server = f"ino={ino} dev={dev}", f"nfs.proc{version}", f"nfsd.proc{version}"
    both = [
        f"nfs.fop.write_iter {where}={dev} folder/file 5000 at 0",
        "nfs.fop.write_iter.return 5000 5000",
        f"nfs.fop.fsync {where}",
        f"nfs.aop.write_end ino={ino} 0..4096",
        f"nfs.aop.write_end ino={ino} 0..904",  # within the page
        f"nfs.fop.write {where} /mnt/folder/file 5000 at 0",
        "nfs.fop.write.return 5000 of 5000",
        f"nfs.fop.read {where} /mnt/folder/file 1000 at 100",
        "nfs.fop.read.return 1000 of 1000",
        f"nfs.fop.llseek ino={ino} 100 SEEK_SET",
        f"nfs.fop.read_iter {where}={dev} folder/file 1000 at 100",
        "nfs.fop.read_iter.return 1000 1000",
        f"nfs.aop.readahead ino={ino} 2",
        f"{client}.write_setup {version} 127.0.0.1 5000 at 0",
        f"{client}.write_done {version} 5000 5000",
        f"{client}.read_setup {version} 127.0.0.1 8192 at 0",
        f"{client}.read_done {version} 5000 5000",
        f"{client}.lookup {version} 127.0.0.1 6 missing",
        f"{client}.lookup.return -2 (ENOENT)",
        f"{client}.remove {version} 127.0.0.1 6 renamed",
        f"{client}.rename_done {version} 0",
        f"{server}.lookup {version} 127.0.0.1 proto=6 missing 7 uid=0 gid=0",
        f"{server}.remove {version} 127.0.0.1 proto=6 link 4 uid=0 gid=0",
        f"{server}.rename {version} file -> renamed (4, 7)",
        f"{server}.read {version} 8192 at 0",
        f"{server}.write {version} 5000 at 0",
        f"{server}.write.return {version} 127.0.0.1 5000 stable 2",
        "nfsd.unlink folder 6",
        "nfsd.lookup.return NFSERR_NOENT",
        "nfsd.unlink.return NFS_OK",
        "nfsd.rename.return NFS_OK",
        f"dispatched 100003 {version} 6",
        "served by nfsd",
        f"asked nfs {version} of 127.0.0.1 by 6",
    ]
    if version == 3:
        return [*both, f"{server}.create 3 127.0.0.1 proto=6 file 4 uid=0 gid=0", "asked mount 3 of 127.0.0.1 by 6"]
    return [*both, f"{server}.create 4 127.0.0.1 proto=6 folder 6 uid=0 gid=0"]


def of_functions(version: int, ino: str, dev: str, port: str) -> list[str]:
    """What the functions give for the same work; the numbers of procedures are those of RFC 1813 and RFC 7530."""
    both = [
        f"NFS_I {ino}, NFS_SERVER {dev}, NFS_PROTO {version}",
        f"call of 100003 {version} by 6 at 127.0.0.1 2049",
        f"versions of 100003: {version} 0 0 0 0",
        "task for 127.0.0.1 by 6, by 6 2049",
        f"asked by 127.0.0.1:{port} 127.0.0.1",
    ]
    if version == 4:
        return [*both, "procedure CREATE_SESSION of 4: 1"]
    procedures = {"MOUNT": 1, "LOOKUP": 3, "CREATE": 8, "MKDIR": 9, "SYMLINK": 10, "RMDIR": 13, "READDIRPLUS": 17}
    mount = ["call of 100005 3 by 6 at 127.0.0.1 20048", "versions of 100005: 3 0 0 0 0"]
    tasks = "many tasks as told: 1, otherwise 0"
    return [*both, *mount, tasks, *(f"procedure {name} of 3: {number}" for name, number in procedures.items())]
