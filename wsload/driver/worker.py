"""One worker: opens its tunnels when they are due, keeps them busy, closes them, tells what it saw."""

import asyncio
import os
from collections import deque
from collections.abc import Callable
from time import monotonic_ns

import msgspec
import numpy as np
from numpy.typing import NDArray

from wsload.driver import health, opening
from wsload.driver.account import Account
from wsload.driver.ghost_ports import GhostPorts
from wsload.driver.messages import Finished, Offer, Prepare
from wsload.driver.opening import Opener
from wsload.driver.scheduler import Every, Listed, Scheduler
from wsload.driver.seats import Seats
from wsload.driver.traffic import TRAFFIC, CohortTraffic
from wsload.driver.tunnel import State, Tunnel
from wsload.driver.turnover import Turnover
from wsload.plan.phases import PhaseTimes
from wsload.plan.sharding import SPARE_DESCRIPTORS
from wsload.profile.model import Reconnect
from wsload.record.outcome import PlanAct, Wire
from wsload.wire.closing import NORMAL
from wsload.wire.handshake import Upgrade
from wsload.wire.reference import HandshakeJudge

_GOES = frozenset({PlanAct.VANISH, PlanAct.CLOSE})
"""How clients go that are replaced."""
_CLOSING_SHARE = 0.6
"""The part of the drain over which closings are spread; the rest waits for their answers."""


class Worker:
    """All state of one worker process. Everything runs on one loop; nothing here blocks."""

    def __init__(
        self, prepare: Prepare, loop: asyncio.AbstractEventLoop, send: Callable[[msgspec.Struct], None]
    ) -> None:
        """``send`` queues a message to the parent."""
        self.assignment = prepare.assignment
        self._prepare, self._loop, self._send = prepare, loop, send
        self.mask = os.urandom(4)
        self._phases = PhaseTimes(0, 0, 0)
        self._cohorts: list[CohortTraffic] = [
            TRAFFIC[spec.traffic](spec, self._phases, self.mask) for spec in self.assignment.cohorts
        ]
        self._seats = Seats(prepare)
        self._tunnels = self._seats.tunnels
        self._account = Account(self.assignment.worker, self._seats, self._phases, self._cohorts)
        self._opener = Opener(loop, self)
        self._level = self.assignment.first_level
        """Tunnels of the whole run that are offered; those called this or more stay closed."""
        self._turnover = Turnover(len(self._tunnels), self.assignment.seed)
        spare = health.descriptor_limit() - len(self._tunnels) - SPARE_DESCRIPTORS
        self._ghost_ports = GhostPorts(self.assignment.ghost_hold_ns, spare)
        self._stand_ins: set[Tunnel] = set()
        """Tunnels that only play dead, for want of CAP_NET_ADMIN; their seats have new clients."""
        self._unopened: deque[Tunnel] = deque()
        """In the order in which they began: those that may still be waiting for their handshake."""
        self._closing: deque[tuple[int, Tunnel]] = deque()
        """Ascending: when a closing tunnel must have its FIN."""
        self._scheduler = Scheduler(loop, self._housekeeping, self.assignment.timer_slack_ns)
        self._alive = 0
        self._draining = False
        self._finished = False
        self._seq = 0

    # The run's course.

    def start(self, start_ns: int) -> None:
        """The run's time 0 is ``start_ns``."""
        assignment = self.assignment
        self._phases.start_ns = start_ns
        self._phases.hold_ns = start_ns + assignment.ramp_ns
        self._phases.drain_ns = self._phases.hold_ns + assignment.hold_ns
        agenda = self._scheduler.agenda
        opens_ns = assignment.opens_ns
        at_first = np.flatnonzero(assignment.tunnel_ids < assignment.first_level)
        agenda.add(Listed(opens_ns[at_first], at_first.astype(np.int32)), self._open)
        agenda.add(self._turnover.timeline, self._go)
        self._add_common_sources()
        drain_ns = assignment.ramp_ns + assignment.hold_ns
        agenda.add(Listed(np.array([drain_ns]), np.zeros(1, dtype=np.int32)), self._begin_drain)
        for number, cohort in enumerate(self._cohorts):
            members = np.flatnonzero(assignment.cohort_of == number)
            if not len(members):
                continue
            schedule = cohort.schedule(opens_ns[members], drain_ns, assignment.seed * 1009 + number)
            if schedule is not None:
                agenda.add(schedule, self._sender(cohort, members.tolist()))
            if cohort.after_ns is not None:
                turns = Listed(opens_ns[members] + cohort.after_ns, members.astype(np.int32))
                agenda.add(turns, self._turn)
        self._snapshot(0, start_ns)
        self._scheduler.start(start_ns)

    def offer(self, offer: Offer) -> None:
        """Another level of tunnels."""
        if self._draining:
            return
        before, self._level = self._level, offer.level
        ids = self.assignment.tunnel_ids
        is_vacant = np.array([tunnel is None for tunnel in self._tunnels])
        for chosen, action in (
            (np.flatnonzero((ids >= offer.level) & ~is_vacant), self._close),
            (np.flatnonzero((ids < offer.level) & is_vacant & ~self._comes_back(before)), self._fill),
        ):
            due_ns = offer.since_ns + np.linspace(0, offer.rise_ns, len(chosen), endpoint=False).astype(
                np.int64
            )
            self._scheduler.agenda.add(Listed(due_ns, chosen.astype(np.int32)), action)

    def _comes_back(self, level: int) -> NDArray[np.bool_]:
        """Seats within a level whose client is there, or away until it has something to send.

        Who was cut comes by itself, and must not be called back together with the new ones.
        """
        returns = np.array([cohort.spec.reconnect is Reconnect.WHEN_DUE for cohort in self._cohorts])
        whole: NDArray[np.bool_] = returns[self.assignment.cohort_of] & (self.assignment.tunnel_ids < level)
        return whole

    def drain(self) -> None:
        """Begin the drain now, whatever the plan says; again: nothing."""
        self._begin_drain(0, monotonic_ns())

    def _add_common_sources(self, since_ns: int = 0) -> None:
        interval_ns = self.assignment.interval_ns
        self._scheduler.agenda.add(Every(interval_ns, since_ns), self._snapshot)

    def _sender(self, cohort: CohortTraffic, members: list[int]) -> Callable[[int, int], None]:
        tunnels, send, is_open = self._tunnels, cohort.send, State.OPEN
        comes_back = cohort.spec.reconnect is Reconnect.WHEN_DUE

        def send_due(position: int, due_ns: int) -> None:
            tunnel = tunnels[members[position]]
            if tunnel is not None:
                if tunnel.state is is_open:
                    send(tunnel, due_ns)
            elif comes_back:
                self._fill(members[position], due_ns)

        return cohort.sender(tunnels, members, send_due)

    def _turn(self, index: int, due_ns: int) -> None:
        """A tunnel's moment; one that opened too late for it has missed it, and is counted."""
        tunnel = self._tunnels[index]
        if tunnel is not None and tunnel.state is State.OPEN:
            tunnel.cohort.turn(tunnel, due_ns)
        elif tunnel is not None and tunnel.state is not State.CLOSING:
            tunnel.cohort.recorder.count(due_ns, "turn_missed")

    def _begin_drain(self, _index: int, due_ns: int) -> None:
        if self._draining:
            return
        self._draining = True
        self._phases.drain_ns = due_ns
        self._phases.hold_ns = min(self._phases.hold_ns, due_ns)  # a run cut short in its ramp has no hold
        start_ns, drain_ns = self._phases.start_ns, self.assignment.drain_ns
        scheduler = self._scheduler
        scheduler.agenda.clear()
        for stand_in in tuple(self._stand_ins):
            stand_in.abort(Wire.VANISHED)
        open_now: list[int] = []
        for index, tunnel in enumerate(self._tunnels):
            if tunnel is None:
                continue
            if tunnel.state is State.OPEN:
                tunnel.unstall()
                open_now.append(index)
            elif tunnel.state in (State.CONNECTING, State.UPGRADING):
                self.handshake_failed(tunnel, "unfinished", due_ns)
                self._drop(tunnel)
        since_ns = max(due_ns - start_ns, 0)
        spread = np.linspace(0, drain_ns * _CLOSING_SHARE, len(open_now), endpoint=False)
        closings_ns = since_ns + spread.astype(np.int64)
        agenda = scheduler.agenda
        agenda.add(Listed(closings_ns, np.array(open_now, dtype=np.int32)), self._close)
        self._add_common_sources(since_ns)
        end = np.array([since_ns + drain_ns], dtype=np.int64)
        agenda.add(Listed(end, np.zeros(1, dtype=np.int32)), self._end_drain)
        scheduler.replan(due_ns)

    def _close(self, index: int, due_ns: int) -> None:
        tunnel = self._tunnels[index]
        if tunnel is not None:
            tunnel.close_by_plan(due_ns, NORMAL)

    def _end_drain(self, _index: int, _due_ns: int) -> None:
        """The drain's time is up: what has not answered is cut."""
        for tunnel in self._tunnels:
            if tunnel is not None:
                tunnel.abort(Wire.TIMEOUT)

    def _finish_if_done(self, now_ns: int) -> None:
        if self._draining and not self._finished and self._alive == 0:
            self._finished = True
            self._scheduler.stop()
            self._snapshot(self._seq + 1, now_ns)
            self._send(Finished())

    # Clients that go, and who takes their seats.

    def _go(self, index: int, due_ns: int) -> None:
        """A client's time is up, unless it has gone before."""
        tunnel = self._tunnels[index]
        if tunnel is None or self._turnover.go(tunnel, due_ns - self._phases.start_ns, due_ns):
            return
        tunnel.cohort.recorder.count(due_ns, "ghost_stand_in")
        tunnel.plan = PlanAct.VANISH
        tunnel.wire = Wire.VANISHED
        self.tunnel_ended(tunnel, due_ns)
        self._stand_ins.add(tunnel)
        self._alive += 1

    def _fill(self, index: int, due_ns: int) -> None:
        """A client takes a vacant seat, if the level has one for it."""
        seat_id = self._seats.ids[index]
        if self._tunnels[index] is None and seat_id < self._level:
            self._account.reopened(seat_id)
            self._open(index, due_ns)

    # Opening.

    def _open(self, index: int, due_ns: int) -> None:
        if self._tunnels[index] is not None:  # a quiet client came back before its turn
            return
        now_ns = monotonic_ns()
        seats, cohort = self._seats, self._cohorts[self._seats.cohort_of[index]]
        seats.taken(index, due_ns)
        cohort.recorder.count(due_ns, "attempted")
        cohort.recorder.time(due_ns, "lag", now_ns - due_ns)
        tunnel = Tunnel(self, cohort, index)
        try:
            sock = opening.start_connect(seats.endpoint(index), seats.source(index))
        except OSError as error:
            self._account.failed(tunnel, opening.failure_reason(error), now_ns)
            return
        tunnel.mark_ns = seats.began_ns[index] = now_ns
        self._tunnels[index] = tunnel
        self._alive += 1
        cohort.connecting += 1
        self._unopened.append(tunnel)
        self._opener.attach(tunnel, sock)

    # What the opener reports.

    def tcp_connected(self, tunnel: Tunnel, address: tuple[str, int], now_ns: int) -> None:
        """Its TCP connection stands, from this address."""
        index = tunnel.index
        self._seats.connected_from(index, *address)
        tunnel.cohort.recorder.time(self._seats.due_ns[index], "connect", now_ns - tunnel.mark_ns)

    def tcp_failed(self, tunnel: Tunnel, reason: str, now_ns: int) -> None:
        """It has no connection and will have none."""
        if tunnel.state is not State.ENDED:
            self.handshake_failed(tunnel, reason, now_ns)
            self._drop(tunnel)

    # What tunnels report.

    def upgrade_of(self, tunnel: Tunnel) -> Upgrade:
        """The request that a tunnel sends."""
        return self._seats.upgrade(tunnel.index)

    def judge_of(self, tunnel: Tunnel) -> HandshakeJudge:
        """The reference lane's reader for a tunnel's response."""
        return HandshakeJudge(self.upgrade_of(tunnel).key, self._prepare.subprotocols)

    def tunnel_connected(self, tunnel: Tunnel) -> None:
        """Its transport stands: send the request."""
        if tunnel.state is State.ENDED:
            tunnel.transport.abort()
            return
        tunnel.state = State.UPGRADING
        tunnel.mark_ns = monotonic_ns()
        tunnel.transport.write(self.upgrade_of(tunnel).request)

    def tunnel_opened(self, tunnel: Tunnel, now_ns: int) -> None:
        """The 101 is in."""
        cohort = tunnel.cohort
        cohort.connecting -= 1
        cohort.open += 1
        self._account.opened(tunnel, now_ns)
        cohort.opened(tunnel, now_ns)
        if cohort.spec.has_turnover:
            seat_id = self._seats.ids[tunnel.index]
            self._turnover.opened(tunnel, seat_id, now_ns - self._phases.start_ns)

    def handshake_failed(self, tunnel: Tunnel, reason: str, now_ns: int) -> None:
        """It did not get its 101; ``reason`` as in :meth:`Account.failed`."""
        tunnel.cohort.connecting -= 1
        self._account.failed(tunnel, reason, now_ns)
        self._gone(tunnel)

    def tunnel_ended(self, tunnel: Tunnel, now_ns: int) -> None:
        """It was open and is no more."""
        if self._stand_ins and tunnel in self._stand_ins:
            self._stand_ins.discard(tunnel)
            self._one_less()
            return
        cohort = tunnel.cohort
        cohort.open -= 1
        end = self._account.ended(tunnel, now_ns)
        if tunnel.wire is Wire.VANISHED:
            self._ghost_ports.vanished(end.local_ip, end.local_port, now_ns)
        self._gone(tunnel)
        if cohort.spec.has_turnover and tunnel.plan in _GOES and not self._draining:
            self._fill(tunnel.index, monotonic_ns())

    def await_fin(self, tunnel: Tunnel, now_ns: int) -> None:
        """The far side began the closing handshake and has our answer; its FIN must follow."""
        self._closing.append((now_ns + self.assignment.handshake_timeout_ns, tunnel))

    def protocol_error(self, tunnel: Tunnel, now_ns: int) -> None:
        """The far side broke the protocol; our close frame is out."""
        tunnel.cohort.recorder.count(now_ns, "protocol_error")
        self.await_fin(tunnel, now_ns)

    def _drop(self, tunnel: Tunnel) -> None:
        """A tunnel that failed before its end was seen: nothing of it may be heard any more."""
        tunnel.state = State.ENDED
        self._opener.forget(tunnel)
        if tunnel.transport is not None:
            tunnel.transport.abort()

    def _gone(self, tunnel: Tunnel) -> None:
        self._tunnels[tunnel.index] = None
        self._one_less()

    def _one_less(self) -> None:
        self._alive -= 1
        if self._draining and self._alive == 0:
            self._loop.call_soon(self._finish_if_done, monotonic_ns())

    # Housekeeping.

    def _housekeeping(self, now_ns: int) -> None:
        self._time_out_handshakes(now_ns)
        while self._closing and self._closing[0][0] <= now_ns:
            _, tunnel = self._closing.popleft()
            if tunnel.state is State.CLOSING:
                tunnel.abort(Wire.TIMEOUT)
        self._ghost_ports.tend(now_ns)
        self._file_samples()
        if self._draining:
            self._finish_if_done(now_ns)

    def _time_out_handshakes(self, now_ns: int) -> None:
        unopened, began_ns = self._unopened, self._seats.began_ns
        latest_ns = now_ns - self.assignment.handshake_timeout_ns
        while unopened:
            tunnel = unopened[0]
            if tunnel.state in (State.CONNECTING, State.UPGRADING):
                if began_ns[tunnel.index] > latest_ns:
                    return
                self.handshake_failed(tunnel, "timeout", now_ns)
                self._drop(tunnel)
            unopened.popleft()

    def _file_samples(self) -> None:
        """Have full recorders filed: each filing stops the sending for a moment."""
        full = [number for number, cohort in enumerate(self._cohorts) if cohort.recorder.is_full()]
        if full:
            self._scheduler.do_in_pauses(self._file, full)

    def _file(self, number: int, due_ns: int) -> None:
        self._cohorts[number].recorder.flush(due_ns)

    def _snapshot(self, seq: int, due_ns: int) -> None:
        self._seq = seq
        self._send(self._account.snapshot(seq, due_ns, self._scheduler.take_behind_ns()))
