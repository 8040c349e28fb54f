"""What the backend answers to requests and frames, and how it ends a tunnel. Pure: no socket, no clock."""

import math
import random
from enum import Enum
from typing import NamedTuple

from wsload.backend.frames import FIN, CloseCode, FrameError, FrameReader, Opcode, close_frame, encode
from wsload.profile.model import Backend, EndsWith, Reply
from wsload.record.backend_log import BackendWire, EndedBy

_PONG = FIN | Opcode.PONG

ECHO_HEADS: dict[int, list[bytes]] = {
    FIN | opcode: [bytes((FIN | opcode, length)) for length in range(126)]
    for opcode in (Opcode.TEXT, Opcode.BINARY)
}
"""First byte of a whole message -> header of its echo, by length: those that the fast path answers."""


_GOLDEN = (math.sqrt(5) - 1) / 2
_SILVER = math.sqrt(2) - 1
_THIRD = math.sqrt(3) - 1
"""They have nothing to do with each other, or all that is drawn twice would be drawn alike."""


class Fate(Enum):
    """What becomes of a proper upgrade request."""

    UPGRADED = "upgraded"
    REFUSED = "refused"
    UNANSWERED = "unanswered"


class Ending(Enum):
    """How the backend ends the TCP connection of a tunnel."""

    ANSWERED = "answered"
    """The client's close frame is answered, or its FIN has come: close at once, as RFC 6455 section 7.1.1
    wants of a server."""
    STARTED = "started"
    """We began: FIN, then take what still comes until the client's own FIN."""
    HALF_OPEN = "half_open"
    """FIN, then take what still comes, for ever."""
    RESET = "reset"


class End(NamedTuple):
    """One tunnel's end: what to do, and what to record."""

    ending: Ending
    ended_by: EndedBy
    wire: BackendWire
    close_code: int | None = None


PEER_FIN = End(Ending.ANSWERED, EndedBy.PEER, BackendWire.FIN)
PEER_RESET = End(Ending.ANSWERED, EndedBy.PEER, BackendWire.RST)
PEER_LOST = End(Ending.ANSWERED, EndedBy.PEER, BackendWire.LOST)
STOPPED = End(Ending.ANSWERED, EndedBy.BACKEND, BackendWire.STOP)

IDLE_CLOSE_FRAME = close_frame(CloseCode.GOING_AWAY, "idle timeout")
IDLE_CLOSE = End(Ending.STARTED, EndedBy.BACKEND, BackendWire.IDLE_CLOSE, CloseCode.GOING_AWAY)

_RESETS = (ConnectionResetError, BrokenPipeError)  # read, written


def peer_gone(error: BaseException | None) -> End:
    """The end of a connection that the kernel reported lost with that error."""
    return PEER_RESET if isinstance(error, _RESETS) else PEER_LOST


_ENDS: dict[EndsWith, tuple[Ending, BackendWire]] = {
    EndsWith.CLOSE: (Ending.STARTED, BackendWire.CLOSE),
    EndsWith.FIN: (Ending.STARTED, BackendWire.FIN),
    EndsWith.RST: (Ending.RESET, BackendWire.RST),
    EndsWith.HALF_OPEN: (Ending.HALF_OPEN, BackendWire.HALF_OPEN),
}


def timed_end(backend: Backend) -> tuple[bytes, End]:
    """How tunnels end that are as old as ``ends_after``: what to write first, and the end."""
    ending, wire = _ENDS[backend.ends_with]
    if backend.ends_with is EndsWith.CLOSE:
        code = backend.close_code
        return close_frame(code, ""), End(ending, EndedBy.BACKEND, wire, code)
    return b"", End(ending, EndedBy.BACKEND, wire)


class Draws:
    """Which requests and tunnels the shares of a misbehaving backend meet.

    The fractional parts of multiples of an irrational number: so after n of them a share is met to within
    about 1/n, which chance would miss by several per cent, and nothing is in step with cohorts that take
    turns. The same seed and order of arrival give the same draws.
    """

    def __init__(self, seed: str, backend: Backend) -> None:
        generator = random.Random(seed)
        self._fate_at, self._ends_at = generator.random(), generator.random()
        self._refused_below = backend.refuse_share
        self._unanswered_below = backend.refuse_share + backend.upgrade_missing_share
        self._ended_below = backend.ends_share
        self._idle_at, self._idle_closed_below = generator.random(), backend.idle_close_share

    def fate(self) -> Fate:
        """Of the next upgrade request."""
        drawn = self._fate_at = (self._fate_at + _GOLDEN) % 1
        if drawn < self._refused_below:
            return Fate.REFUSED
        return Fate.UNANSWERED if drawn < self._unanswered_below else Fate.UPGRADED

    def ends(self) -> bool:
        """Whether the next tunnel is one that we end at an age."""
        self._ends_at = (self._ends_at + _SILVER) % 1
        return self._ends_at < self._ended_below

    def closes_idle(self) -> bool:
        """Whether the next tunnel is one that we close when it is idle."""
        self._idle_at = (self._idle_at + _THIRD) % 1
        return self._idle_at < self._idle_closed_below


def respond(reader: FrameReader, data: bytes, reply: Reply) -> tuple[bytes, End | None]:
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
                code = int.from_bytes(payload[:2], "big") if payload else None
                return b"".join(answers), End(Ending.ANSWERED, EndedBy.PEER, BackendWire.CLOSE, code)
    except FrameError as error:
        answers.append(close_frame(error.code, error.reason))
        end = End(Ending.STARTED, EndedBy.BACKEND, BackendWire.CLOSE, error.code)
        return b"".join(answers), end
    return b"".join(answers), None


def push_frame(payload_bytes: int) -> bytes:
    """The binary frame that a pushing backend sends: zeros."""
    return encode(FIN | Opcode.BINARY, bytes(payload_bytes))
