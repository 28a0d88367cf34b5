"""Length-prefixed JSON frames: how values cross a socket between our processes.

A frame is an 8-byte big-endian length and that many bytes of UTF-8 JSON. Reports hold what a test
printed, so a frame has no small limit; sockets are private to the run and JSON cannot run code.
"""

import json
import socket
import struct
from collections import deque
from collections.abc import Iterator

_LENGTH = struct.Struct(">Q")
_READ_BYTES = 1 << 16
_MAX_FDS = 64
_to_text = json.JSONEncoder(separators=(",", ":"), default=str).encode


def encode(value: object) -> bytes:
    """One frame. Lone surrogates in text (undecodable file names) survive the trip.

    What JSON does not know (a path in a test's `record_property`) travels as its text.
    """
    body = _to_text(value).encode("ascii")
    return _LENGTH.pack(len(body)) + body


class FrameDecoder:
    """Frames out of bytes that arrive in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[object]:
        """The values completed by `data`; the rest is kept for the next call."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer, start)
            end = start + _LENGTH.size + length
            if len(self._buffer) < end:
                break
            yield json.loads(self._buffer[start + _LENGTH.size : end])
            start = end
        del self._buffer[:start]


class FrameSocket:
    """Both directions of one stream socket: whole values in, whole values out."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fds: deque[int] = deque()
        self._decoder = FrameDecoder()

    def send(self, value: object, fds: tuple[int, ...] = ()) -> None:
        """Send one value, waiting while the other side is slow; `fds` travel with its first byte.

        Raises OSError when the other side is gone.
        """
        data = encode(value)
        if fds:
            sent = socket.send_fds(self.sock, [data], list(fds))
            data = data[sent:]
        if data:
            self.sock.sendall(data)

    def receive(self) -> tuple[list[object], bool]:
        """What one read brings: the values completed by it, and whether the other side closed."""
        try:
            data = self.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return [], False
        except ConnectionError:
            return [], True
        return list(self._decoder.feed(data)), not data

    def receive_with_fds(self) -> tuple[list[object], bool]:
        """Like `receive`; descriptors that came along are added to `fds`, in order."""
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, _READ_BYTES, _MAX_FDS)
        except ConnectionError:
            return [], True
        self.fds.extend(fds)
        return list(self._decoder.feed(data)), not data

    def close(self) -> None:
        """Close the socket; the other side sees the end of the stream."""
        self.sock.close()
