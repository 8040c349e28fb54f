"""The server's side of RFC 6455 section 5: masked frames in, unmasked frames out. Pure."""

from collections.abc import Iterator
from enum import IntEnum

from websockets.frames import EXTERNAL_CLOSE_CODES, CloseCode

try:
    from websockets.speedups import apply_mask
except ImportError:  # a platform without the compiled part
    from websockets.utils import apply_mask

__all__ = [
    "CLOSE",
    "FIN",
    "MAX_MESSAGE_BYTES",
    "CloseCode",
    "FrameError",
    "FrameReader",
    "Opcode",
    "apply_mask",
    "close_frame",
    "encode",
]

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A longer message, in one frame or in all its fragments, ends the tunnel with 1009."""

FIN = 0x80
_RSV = 0x70
_OPCODE = 0x0F
_MASKED = 0x80
_LENGTH = 0x7F
_MAX_CONTROL_BYTES = 125
_MASK_BYTES = 4
_HEADER_BYTES = 2
_EXTENDED_BYTES = {126: 2, 127: 8}


class Opcode(IntEnum):
    """RFC 6455 section 5.2. From CLOSE on they are control frames."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


CLOSE = Opcode.CLOSE
_OPCODES = frozenset(Opcode)


class FrameError(Exception):
    """The peer broke the protocol: what to say in the close frame."""

    def __init__(self, code: CloseCode, reason: str) -> None:
        self.code, self.reason = code, reason
        super().__init__(f"{code} {reason}")


def encode(first: int, payload: bytes) -> bytes:
    """An unmasked frame; ``first`` is its first byte, FIN bit and opcode together."""
    length = len(payload)
    if length < 126:
        return b"%c%c%b" % (first, length, payload)
    if length < 65536:
        return b"%c\x7e%b%b" % (first, length.to_bytes(2, "big"), payload)
    return b"%c\x7f%b%b" % (first, length.to_bytes(8, "big"), payload)


def close_frame(code: int, reason: str) -> bytes:
    """A close frame; ``reason`` is at most 123 bytes of UTF-8."""
    return encode(FIN | Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())


class FrameReader:
    """Takes bytes in any pieces and gives whole frames.

    Needed only while a frame or a fragmented message is incomplete: once :attr:`clean`, it holds nothing
    and may be dropped.
    """

    __slots__ = ("_buffer", "_message_bytes", "_need")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._need = _HEADER_BYTES
        # Bytes of the fragmented message so far, -1 outside one.
        self._message_bytes = -1

    @property
    def clean(self) -> bool:
        """Whether it is between two messages with no byte left over."""
        return not self._buffer and self._message_bytes < 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Give (first byte, unmasked payload) of each frame that is whole now; use up the iterator.

        Raises :class:`FrameError`, after the frames before the fault, as soon as the fault is seen.
        """
        buffer = self._buffer
        buffer += data
        position = 0
        while (end := self._frame_end(position)) <= len(buffer):
            first = buffer[position]
            extended = _EXTENDED_BYTES.get(buffer[position + 1] & _LENGTH, 0)
            mask_start = position + _HEADER_BYTES + extended
            payload_start = mask_start + _MASK_BYTES
            payload = apply_mask(buffer[payload_start:end], buffer[mask_start:payload_start])
            position = end
            if first & _OPCODE == CLOSE:
                _check_close(payload)
            yield first, payload
        del buffer[:position]
        self._need = max(end - position, _HEADER_BYTES)

    def _frame_end(self, start: int) -> int:
        """Where the frame at ``start`` ends; beyond the buffer if it is not known yet.

        Updates the state of a fragmented message once, when a frame has come in whole.
        """
        buffer = self._buffer
        available = len(buffer) - start
        # A long frame comes in many pieces: its header is looked at once, not with each piece.
        if start == 0 and available < self._need:
            return self._need
        if available < _HEADER_BYTES:
            return start + _HEADER_BYTES
        first, second = buffer[start], buffer[start + 1]
        opcode, length = first & _OPCODE, second & _LENGTH
        self._check_header(first, second, opcode, length)
        if extended := _EXTENDED_BYTES.get(length, 0):
            if available < _HEADER_BYTES + extended:
                return start + _HEADER_BYTES + extended
            length_start = start + _HEADER_BYTES
            length = int.from_bytes(buffer[length_start : length_start + extended], "big")
        message_bytes = length + max(self._message_bytes, 0) if opcode < CLOSE else length
        if message_bytes > MAX_MESSAGE_BYTES:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, f"message over {MAX_MESSAGE_BYTES} bytes")
        end = start + _HEADER_BYTES + extended + _MASK_BYTES + length
        if opcode < CLOSE and end <= len(buffer):
            self._message_bytes = -1 if first & FIN else message_bytes
        return end

    def _check_header(self, first: int, second: int, opcode: int, length: int) -> None:
        if first & _RSV:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bits set")
        if opcode not in _OPCODES:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "unknown opcode")
        if not second & _MASKED:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "frame not masked")
        if opcode >= CLOSE:
            if length > _MAX_CONTROL_BYTES or not first & FIN:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "control frame long or fragmented")
        elif (opcode == Opcode.CONTINUATION) != (self._message_bytes >= 0):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "fragment out of place")


def _check_close(payload: bytes) -> None:
    """Raise FrameError unless it may be a close frame's payload (RFC 6455 sections 5.5.1 and 7.4)."""
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or not (code in EXTERNAL_CLOSE_CODES or 3000 <= code < 5000):
        raise FrameError(CloseCode.PROTOCOL_ERROR, "invalid close code")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise FrameError(CloseCode.INVALID_DATA, "close reason is not UTF-8") from None
