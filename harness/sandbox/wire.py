"""Messages between evaluator and predictor. Standard library only: this file also travels into the sandbox.

The channel carries small control messages, one JSON object a packet; tokens, logits and long texts go through
shared memory as raw bytes, or, where there is none, as further packets. Nothing is pickled. A memfd can be
sealed, so that neither its content (weights, source) nor its size (buffers: a truncated one would kill the
reader) can be changed by the other side.
"""

import contextlib
import fcntl
import functools
import json
import mmap
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

_T = TypeVar("_T")

PACKET_BYTES = 1 << 16
CHUNK_BYTES = 1 << 16
_READ_ONLY, _OURS_ALONE = 0o444, 0o600
_COPY_CHUNK_BYTES = 1 << 30


class ChannelClosed(Exception):
    """The other side is gone."""


class BadMessage(Exception):
    """The other side sent something that is not a message."""


def make_channel() -> tuple[socket.socket, socket.socket]:
    """Two connected ends that keep packets apart."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(channel: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send one message, with open files beside it. Raises ChannelClosed."""
    packet = json.dumps(message).encode()
    if len(packet) > PACKET_BYTES:
        raise ValueError(f"a message of {len(packet)} bytes does not fit into a packet")
    try:
        if descriptors:
            socket.send_fds(channel, [packet], list(descriptors))
        else:
            channel.send(packet)
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ChannelClosed from error


def receive(channel: socket.socket, timeout_seconds: float | None = None) -> dict[str, Any]:
    """The next message; open files sent with it are refused by the kernel.

    Raises ChannelClosed, BadMessage, TimeoutError.
    """
    channel.settimeout(timeout_seconds)
    try:
        packet = _despite_reset(lambda: channel.recv(PACKET_BYTES + 1))
    finally:
        channel.settimeout(None)
    return _decoded(packet)


def receive_with_files(channel: socket.socket, most: int) -> tuple[dict[str, Any], list[int]]:
    """The next message and up to `most` open files. Only for messages from a trusted side. Raises ChannelClosed."""
    packet, descriptors, _, _ = _despite_reset(lambda: socket.recv_fds(channel, PACKET_BYTES + 1, most))
    return _decoded(packet), list(descriptors)


def send_bytes(channel: socket.socket, content: bytes | bytearray | memoryview | mmap.mmap) -> None:
    """Send raw bytes as packets; the other side must know how many. Raises ChannelClosed."""
    view = memoryview(content).cast("B")
    try:
        for start in range(0, len(view), CHUNK_BYTES):
            channel.send(view[start : start + CHUNK_BYTES])
    except (BrokenPipeError, ConnectionResetError) as error:
        raise ChannelClosed from error


def receive_bytes(channel: socket.socket, target: memoryview, timeout_seconds: float | None = None) -> None:
    """Fill `target` with raw bytes from packets. Raises ChannelClosed, TimeoutError."""
    end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    filled = 0
    try:
        while filled < len(target):
            channel.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            room = target[filled : filled + CHUNK_BYTES]
            size = _despite_reset(functools.partial(channel.recv_into, room))
            if not size:
                raise ChannelClosed
            filled += size
    finally:
        channel.settimeout(None)


def _despite_reset(take: Callable[[], _T]) -> _T:
    """What the other side sent before it went. Raises ChannelClosed.

    Where it went without reading everything, the kernel tells of the reset first, once, and of the packets after it.
    """
    for _ in range(2):
        with contextlib.suppress(ConnectionResetError):
            return take()
    raise ChannelClosed


def _decoded(packet: bytes) -> dict[str, Any]:
    if not packet:
        raise ChannelClosed
    if len(packet) > PACKET_BYTES:
        raise BadMessage("a packet is too long")
    try:
        message = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise BadMessage("a packet is not JSON") from error
    if not isinstance(message, dict):
        raise BadMessage("a packet is not a JSON object")
    return message


def sealed_file(content: bytes | memoryview, name: str = "sealed") -> int:
    """A memfd with these bytes that nobody can change any more, not even through /proc."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view[:_COPY_CHUNK_BYTES]) :]
    _seal(descriptor)
    return descriptor


def sealed_copy(source: int, name: str = "sealed") -> int:
    """A sealed memfd with the content of an open file, copied by the kernel."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    size, offset = os.fstat(source).st_size, 0
    while offset < size:
        copied = os.sendfile(descriptor, source, offset, min(size - offset, _COPY_CHUNK_BYTES))
        if not copied:
            raise OSError("a file became shorter while it was copied")
        offset += copied
    _seal(descriptor)
    return descriptor


def _seal(descriptor: int) -> None:
    """Closed to writing for good. Its mode says so, too: who may not write may not set its times either."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.fchmod(descriptor, _READ_ONLY)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _size_seals() | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)


def _size_seals() -> int:
    return fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW


def reopened(descriptor: int) -> int:
    """The same file under a description of its own, as if nobody had ever read it.

    Who shares a description shares its offset and flags; who shares a file sees when it was last read.
    """
    fresh = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    os.utime(fresh, ns=(0, 0))
    return fresh


def shared_file(size_bytes: int, name: str = "shared") -> int:
    """A memfd of fixed size; its pages cost memory only once they are written."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size_bytes)
    os.fchmod(descriptor, _OURS_ALONE)  # the sandbox tells by the mode whose memory it is
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _size_seals() | fcntl.F_SEAL_SEAL)
    return descriptor


def mapped(descriptor: int) -> mmap.mmap:
    """The whole file, shared and writable."""
    return mmap.mmap(descriptor, os.fstat(descriptor).st_size)
