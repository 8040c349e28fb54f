"""What a worker tells of its tunnels: ends, failed openings and figures, from one snapshot to the next."""

from collections.abc import Sequence

from wsload.driver import health
from wsload.driver.endings import PLANNED_ENDS, record_end, record_failure
from wsload.driver.seats import Seats
from wsload.driver.traffic import CohortTraffic
from wsload.driver.tunnel import Tunnel
from wsload.plan.phases import PhaseTimes
from wsload.record.snapshot import Disconnect, Gauges, HandshakeFailure, Snapshot, WorkerHealth


class Account:
    """Counts each event in its cohort, and keeps on record what is told one by one."""

    def __init__(
        self, worker: int, seats: Seats, phases: PhaseTimes, cohorts: Sequence[CohortTraffic]
    ) -> None:
        """``phases`` and ``cohorts`` are the worker's, which changes them."""
        self._worker, self._seats, self._phases, self._cohorts = worker, seats, phases, cohorts
        self._disconnects: list[Disconnect] = []
        self._failed: list[HandshakeFailure] = []
        self._reopened: list[int] = []

    def reopened(self, seat_id: int) -> None:
        """A client takes a seat that another had."""
        self._reopened.append(seat_id)

    def opened(self, tunnel: Tunnel, now_ns: int) -> None:
        """The 101 is in."""
        recorder, due_ns = tunnel.cohort.recorder, self._seats.due_ns[tunnel.index]
        recorder.count(due_ns, "opened")
        recorder.time(due_ns, "upgrade", now_ns - tunnel.mark_ns)
        recorder.time(due_ns, "handshake", now_ns - due_ns)

    def failed(self, tunnel: Tunnel, reason: str, now_ns: int) -> None:
        """It did not open; ``reason`` is a status code or a word of :class:`CohortInterval`."""
        seats, index = self._seats, tunnel.index
        recorder, due_ns = tunnel.cohort.recorder, seats.due_ns[index]
        recorder.count(due_ns, "handshake_failed")
        recorder.count(due_ns, f"handshake_failed:{reason}")
        waited_ns = now_ns - seats.began_ns[index] if seats.began_ns[index] else 0
        t_ns = now_ns - self._phases.start_ns
        self._failed.append(record_failure(tunnel, *seats.facts(index), t_ns, waited_ns, reason))

    def ended(self, tunnel: Tunnel, now_ns: int) -> Disconnect:
        """It was open and is no more; what is on record of that."""
        end = record_end(tunnel, *self._seats.facts(tunnel.index), self._phases, now_ns)
        recorder, at_ns = tunnel.cohort.recorder, end.t_ns + self._phases.start_ns
        recorder.count(at_ns, "disconnect")
        if tunnel.plan not in PLANNED_ENDS:
            recorder.count(at_ns, "disconnect_unexpected")
        recorder.time(at_ns, "tunnel_age", end.age_ns)
        recorder.time(at_ns, "idle_at_disconnect", min(end.idle_rx_ns, end.idle_tx_ns))
        self._disconnects.append(end)
        return end

    def snapshot(self, seq: int, due_ns: int, behind_ns: int) -> Snapshot:
        """All since the last one; ``behind_ns`` is how late the worker was at the most."""
        cohorts = {}
        for cohort in self._cohorts:
            phases = cohort.recorder.take(due_ns)
            if phases:
                cohorts[cohort.name] = phases
        taken = Snapshot(
            worker=self._worker,
            seq=seq,
            end_ns=due_ns - self._phases.start_ns,
            cohorts=cohorts,
            gauges={cohort.name: Gauges(cohort.open, cohort.connecting) for cohort in self._cohorts},
            disconnects=self._disconnects,
            failed=self._failed,
            reopened=self._reopened,
            health=WorkerHealth(health.cpu_s(), health.rss_bytes(), behind_ns),
        )
        self._disconnects, self._failed, self._reopened = [], [], []
        return taken
