"""One WebSocket tunnel over a :class:`~wsload.probe.stream.Stream`: opened, pinged, closed, and its silences.

It always takes the reference lane, so that what is odd about a server is shown and not worked around.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from wsload.clock import Clock
from wsload.probe.answer import SWITCHING, upgrade_problem
from wsload.probe.stream import Address, Exchange, Stream, connect, exchange, with_body
from wsload.probe.target import Target
from wsload.record.outcome import Wire
from wsload.wire.closing import NORMAL, parse_close
from wsload.wire.frames import CLOSE, CONTINUATION, PING, PONG, TEXT, build_frame
from wsload.wire.handshake import build_upgrade
from wsload.wire.reference import ReferenceLane

_KEPT_MESSAGES = 4096
_NONCE_BYTES, _MASK_BYTES, _PING_BYTES = 16, 4, 8


@dataclass(frozen=True)
class Message:
    """A whole message or control frame that arrived."""

    opcode: int
    payload: bytes
    at_ns: int


class Tunnel:
    """An open tunnel. Pings are answered as every client has to; all else is left to the caller."""

    def __init__(self, stream: Stream, early: bytes) -> None:
        """``early`` are bytes that came right behind the 101."""
        self.stream, self._clock = stream, stream.clock
        self.opened_ns = self.last_byte_ns = self._clock.now_ns()
        self.longest_silence_ns = 0
        """Between bytes in either direction, as far as the other side was heard after it."""
        self.closed: tuple[int, str] | None = None
        """Code and reason of the close frame that came."""
        self.ended_ns: int | None = None
        """When it ended from the other side: close frame, FIN or RST, whichever was first."""
        self.idle_at_end_ns = 0
        """Silence in both directions just before that."""
        self.unasked = 0
        """Messages and pings that the server sent by itself."""
        self.messages: deque[Message] = deque(maxlen=_KEPT_MESSAGES)
        self._lane, self._partial = ReferenceLane(), bytearray()
        self._partial_opcode, self._pending_silence_ns = TEXT, 0
        self._pings_out = 0
        stream.take = self._take
        if early:
            self._take(early)

    def end(self) -> Wire | None:
        """How the other side ended it; None while it lives."""
        self._note_tcp_end()
        if self.ended_ns is None:
            return None
        if self.closed is not None or self.stream.ended is None:
            return Wire.CLOSE
        return self.stream.ended.wire

    def send(self, opcode: int, payload: bytes) -> None:
        """Send one frame."""
        self._write(build_frame(opcode, payload, os.urandom(_MASK_BYTES)))
        self._pings_out += opcode == PING

    async def receive(self, wanted: Callable[[Message], bool], deadline_ns: int) -> Message | None:
        """The next message that is wanted, others dropped; None at the tunnel's end or the deadline."""
        while True:
            while self.messages:
                message = self.messages.popleft()
                if wanted(message):
                    return message
            if self.end() is not None or self._clock.now_ns() >= deadline_ns:
                return None
            await self.stream.changed(deadline_ns)

    async def ping(self, timeout_ns: int) -> int | None:
        """Round trip of one ping in ns; None if no pong came in time."""
        payload, sent_ns = os.urandom(_PING_BYTES), self._clock.now_ns()
        self.send(PING, payload)
        pong = await self.receive(
            lambda message: message.opcode == PONG and message.payload == payload, sent_ns + timeout_ns
        )
        return None if pong is None else pong.at_ns - sent_ns

    def send_close(self) -> None:
        """Begin the closing handshake, unless it has begun."""
        self._write(self._lane.close(NORMAL))

    def close(self) -> None:
        """Say goodbye and end it, without waiting for an answer."""
        self.send_close()
        self.stream.close()

    def _write(self, data: bytes) -> None:
        if data:
            now_ns = self._clock.now_ns()
            self._pending_silence_ns = max(self._pending_silence_ns, now_ns - self.last_byte_ns)
            self.last_byte_ns = now_ns
            self.stream.write(data)

    def _take(self, data: bytes) -> None:
        now_ns = self._clock.now_ns()
        silence_ns, self.last_byte_ns = now_ns - self.last_byte_ns, now_ns
        self.longest_silence_ns = max(self.longest_silence_ns, self._pending_silence_ns, silence_ns)
        self._pending_silence_ns = 0
        frames, answer = self._lane.receive(data)
        for opcode, final, payload in frames:
            self._take_frame(opcode, final, payload, now_ns, silence_ns)
        if self._lane.failure is not None and self.closed is None and self.ended_ns is None:
            # It broke the protocol: our side of the tunnel is over, whatever it sends next.
            self.closed = (self._lane.failure.code, f"by us: {self._lane.failure.reason}")
            self.ended_ns, self.idle_at_end_ns = now_ns, silence_ns
        self._write(answer)

    def _take_frame(self, opcode: int, final: bool, payload: bytes, now_ns: int, silence_ns: int) -> None:
        if opcode == CLOSE:
            self.closed = parse_close(payload)
            if self.ended_ns is None:
                self.ended_ns, self.idle_at_end_ns = now_ns, silence_ns
            return
        if opcode == PONG and self._pings_out:
            self._pings_out -= 1
        else:
            self.unasked += 1
        if opcode in (PING, PONG):
            self.messages.append(Message(opcode, payload, now_ns))
            return
        if opcode != CONTINUATION:
            self._partial_opcode = opcode
        self._partial += payload
        if final:
            self.messages.append(Message(self._partial_opcode, bytes(self._partial), now_ns))
            self._partial.clear()

    def _note_tcp_end(self) -> None:
        if self.ended_ns is None and self.stream.ended is not None:
            self.ended_ns = self.stream.ended.at_ns
            self.idle_at_end_ns = self.ended_ns - self.last_byte_ns


@dataclass(frozen=True)
class Opening:
    """An attempt to open a tunnel: the tunnel, or why there is none."""

    tunnel: Tunnel | None
    exchange: Exchange
    problem: str
    """What is wrong with a 101; empty if the tunnel is open, or no 101 came."""


async def open_tunnel(target: Target, address: Address, clock: Clock) -> Opening:
    """Connect and upgrade. Raises OSError where no connection is made; a refusal is an Opening."""
    stream = await connect(target, address, clock)
    try:
        nonce = os.urandom(_NONCE_BYTES)
        upgrade = build_upgrade(target.authority, target.path, nonce, target.headers, target.subprotocols)
        answer = await exchange(stream, upgrade.request, target.timeout_ns)
        response = answer.response
        if response is None or response.status != SWITCHING:
            if response is not None:
                whole = await with_body(stream, response, target.timeout_ns // 10)
                answer = replace(answer, response=whole)
            stream.abort()
            return Opening(None, answer, "")
        problem = upgrade_problem(response, answer.head, upgrade, target.subprotocols)
        if problem:
            stream.abort()
            return Opening(None, answer, problem)
        return Opening(Tunnel(stream, response.body), answer, "")
    except BaseException:
        stream.abort()
        raise
