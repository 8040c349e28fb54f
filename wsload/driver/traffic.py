"""What each kind of cohort does: the behaviour behind ``traffic = "…"``, one class a kind."""

from collections import deque
from collections.abc import Sequence
from struct import Struct
from time import monotonic_ns

from wsload.driver.recorder import CohortRecorder, pack_reply, pack_send
from wsload.driver.scheduler import Action
from wsload.driver.tunnel import State, Tunnel
from wsload.plan.arrivals import LossySchedule, MessageSchedule, RenewalSchedule, Times
from wsload.plan.phases import PhaseTimes
from wsload.profile.model import Cohort, Match, Traffic
from wsload.wire.frames import BINARY, PING, STAMP_BYTES, PlainMessage, StampedMessage, short_header

_pack_stamp = Struct("<QQ").pack


class CohortTraffic:
    """Tunnels that only stay open; base of the others.

    ``period_ns`` is the mean time between a tunnel's messages, None where the schedule sends none.
    """

    stamped = False
    """Whether replies carry the stamp of their message."""
    closed_loop = False
    """Whether a reply calls for the next message."""
    reply_bytes = 0
    """Length of the frame that the reply to a small stamped message comes in: all that the fast lane files. 0
    where the cohort has none."""
    reply_head = b""
    """Its first two bytes."""
    period_ns: int | None = None
    after_ns: int | None = None
    """When, after a tunnel's planned opening, :meth:`turn` is due; None where it never is."""

    def __init__(self, spec: Cohort, phases: PhaseTimes, mask: bytes) -> None:
        """``mask`` is the 4 bytes all messages are masked with."""
        self.spec, self.name, self.mask = spec, spec.name, mask
        self.recorder = CohortRecorder(phases, *self._metrics())
        self.open = 0
        self.connecting = 0

    def opened(self, tunnel: Tunnel, now_ns: int) -> None:
        """A tunnel of the cohort has its 101."""

    def send(self, tunnel: Tunnel, due_ns: int) -> None:
        """A message is due."""

    def send_next(self, tunnel: Tunnel, now_ns: int) -> None:
        """A closed loop's reply is in, and with that its next message is due."""

    def sender(self, tunnels: Sequence[Tunnel | None], members: Sequence[int], send_due: Action) -> Action:
        """What sends a message that is due for the ``members`` of ``tunnels``, as the cheap case allows.

        ``send_due`` does it in every case.
        """
        return send_due

    def schedule(self, opens_ns: Times, end_ns: int, seed: int) -> MessageSchedule | None:
        """When messages of tunnels that open at ``opens_ns`` are due; None where none ever is."""
        if self.period_ns is None:
            return None
        return MessageSchedule.create(opens_ns, self.period_ns, self.spec.arrivals, end_ns, seed)

    def turn(self, tunnel: Tunnel, due_ns: int) -> None:
        """The moment has come for what the cohort is named for."""

    def message(self, tunnel: Tunnel, payload: bytes, now_ns: int) -> None:
        """A data message arrived that the fast lane did not file."""
        self.recorder.messages_without_stamp += 1

    def pong(self, tunnel: Tunnel, payload: bytes, now_ns: int) -> None:
        """A pong arrived; one that nobody asked for is legal and ignored."""

    def _metrics(self) -> tuple[str | None, str]:
        return "echo_corrected", "echo_service"


class Idle(CohortTraffic):
    """Silent once open."""


class Chatty(CohortTraffic):
    """Sends messages at a rate and matches the replies."""

    def __init__(self, spec: Cohort, phases: PhaseTimes, mask: bytes) -> None:
        """See the base."""
        super().__init__(spec, phases, mask)
        self.stamped = spec.match is Match.STAMP
        self.closed_loop = spec.rate_per_s is None
        self._is_fifo = spec.match is Match.FIFO
        self.period_ns = None if spec.rate_per_s is None else round(1e9 / spec.rate_per_s)
        message = StampedMessage if spec.payload_bytes >= STAMP_BYTES else PlainMessage
        builder = message(BINARY, spec.payload_bytes, mask)
        self._build, self._frame_bytes = builder.build, builder.frame_bytes
        self.reply_head = short_header(BINARY, spec.payload_bytes)
        if self.stamped and self.reply_head and spec.payload_bytes >= STAMP_BYTES:
            self.reply_bytes = len(self.reply_head) + spec.payload_bytes
        self._in_flight: dict[int, deque[tuple[int, int]]] = {}
        """For matching in order: tunnel index -> (intended, sent) of each unanswered message."""

    def opened(self, tunnel: Tunnel, now_ns: int) -> None:
        """A closed loop starts at once."""
        if self.closed_loop:
            self.send_next(tunnel, now_ns)

    def send(self, tunnel: Tunnel, due_ns: int) -> None:
        """Send the message that was due."""
        recorder = self.recorder
        if tunnel.blocked:
            recorder.count(due_ns, "unsent")
            return
        now_ns = monotonic_ns()
        tunnel.transport.write(self._build(due_ns, now_ns))
        tunnel.tx_ns = now_ns
        recorder.note_send(pack_send(due_ns, now_ns))
        recorder.bytes_sent += self._frame_bytes
        if self._is_fifo:
            self._in_flight.setdefault(tunnel.index, deque()).append((due_ns, now_ns))

    def sender(self, tunnels: Sequence[Tunnel | None], members: Sequence[int], send_due: Action) -> Action:
        """See the base. Does as :meth:`send`, with no call and no look-up that is not needed."""
        if self._is_fifo:
            return send_due
        build, frame_bytes, recorder, is_open = self._build, self._frame_bytes, self.recorder, State.OPEN
        note_send = recorder.note_send

        def send_cheaply(position: int, due_ns: int) -> None:
            tunnel = tunnels[members[position]]
            if tunnel is None or tunnel.state is not is_open or tunnel.blocked:
                send_due(position, due_ns)
                return
            now_ns = monotonic_ns()
            tunnel.transport.write(build(due_ns, now_ns))
            tunnel.tx_ns = now_ns
            note_send(pack_send(due_ns, now_ns))
            recorder.bytes_sent += frame_bytes

        return send_cheaply

    def send_next(self, tunnel: Tunnel, now_ns: int) -> None:
        """See the base. There is no schedule to be late for: one reading is both due and sent time."""
        recorder = self.recorder
        if tunnel.blocked:
            recorder.count(now_ns, "unsent")
            return
        tunnel.transport.write(self._build(now_ns, now_ns))
        tunnel.tx_ns = now_ns
        recorder.note_send(pack_send(now_ns, 0))
        recorder.bytes_sent += self._frame_bytes
        if self._is_fifo:
            self._in_flight.setdefault(tunnel.index, deque()).append((now_ns, now_ns))

    def message(self, tunnel: Tunnel, payload: bytes, now_ns: int) -> None:
        """A reply that the fast lane did not take: large, text, or matched in order."""
        recorder = self.recorder
        if self.stamped and len(payload) >= STAMP_BYTES:
            recorder.note_reply(pack_reply(payload[:STAMP_BYTES], now_ns))
        elif self.spec.match is Match.FIFO and self._in_flight.get(tunnel.index):
            recorder.note_reply(pack_reply(_pack_stamp(*self._in_flight[tunnel.index].popleft()), now_ns))
        else:
            recorder.messages_without_stamp += 1
            if self.spec.match is not Match.NONE:
                recorder.count(now_ns, "unmatched")
            return
        if self.closed_loop and tunnel.is_open():
            self.send_next(tunnel, now_ns)


class Quiet(Chatty):
    """Sends a message now and then: like chatty, but its gaps have the profile's distribution."""

    def __init__(self, spec: Cohort, phases: PhaseTimes, mask: bytes) -> None:
        """See the base."""
        super().__init__(spec, phases, mask)
        self.closed_loop, self.period_ns = False, None

    def schedule(self, opens_ns: Times, end_ns: int, seed: int) -> MessageSchedule | None:
        """See the base."""
        return RenewalSchedule(opens_ns, self.spec.gaps, end_ns, seed)


class Pinged(CohortTraffic):
    """Sends WebSocket pings and measures their pongs."""

    def __init__(self, spec: Cohort, phases: PhaseTimes, mask: bytes) -> None:
        """See the base."""
        super().__init__(spec, phases, mask)
        self.period_ns = spec.every_ns
        self._builder = StampedMessage(PING, STAMP_BYTES, mask)

    def schedule(self, opens_ns: Times, end_ns: int, seed: int) -> MessageSchedule | None:
        """See the base; pings that the profile has lost are never sent."""
        whole = super().schedule(opens_ns, end_ns, seed)
        if whole is None or not self.spec.ping_loss:
            return whole
        return LossySchedule(whole, self.spec.ping_loss, seed)

    def send(self, tunnel: Tunnel, due_ns: int) -> None:
        """Send the ping that was due."""
        if tunnel.blocked:
            self.recorder.count(due_ns, "unsent")
            return
        now_ns = monotonic_ns()
        tunnel.write(self._builder.build(due_ns, now_ns), now_ns)
        self.recorder.note_send(pack_send(due_ns, now_ns))

    def pong(self, tunnel: Tunnel, payload: bytes, now_ns: int) -> None:
        """The pong carries its ping's stamp."""
        if len(payload) == STAMP_BYTES:
            self.recorder.note_reply(pack_reply(payload, now_ns))

    def _metrics(self) -> tuple[str | None, str]:
        return None, "ping_rtt"


class _Turning(CohortTraffic):
    """Idle until its moment; base of the cohorts that then misbehave."""

    def __init__(self, spec: Cohort, phases: PhaseTimes, mask: bytes) -> None:
        """See the base."""
        super().__init__(spec, phases, mask)
        self.after_ns = spec.after_ns


class HalfClosed(_Turning):
    """Sends FIN without a close frame, and keeps reading."""

    def turn(self, tunnel: Tunnel, due_ns: int) -> None:
        """Shut the write side."""
        tunnel.half_close()


class Stalled(_Turning):
    """Stops reading: what the far side sends fills the buffers on the way."""

    def turn(self, tunnel: Tunnel, due_ns: int) -> None:
        """Stop reading, until the drain."""
        tunnel.stall()


class Ghost(_Turning):
    """Vanishes: nothing leaves its socket any more, and nobody is told.

    Needs CAP_NET_ADMIN. Without it a stand-in stays silent instead: it answers nothing, but its kernel still
    acknowledges, and counts as ``ghost_stand_in``.
    """

    def turn(self, tunnel: Tunnel, due_ns: int) -> None:
        """Vanish."""
        if not tunnel.vanish():
            self.recorder.count(due_ns, "ghost_stand_in")


class Reset(_Turning):
    """Resets its connection, as a client does that is killed with data unread."""

    def turn(self, tunnel: Tunnel, due_ns: int) -> None:
        """Send RST."""
        tunnel.reset()


TRAFFIC: dict[Traffic, type[CohortTraffic]] = {
    Traffic.IDLE: Idle,
    Traffic.CHATTY: Chatty,
    Traffic.PINGED: Pinged,
    Traffic.QUIET: Quiet,
    Traffic.HALF_CLOSED: HalfClosed,
    Traffic.STALLED: Stalled,
    Traffic.GHOST: Ghost,
    Traffic.RESET: Reset,
}
