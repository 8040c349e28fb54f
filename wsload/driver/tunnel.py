"""One tunnel: a protocol on a uvloop transport, with no task, timer, dict or logger of its own."""

import asyncio
import socket
from enum import IntEnum
from struct import pack
from time import monotonic_ns
from typing import TYPE_CHECKING, cast

import msgspec

from wsload.driver.recorder import pack_reply
from wsload.record.outcome import PlanAct, Wire
from wsload.wire.closing import close_payload, parse_close
from wsload.wire.frames import CLOSE, PING, PONG, STAMP_BYTES, Frame, build_frame, split_frames
from wsload.wire.handshake import Answer, check_answer
from wsload.wire.reference import HandshakeJudge, ReferenceLane

if TYPE_CHECKING:
    from wsload.driver.traffic import CohortTraffic
    from wsload.driver.worker import Worker


class State(IntEnum):
    """Where a tunnel is in its life."""

    CONNECTING = 0
    UPGRADING = 1
    OPEN = 2
    CLOSING = 3
    """A close frame has been sent, by plan or as an answer."""
    ENDED = 4


class CloseSeen(msgspec.Struct):
    """The far side's close frame, and how idle the tunnel was when it came."""

    at_ns: int
    code: int
    reason: str
    idle_rx_ns: int
    idle_tx_ns: int


class Extra(msgspec.Struct, gc=False):
    """What few tunnels need; made on demand."""

    judge: HandshakeJudge | None = None
    reference: ReferenceLane | None = None
    close_seen: CloseSeen | None = None
    answered: bytes = b""
    """Response bytes the judge has read, so that a split head is found whole."""


_OPEN = State.OPEN
"""For the hot path: looking a member up in its enum costs more there than all else about it."""
_LINGER_NOT = pack("ii", 1, 0)
"""struct linger: on, for 0 s: close() sends RST (socket(7))."""
_TCP_REPAIR = 19
"""linux/tcp.h; the socket module does not name it."""


class Tunnel(asyncio.Protocol):
    """One tunnel from its TCP connection to its end. The worker owns it and hears of each change."""

    __slots__ = (
        "blocked",
        "cohort",
        "extra",
        "index",
        "mark_ns",
        "opened_ns",
        "pending",
        "plan",
        "rx_ns",
        "state",
        "transport",
        "tx_ns",
        "wire",
        "worker",
    )

    def __init__(self, worker: "Worker", cohort: "CohortTraffic", index: int) -> None:
        """``index`` is the tunnel's place in the worker's assignment."""
        self.worker, self.cohort, self.index = worker, cohort, index
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.state = State.CONNECTING
        self.pending: bytes | None = b""
        """None while the next byte is the first of a frame for the fast lane; else what waits for more."""
        self.extra: Extra | None = None
        self.mark_ns = 0
        """When the current step began: connect, upgrade; at the end, when the end was seen."""
        self.opened_ns = self.rx_ns = self.tx_ns = 0
        self.wire = Wire.UNSEEN
        self.plan = PlanAct.NOTHING
        self.blocked = False
        """Whether the socket takes no more: messages that fall due meanwhile are counted, not queued."""

    # The transport's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is up: ask for the upgrade."""
        self.transport = cast(asyncio.Transport, transport)
        self.worker.tunnel_connected(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the far side."""
        now_ns = monotonic_ns()
        cohort = self.cohort
        # The one case that must be cheap: one whole reply of the length and kind that its message had.
        if self.pending is None and len(data) == cohort.reply_bytes and data[:2] == cohort.reply_head:
            self.rx_ns = now_ns
            recorder = cohort.recorder
            recorder.note_reply(pack_reply(data[2 : 2 + STAMP_BYTES], now_ns))
            recorder.bytes_received += cohort.reply_bytes
            if cohort.closed_loop and self.state is _OPEN:
                cohort.send_next(self, now_ns)
        else:
            self._receive(data, now_ns)

    def eof_received(self) -> None:
        """The far side's FIN; the transport closes itself after this."""
        self.mark_ns = monotonic_ns()
        if self.wire is Wire.UNSEEN:
            self.wire = Wire.FIN

    def connection_lost(self, error: Exception | None) -> None:
        """The end, whoever caused it."""
        if self.wire is Wire.UNSEEN:
            self.wire = Wire.RST if error is not None else Wire.FIN
        now_ns = monotonic_ns()
        if self.state is State.UPGRADING:
            judge = self.extra.judge if self.extra is not None else None
            reason = "reset" if self.wire is Wire.RST else (judge.end() if judge is not None else "closed")
            self.worker.handshake_failed(self, reason or "closed", now_ns)
        elif self.state is not State.ENDED:
            self.worker.tunnel_ended(self, now_ns)
        self.state = State.ENDED

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self.blocked = True

    def resume_writing(self) -> None:
        """It takes more again."""
        self.blocked = False

    # What the worker asks of it.

    def write(self, data: bytes, now_ns: int) -> None:
        """Send bytes of our own accord or in answer."""
        self.tx_ns = now_ns
        self.cohort.recorder.bytes_sent += len(data)
        self.transport.write(data)

    def close_by_plan(self, now_ns: int, code: int) -> None:
        """Begin the closing handshake; the far side closes TCP (RFC 6455, section 7.1.1)."""
        if self.state is State.OPEN:
            self.state = State.CLOSING
            self.plan = PlanAct.CLOSE
            reference = self.extra.reference if self.extra is not None else None
            if reference is None:
                self.write(build_frame(CLOSE, close_payload(code), self.worker.mask), now_ns)
            else:
                self.write(reference.close(code), now_ns)

    def half_close(self) -> None:
        """Send FIN and keep reading; there is no close frame after that."""
        if self.state is State.OPEN:
            self.state = State.CLOSING
            self.plan = PlanAct.HALF_CLOSE
            self.tx_ns = monotonic_ns()
            self.transport.write_eof()

    def stall(self) -> None:
        """Read no more."""
        if self.state is State.OPEN:
            self.plan = PlanAct.STALL
            self.transport.pause_reading()

    def unstall(self) -> None:
        """Read again what has piled up; nothing happens to a tunnel that reads."""
        if not self.transport.is_reading():
            self.transport.resume_reading()

    def vanish(self) -> bool:
        """Disappear without FIN or RST. False without CAP_NET_ADMIN: then it only falls silent."""
        if self.state is not State.OPEN:
            return True
        sock = self.transport.get_extra_info("socket")
        try:
            # In repair mode a close sends nothing (tcp_close: no FIN, no RST while tp->repair).
            sock.setsockopt(socket.IPPROTO_TCP, _TCP_REPAIR, 1)
        except PermissionError:
            self.stall()
            return False
        self.plan = PlanAct.VANISH
        self.abort(Wire.VANISHED)
        return True

    def reset(self) -> None:
        """Send RST."""
        if self.state is State.OPEN:
            self.plan = PlanAct.RESET
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self.abort(Wire.RST)

    def abort(self, wire: Wire) -> None:
        """Give up on it; ``wire`` is what goes on record."""
        if self.state is not State.ENDED:
            if self.wire is Wire.UNSEEN:
                self.wire = wire
            self.transport.abort()

    def is_open(self) -> bool:
        """Whether messages may be sent."""
        return self.state is State.OPEN

    def need_extra(self) -> Extra:
        """The part that few tunnels have."""
        if self.extra is None:
            self.extra = Extra()
        return self.extra

    # Everything that is not the one cheap case.

    def _receive(self, data: bytes, now_ns: int) -> None:
        if self.state is State.UPGRADING:
            self._read_answer(data, now_ns)
            return
        self.cohort.recorder.bytes_received += len(data)
        if self.extra is not None and self.extra.close_seen is not None:
            return
        if self.extra is not None and self.extra.reference is not None:
            self._read_by_reference(data, now_ns)
            return
        if self.pending:
            data = self.pending + data
        frames, consumed, odd = split_frames(data)
        self.pending = data[consumed:] or None
        for frame in frames:
            self._handle(frame, now_ns, answer=True)
        self.rx_ns = now_ns
        if odd:
            self.need_extra().reference = ReferenceLane()
            rest, self.pending = data[consumed:], b""
            self._read_by_reference(rest, now_ns)

    def _read_by_reference(self, data: bytes, now_ns: int) -> None:
        assert self.extra is not None
        assert self.extra.reference is not None
        frames, answer = self.extra.reference.receive(data)
        for frame in frames:
            self._handle(frame, now_ns, answer=False)
        self.rx_ns = now_ns
        if answer:
            self.write(answer, now_ns)
        failure = self.extra.reference.failure
        if failure is not None and self.state is State.OPEN:
            self.state = State.CLOSING
            self.worker.protocol_error(self, now_ns)

    def _handle(self, frame: Frame, now_ns: int, *, answer: bool) -> None:
        opcode, final, payload = frame
        if opcode == PONG:
            self.cohort.pong(self, payload, now_ns)
        elif opcode == PING:
            if answer:
                self.write(build_frame(PONG, payload, self.worker.mask), now_ns)
        elif opcode == CLOSE:
            self._close_received(payload, now_ns, answer=answer)
        elif final:
            self.cohort.message(self, payload, now_ns)

    def _close_received(self, payload: bytes, now_ns: int, *, answer: bool) -> None:
        code, reason = parse_close(payload)
        self.need_extra().close_seen = CloseSeen(
            now_ns, code, reason, now_ns - self.rx_ns, now_ns - self.tx_ns
        )
        self.wire = Wire.CLOSE
        if self.state is State.OPEN:
            self.state = State.CLOSING
            if answer:
                self.write(build_frame(CLOSE, payload, self.worker.mask), now_ns)
            self.worker.await_fin(self, now_ns)

    def _read_answer(self, data: bytes, now_ns: int) -> None:
        """The response to our upgrade request, in any number of pieces."""
        if self.extra is None and self.pending == b"":
            answer, frames_at = check_answer(data, self.worker.upgrade_of(self).accept)
            if answer is Answer.ACCEPTED:
                self._opened(data[frames_at:], now_ns)
                return
        extra = self.need_extra()
        extra.answered += data
        head_end = extra.answered.find(b"\r\n\r\n")
        if head_end < 0 and len(extra.answered) < 65_536:
            return
        if extra.judge is None:
            extra.judge = self.worker.judge_of(self)
            data = extra.answered
        upgraded = extra.answered[9:12] == b"101" and head_end >= 0
        verdict = extra.judge.receive(extra.answered[: head_end + 4] if upgraded else data)
        if verdict == "":
            rest = extra.answered[head_end + 4 :]
            self.extra = None
            self._opened(rest, now_ns)
        elif verdict is not None:
            self.worker.handshake_failed(self, verdict, now_ns)
            self.state = State.ENDED
            self.transport.abort()

    def _opened(self, rest: bytes, now_ns: int) -> None:
        self.state = State.OPEN
        self.pending = None
        self.opened_ns = self.rx_ns = self.tx_ns = now_ns
        self.worker.tunnel_opened(self, now_ns)
        self.mark_ns = now_ns  # one number for all four: an idle tunnel keeps no other
        if rest:
            self._receive(rest, now_ns)
