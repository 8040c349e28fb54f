"""Frames, fast lane: build the client's masked frames, take apart the server's common ones.

Source: RFC 6455, section 5. Common is: final, unmasked, no RSV bit, a known opcode, at most 65,535 bytes
of payload; anything else goes, bytes and all, to :mod:`wsload.wire.reference`.
"""

from collections.abc import Callable
from struct import Struct
from typing import Final

from websockets.speedups import apply_mask

from wsload.wire.closing import is_plain_close

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
CONTINUATION: Final = 0x0

FINAL: Final = 0x80
"""Set in a frame's first byte when it ends its message."""
_COMMON_FIRST_BYTES: Final = frozenset(FINAL | opcode for opcode in (TEXT, BINARY, CLOSE, PING, PONG))
STAMP_BYTES: Final = 16
"""What the two times of a stamped message take."""

Frame = tuple[int, bool, bytes]
"""Opcode, whether it is final, payload."""


def frame_header(first_byte: int, payload_bytes: int, mask: bytes) -> bytes:
    """Everything of a masked frame that stands before its payload."""
    if payload_bytes < 126:
        return bytes((first_byte, 0x80 | payload_bytes)) + mask
    if payload_bytes < 1 << 16:
        return bytes((first_byte, 0xFE)) + payload_bytes.to_bytes(2, "big") + mask
    return bytes((first_byte, 0xFF)) + payload_bytes.to_bytes(8, "big") + mask


def short_header(opcode: int, payload_bytes: int) -> bytes:
    """The two bytes before the payload of a server's final frame; none where it needs more than two."""
    return bytes((FINAL | opcode, payload_bytes)) if payload_bytes < 126 else b""


def build_frame(opcode: int, payload: bytes, mask: bytes) -> bytes:
    """One final masked frame."""
    return frame_header(FINAL | opcode, len(payload), mask) + apply_mask(payload, mask)


def split_frames(data: bytes) -> tuple[list[Frame], int, bool]:
    """Take the common frames off the front of ``data``.

    Returns the frames, how many bytes they took, and whether what comes next needs the reference lane.
    Nothing behind a close frame is looked at (RFC 6455, section 1.4).
    """
    frames: list[Frame] = []
    start, end = 0, len(data)
    while end - start >= 2:
        first, length = data[start], data[start + 1]
        opcode = first & 0x0F
        if first not in _COMMON_FIRST_BYTES or length == 127 or length > 127:
            return frames, start, True
        payload_at = start + 2
        if length == 126:
            if opcode >= CLOSE:
                return frames, start, True
            if end - start < 4:
                break
            length = data[start + 2] << 8 | data[start + 3]
            payload_at = start + 4
        if end < payload_at + length:
            break
        payload = data[payload_at : payload_at + length]
        if opcode == CLOSE and not is_plain_close(payload):
            return frames, start, True
        frames.append((opcode, True, payload))
        start = payload_at + length
        if opcode == CLOSE:
            break
    return frames, start, False


class StampedMessage:
    """Builds binary messages that carry their intended and sent times in their first 16 bytes.

    Both are monotonic ns, little-endian. The rest of the payload is zeros before masking. The mask is
    drawn once per builder, not per frame as RFC 6455 section 5.3 asks: that rule protects intermediaries
    from bytes an attacker chose, and a load generator's bytes are its own.
    """

    __slots__ = ("build", "frame_bytes")

    def __init__(self, opcode: int, payload_bytes: int, mask: bytes) -> None:
        """``payload_bytes`` is at least :data:`STAMP_BYTES`; ``mask`` is 4 bytes."""
        prefix = frame_header(FINAL | opcode, payload_bytes, mask)
        tail_bytes = payload_bytes - STAMP_BYTES
        tail = (mask * (tail_bytes // 4 + 1))[:tail_bytes]
        mask64 = int.from_bytes(mask * 2, "little")
        pack = Struct(f"<{len(prefix)}sQQ{tail_bytes}s").pack

        def build(intended_ns: int, sent_ns: int) -> bytes:  # a closure, as it runs for every message
            return pack(prefix, intended_ns ^ mask64, sent_ns ^ mask64, tail)

        self.build: Callable[[int, int], bytes] = build
        """One frame, ready to send, from its intended and its sent time."""
        self.frame_bytes = len(prefix) + payload_bytes
        """Length of every frame it builds."""


class PlainMessage:
    """Builds one message of zeros, the same each time: for payloads too small for a stamp."""

    __slots__ = ("_frame", "frame_bytes")

    def __init__(self, opcode: int, payload_bytes: int, mask: bytes) -> None:
        self._frame = build_frame(opcode, bytes(payload_bytes), mask)
        self.frame_bytes = len(self._frame)
        """Length of every frame it builds."""

    def build(self, intended_ns: int, sent_ns: int) -> bytes:
        """The frame, ready to send."""
        return self._frame
