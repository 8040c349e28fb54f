"""What the backend answers to frames and how it ends a tunnel. Pure: no socket, no clock."""

from enum import Enum

from wsload.backend.frames import FIN, CloseCode, FrameError, FrameReader, Opcode, close_frame, encode
from wsload.profile.model import Reply

_PONG = FIN | Opcode.PONG

ECHO_HEADS: dict[int, list[bytes]] = {
    FIN | opcode: [bytes((FIN | opcode, length)) for length in range(126)]
    for opcode in (Opcode.TEXT, Opcode.BINARY)
}
"""First byte of a whole message -> header of its echo, by length: those that the fast path answers."""

IDLE_CLOSE_FRAME = close_frame(CloseCode.GOING_AWAY, "idle timeout")


class Ending(Enum):
    """How the backend ends the TCP connection of a tunnel."""

    ANSWERED = "answered"
    """The client's close frame is answered, or its FIN has come: close at once, as RFC 6455 section 7.1.1
    wants of a server."""
    STARTED = "started"
    """We sent a close frame unasked: FIN, then take what still comes until the client's own FIN."""


def respond(reader: FrameReader, data: bytes, reply: Reply) -> tuple[bytes, Ending | None]:
    """What to write after ``data`` came, and how to end then (None: go on).

    Frames behind a close frame are ignored (RFC 6455 section 5.5.1).
    """
    echoes = reply is Reply.ECHO
    answers: list[bytes] = []
    try:
        for first, payload in reader.feed(data):
            opcode = first & 0x0F
            if opcode < Opcode.CLOSE:
                if echoes:
                    answers.append(encode(first, payload))
            elif opcode == Opcode.PING:
                answers.append(encode(_PONG, payload))
            elif opcode == Opcode.CLOSE:
                answers.append(encode(first, payload))
                return b"".join(answers), Ending.ANSWERED
    except FrameError as error:
        answers.append(close_frame(error.code, error.reason))
        return b"".join(answers), Ending.STARTED
    return b"".join(answers), None


def push_frame(payload_bytes: int) -> bytes:
    """The binary frame that a pushing backend sends: zeros."""
    return encode(FIN | Opcode.BINARY, bytes(payload_bytes))
