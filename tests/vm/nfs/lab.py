"""An NFS server and its client in one guest, without nfs-utils: `lab.py server`, `lab.py mount VERSION`, `lab.py work`.

The server's tables (who may see what) are filled by hand, as exportfs and rpc.mountd would; version 3's client asks
`mountd` for the handle of the root, which the kernel tells.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path

NFSD = Path("/proc/fs/nfsd")
EXPORT = "/export"
MOUNTED = "/mnt"
NFS_PORT, MOUNTD_PORT, RPCBIND_PORT = 2049, 20048, 111
LAST_FRAGMENT = 1 << 31
FOREVER = 0x7FFFFFFF
INSECURE, RW, SYNC_ROOT_FSID, NO_SUBTREE = 0x2, 0x0, 0x2000, 0x400


def server() -> None:
    """Exports a tmpfs as the root of the server, in NFS versions 3 and 4."""
    apart(serve, socket.create_server(("127.0.0.1", RPCBIND_PORT)), struct.pack(">I", 1))
    Path(EXPORT).mkdir(exist_ok=True)
    Path(MOUNTED).mkdir(exist_ok=True)
    mount("tmpfs", EXPORT, "tmpfs", "size=16m")
    mount("nfsd", str(NFSD), "nfsd", "")
    flags = INSECURE | SYNC_ROOT_FSID | NO_SUBTREE
    channel("auth.unix.ip", f"nfsd 127.0.0.1 {FOREVER} *")
    channel("nfsd.export", rf"* {EXPORT} {FOREVER} {flags} 65534 65534 0")
    channel("nfsd.fh", rf"* 1 \x00000000 {FOREVER} {EXPORT}")
    for name, text in (("nfsv4leasetime", "10"), ("nfsv4gracetime", "10"), ("portlist", "tcp 2049"), ("threads", "2")):
        (NFSD / name).write_text(text + "\n")
    with contextlib.suppress(OSError):  # where there was no grace period, as no client was ever known
        (NFSD / "v4_end_grace").write_text("Y\n")
    handle = root_handle()
    # of a mount: the status, the handle, one flavour of authority: AUTH_UNIX
    mounted = struct.pack(">2I", 0, len(handle)) + handle + bytes(-len(handle) % 4) + struct.pack(">2I", 1, 1)
    apart(serve, socket.create_server(("127.0.0.1", MOUNTD_PORT)), mounted)


def channel(table: str, line: str) -> None:
    """Adds an entry to one of the server's tables."""
    Path("/proc/net/rpc", table, "channel").write_text(line + "\n")


def root_handle() -> bytes:
    """The file handle of the exported root."""
    fd = os.open(NFSD / "filehandle", os.O_RDWR)
    os.write(fd, f"* {EXPORT} 64\n".encode())
    text = os.read(fd, 200).decode()
    os.close(fd)
    return bytes.fromhex(text.strip().removeprefix("\\x"))


def serve(listener: socket.socket, result: bytes) -> None:
    """Accepts every call of an RPC service, and answers it with that."""
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=converse, args=(connection, result)).start()


def converse(connection: socket.socket, result: bytes) -> None:
    """Answers the calls of one connection; of a call, only its number matters."""
    while head := connection.recv(4, socket.MSG_WAITALL):
        call = connection.recv(struct.unpack(">I", head)[0] & LAST_FRAGMENT - 1, socket.MSG_WAITALL)
        reply = call[:4] + struct.pack(">5I", 1, 0, 0, 0, 0) + result
        connection.sendall(struct.pack(">I", len(reply) | LAST_FRAGMENT) + reply)


def apart(work: Callable[..., None], *arguments: object) -> None:
    """Does that in a process of its own, which stays."""
    if os.fork() == 0:
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(null, fd)
        work(*arguments)


def mount(source: str, target: str, kind: str, options: str) -> None:
    """mount(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(source.encode(), target.encode(), kind.encode(), 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount {kind} {options}")


def mount_nfs(version: str) -> None:
    """Mounts the server's root."""
    if version == "3":
        options = (
            f"vers=3,addr=127.0.0.1,proto=tcp,port=2049,mountaddr=127.0.0.1,mountport={MOUNTD_PORT},mountproto=tcp"
        )
        mount(f"127.0.0.1:{EXPORT}", MOUNTED, "nfs", f"{options},mountvers=3,nolock,sec=sys")
    else:
        mount("127.0.0.1:/", MOUNTED, "nfs4", f"vers={version},addr=127.0.0.1,clientaddr=127.0.0.1,sec=sys,soft")


def client_port() -> int:
    """The port that the client's connection to the server comes from."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    ours = [local for _, local, remote, state, *_ in rows if remote.endswith(f":{NFS_PORT:04X}") and state == "01"]
    return int(ours[0].partition(":")[2], 16)


def work() -> None:
    """What the probes are to see; says what the client's file system says of the file."""
    os.chdir(MOUNTED)
    os.mkdir("folder")
    with open("folder/file", "wb", buffering=0) as file:
        file.write(b"a" * 5000)
        os.fsync(file)
    Path("/proc/sys/vm/drop_caches").write_text("3")  # so that the server is asked for what is read
    with open("folder/file", "rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        print(f"file ino={facts.st_ino} dev={os.major(facts.st_dev)}:{os.minor(facts.st_dev)}", flush=True)
        file.seek(100)
        file.read(1000)
    print(f"connected from {client_port()}", flush=True)
    with contextlib.suppress(FileNotFoundError):
        os.stat("folder/missing")
    os.rename("folder/file", "folder/renamed")
    os.symlink("renamed", "folder/link")
    os.listdir("folder")
    for name in ("folder/link", "folder/renamed"):
        os.unlink(name)
    os.rmdir("folder")
    os.chdir("/")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["server"]:
            server()
        case ["mount", version]:
            mount_nfs(version)
        case _:
            work()
