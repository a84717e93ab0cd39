"""A read-only disk for QEMU, over a socket: the part of the network block device protocol that it asks for."""

from __future__ import annotations

import socket
import struct
from typing import Protocol

_HELLO = struct.Struct(">8s8sH")
_OPTION = struct.Struct(">8sII")
_REPLY = struct.Struct(">QIII")
_REPLY_MAGIC = 0x3E889045565A9
_REQUEST = struct.Struct(">IHHQQI")
_ANSWER = struct.Struct(">IIQ")
_ANSWER_MAGIC = 0x67446698
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_HAS_FLAGS, _READ_ONLY = 1, 2
_OPT_EXPORT_NAME, _OPT_GO = 1, 7
_REP_ACK, _REP_INFO, _REP_UNSUPPORTED = 1, 3, 0x80000001
_READ, _DISCONNECT, _FLUSH = 0, 2, 3
_EIO, _EINVAL = 5, 22


class Disk(Protocol):
    """What is served."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, or OSError."""


def serve(channel: socket.socket, disk: Disk, size: int) -> None:
    """Serves until the other side goes away."""
    with channel:
        try:
            if _negotiate(channel, size):
                _answer(channel, disk)
        except (ConnectionError, _Gone):
            pass


class _Gone(Exception):  # noqa: N818
    """The other side has closed its end."""


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = channel.recv(size - len(data))
        if not part:
            raise _Gone
        data += part
    return bytes(data)


def _negotiate(channel: socket.socket, size: int) -> bool:
    """Agrees on the one export that there is."""
    channel.sendall(_HELLO.pack(b"NBDMAGIC", b"IHAVEOPT", _FIXED_NEWSTYLE | _NO_ZEROES))
    _exactly(channel, 4)
    flags = _HAS_FLAGS | _READ_ONLY
    while True:
        _, option, length = _OPTION.unpack(_exactly(channel, _OPTION.size))
        _exactly(channel, length)
        if option == _OPT_EXPORT_NAME:
            channel.sendall(struct.pack(">QH", size, flags))
            return True
        if option == _OPT_GO:
            export = struct.pack(">HQH", 0, size, flags)
            channel.sendall(_REPLY.pack(_REPLY_MAGIC, option, _REP_INFO, len(export)) + export)
            channel.sendall(_REPLY.pack(_REPLY_MAGIC, option, _REP_ACK, 0))
            return True
        channel.sendall(_REPLY.pack(_REPLY_MAGIC, option, _REP_UNSUPPORTED, 0))


def _answer(channel: socket.socket, disk: Disk) -> None:
    while True:
        _, _, command, handle, offset, length = _REQUEST.unpack(_exactly(channel, _REQUEST.size))
        error, data = 0, b""
        if command == _DISCONNECT:
            return
        if command == _READ:
            try:
                data = disk.read(offset, length)
            except OSError:
                error = _EIO
        elif command != _FLUSH:
            error = _EINVAL
        channel.sendall(_ANSWER.pack(_ANSWER_MAGIC, error, handle) + data)
