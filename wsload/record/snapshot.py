"""What one worker saw in one interval: small, versioned, mergeable.

A snapshot's size depends on the number of cohorts and on disconnects, never on the number of messages.
"""

import msgspec

from wsload.record.histogram import Histogram
from wsload.record.outcome import Phase, PlanAct, Wire

SNAPSHOT_VERSION = 1


class SparseCounts(msgspec.Struct, array_like=True, frozen=True):
    """:meth:`Histogram.sparse` and what lay above its range."""

    indexes: bytes
    counts: bytes
    over_range: int = 0


class CohortInterval(msgspec.Struct):
    """One cohort's counters and histograms of one interval and phase.

    Counters are those of ``COUNTER_METRICS``, plus ``attempted``, ``unsent`` (due while the tunnel's
    socket did not take more), ``unmatched`` (arrived, but no stamp or order names their message) and
    ``protocol_error``, and ``handshake_failed:REASON``, where REASON is a status code, ``timeout``,
    ``refused``, ``reset``, ``closed`` (FIN instead of an answer), ``invalid``, ``unreachable``, ``no_port``,
    ``no_descriptor``, or ``unfinished`` (still opening when the drain began).
    """

    counters: dict[str, int] = msgspec.field(default_factory=dict)
    histograms: dict[str, SparseCounts] = msgspec.field(default_factory=dict)


class Gauges(msgspec.Struct):
    """Levels at the interval's end."""

    open: int = 0
    connecting: int = 0


class Disconnect(msgspec.Struct, array_like=True, frozen=True):
    """One tunnel's end as its client saw it. Times are monotonic ns or spans in ns.

    ``idle_rx_ns`` and ``idle_tx_ns`` are the time since the last byte arrived and was sent (since the
    101 where none was); a half-close counts as sent. ``plan`` is what the plan did to it.
    """

    t_ns: int
    tunnel: int
    cohort: str
    local_ip: str
    local_port: int
    remote: str
    phase: Phase
    age_ns: int
    idle_rx_ns: int
    idle_tx_ns: int
    wire: Wire
    close_code: int | None
    close_reason: str
    plan: PlanAct


class HandshakeFailure(msgspec.Struct, array_like=True, frozen=True):
    """One tunnel that never opened. ``reason`` is that of the counter ``handshake_failed:REASON``.

    ``waited_ns`` is the time since the connection attempt, or 0 where there was none.
    """

    t_ns: int
    tunnel: int
    cohort: str
    local_ip: str
    local_port: int
    remote: str
    waited_ns: int
    reason: str


class WorkerHealth(msgspec.Struct):
    """A worker's own state at the interval's end; ``cpu_s`` counts since the worker started."""

    cpu_s: float
    rss_bytes: int
    behind_ns: int = 0
    """How late the scheduler's most overdue event was in this interval."""


class Snapshot(msgspec.Struct, tag="snapshot"):
    """One worker, one interval. ``cohorts`` is cohort -> phase -> what happened."""

    worker: int
    seq: int
    end_ns: int
    cohorts: dict[str, dict[Phase, CohortInterval]]
    gauges: dict[str, Gauges]
    disconnects: list[Disconnect]
    failed: list[HandshakeFailure]
    health: WorkerHealth
    reopened: list[int] = []
    """Ids of tunnels that were opened again, or at a higher level, since the last snapshot."""
    version: int = SNAPSHOT_VERSION


class MergedCohort:
    """Counters and dense histograms of one cohort and phase, added up over workers or intervals."""

    __slots__ = ("counters", "histograms")

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}
        self.histograms: dict[str, Histogram] = {}

    def add(self, part: CohortInterval) -> None:
        """Add a worker's interval."""
        for name, count in part.counters.items():
            self.counters[name] = self.counters.get(name, 0) + count
        for name, sparse in part.histograms.items():
            histogram = self.histograms.setdefault(name, Histogram())
            histogram.merge_sparse(sparse.indexes, sparse.counts)
            histogram.over_range += sparse.over_range

    def merge(self, other: "MergedCohort") -> None:
        """Add another's sums."""
        for name, count in other.counters.items():
            self.counters[name] = self.counters.get(name, 0) + count
        for name, histogram in other.histograms.items():
            self.histograms.setdefault(name, Histogram()).merge(histogram)
