"""What each interval shows of generator and host, gathered from a folder's files as they are read along."""

from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

from wsload.analysis.doubts import Context, IntervalFacts
from wsload.analysis.folder import LOST, RunFolder
from wsload.analysis.remedies import CpuUse, Surroundings
from wsload.profile.model import Profile
from wsload.record.histogram import Histogram
from wsload.record.layout import ActionLine, HostLine, IntervalLine
from wsload.record.outcome import Phase
from wsload.record.placement import ROLE_NAMES
from wsload.units import NS_PER_MS

CPU_SPAN_S = 0.9
"""CPU shares are told over so long a time at least: the kernel counts in ticks of 10 ms, and a short burst is
no lack."""
BOUNDARY_SLACK = 0.02
"""Share of an interval by which an interval's end may lie past the hold's and still count to it."""

CORRECTED = {"echo_corrected": ("echo_service",), "handshake": ("connect", "upgrade")}
"""What counts from when it was due -> what of it counts from when it was sent."""

T = TypeVar("T")


class Nearest(Generic[T]):
    """Readings in the order of time, of which it gives that nearest to a moment; moments only go forward.

    Intervals end on the workers' clock and readings are made on the parent's, about as often: with the
    nearest, whatever a reading adds to the one before it falls to one interval, even where some are missing.
    """

    def __init__(self, readings: Iterator[tuple[float, T]]) -> None:
        self._readings = readings
        self._now = next(readings, None)
        self._next = next(readings, None)

    def at(self, t_s: float) -> tuple[float, T] | None:
        """The time and reading; None: there are none at all."""
        while self._now is not None and self._next is not None:
            if abs(self._next[0] - t_s) > abs(self._now[0] - t_s):
                break
            self._now, self._next = self._next, next(self._readings, None)
        return self._now


class _Cpu(NamedTuple):
    """Seconds since some start."""

    t_s: float
    busy_s: float
    other_s: float = 0.0
    """Not busy."""
    stolen_s: float = 0.0


class _Meter:
    """The latest readings of something's CPU time, to tell its use over :data:`CPU_SPAN_S` at least."""

    def __init__(self) -> None:
        self._readings: deque[_Cpu] = deque()

    def add(self, reading: _Cpu) -> tuple[_Cpu, _Cpu] | None:
        """The reading to compare this one with, and this one; None: there is none long enough ago."""
        readings = self._readings
        if readings and reading.busy_s < readings[-1].busy_s:
            readings.clear()  # another process than before
        readings.append(reading)
        while len(readings) > 2 and reading.t_s - readings[1].t_s >= CPU_SPAN_S:
            readings.popleft()
        first = readings[0]
        return (first, reading) if reading.t_s - first.t_s >= CPU_SPAN_S else None


def surroundings(folder: RunFolder, profile: Profile) -> Surroundings:
    """Who shared the driver's cores, from ``environment.json``."""
    environment = folder.environment()
    host = environment.get("core_ids") or range(environment.get("cores", 0))
    pinned: Mapping[str, Any] = environment.get("pinned", {})
    cores = set(pinned.get("driver") or host)
    roles = [role for role in environment.get("shares_host", ROLE_NAMES) if role != "driver"]
    return Surroundings(
        workers=folder.info.workers,
        cores=len(cores),
        sharers=[role for role in roles if cores & set(pinned.get(role) or host)],
        closed_loop=any(cohort.is_closed_loop for cohort in profile.cohorts),
    )


class FactsReader:
    """Gives the facts of interval after interval; memory does not grow with the run."""

    def __init__(
        self, folder: RunFolder, around: Surroundings, actions: list[ActionLine], hold_end_s: float
    ) -> None:
        info = folder.info
        self.context = Context(info.lag_limit_ms, around)
        self._hold_from_s = info.ramp_s + BOUNDARY_SLACK * info.interval_s
        self._end_s = hold_end_s - BOUNDARY_SLACK * info.interval_s
        self._lost = [(action.t_s, _lost_words(action)) for action in actions if action.action == LOST]
        self._host = Nearest((line.t_s, line) for line in folder.iter_host())
        self._dropped = Nearest(_dropped_logs(folder))
        self._dropped_lines = 0
        self._cores, self._workers = _Meter(), dict[int, _Meter]()
        self._host_line = self._read_host(0.0)
        if self._host_line is not None:
            self._cores.add(_cpu_of(self._host_line))
        self._from_s = 0.0
        self._hold_busy_s = self._hold_free_s = self._hold_stolen_s = 0.0

    def hold_cpu(self) -> CpuUse:
        """How busy the driver's cores were over the hold, as far as it was read."""
        return _share(self._hold_busy_s, self._hold_free_s, self._hold_stolen_s)

    def facts(self, line: IntervalLine, after_lag: bool = False) -> IntervalFacts | None:
        """Of the next interval; None where it lies in the drain. ``after_lag``: the one before it lagged."""
        from_s, self._from_s = self._from_s, line.t_s
        if from_s >= self._end_s:
            return None
        lag, limit_ms = lag_of(line), self.context.lag_limit_ms
        replies, late_replies = _late_replies(line, limit_ms) if after_lag else (0, 0)
        workers, in_hold = self._worker_cpu(line), line.t_s > self._hold_from_s
        return IntervalFacts(
            from_s=round(from_s, 3),
            to_s=round(line.t_s, 3),
            in_hold=in_hold,
            sent=lag.total(),
            late=_over(lag, limit_ms),
            replies=replies,
            late_replies=late_replies,
            lag_p99_ms=lag.percentile_ns(99) / NS_PER_MS,
            behind_ms=line.behind_ms,
            worker_cpu=workers,
            silent_workers=line.missing_workers,
            lost_workers=[words for t_s, words in self._lost if t_s <= line.t_s],
            no_port=_own_failures(line, "no_port"),
            no_descriptor=_own_failures(line, "no_descriptor"),
            **self._host_facts(line.t_s, in_hold, max(workers.values(), default=None)),
        )

    def _worker_cpu(self, line: IntervalLine) -> dict[int, float]:
        shares = {}
        for process in line.processes:
            if process.role != "driver":
                continue
            pair = self._workers.setdefault(process.index, _Meter()).add(_Cpu(line.t_s, process.cpu_s))
            if pair is not None:
                before, now = pair
                shares[process.index] = (now.busy_s - before.busy_s) / (now.t_s - before.t_s)
        return shares

    def _host_facts(self, t_s: float, in_hold: bool, worker: float | None) -> dict[str, Any]:
        """The fields of :class:`IntervalFacts` that ``host.jsonl`` and HAProxy's counts tell of."""
        dropped = self._dropped.at(t_s)
        lost_logs = 0
        if dropped is not None:
            lost_logs, self._dropped_lines = dropped[1] - self._dropped_lines, dropped[1]
        before, now = self._host_line, self._read_host(t_s)
        if before is None or now is None:
            return {"lost_logs": lost_logs, "cpu": CpuUse(worker=worker)}
        self._host_line = now
        if in_hold:
            self._hold_busy_s += now.busy_s - before.busy_s
            self._hold_free_s += now.idle_s - before.idle_s
            self._hold_stolen_s += now.stolen_s - before.stolen_s
        return {
            "cpu": self._cpu_use(now, worker),
            "lost_logs": lost_logs + now.lost_logs - before.lost_logs,
            "conntrack": now.conntrack,
            "conntrack_max": now.conntrack_max,
            "conntrack_drops": now.conntrack_drops - before.conntrack_drops,
            "suspended_s": now.suspended_s - before.suspended_s,
            "wall_step_s": now.wall_step_s - before.wall_step_s,
            "clocksources": (before.clocksource, now.clocksource),
            "swapped_bytes": now.swapped_bytes - before.swapped_bytes,
        }

    def _read_host(self, t_s: float) -> HostLine | None:
        reading = self._host.at(t_s)
        return None if reading is None else reading[1]

    def _cpu_use(self, now: HostLine, worker: float | None) -> CpuUse:
        pair = self._cores.add(_cpu_of(now))
        if pair is None:
            return CpuUse(worker=worker)
        first, last = pair
        use = _share(last.busy_s - first.busy_s, last.other_s - first.other_s, last.stolen_s - first.stolen_s)
        return replace(use, worker=worker)


def _cpu_of(line: HostLine) -> _Cpu:
    return _Cpu(line.t_s, line.busy_s, line.idle_s, line.stolen_s)


def _share(busy_s: float, other_s: float, stolen_s: float) -> CpuUse:
    whole_s = busy_s + other_s
    return CpuUse(cores=busy_s / whole_s, stolen=stolen_s / whole_s) if whole_s > 0 else CpuUse()


def _over(histogram: Histogram, limit_ms: float) -> int:
    values_ns, counts = histogram.recorded()
    return int(counts[values_ns > limit_ms * NS_PER_MS].sum())


def _late_replies(line: IntervalLine, limit_ms: float) -> tuple[int, int]:
    """Replies and handshakes, and for how many of them the wait before they were sent is what makes them take
    longer than the limit."""
    replies = late = 0
    for corrected, parts in CORRECTED.items():
        whole = _histogram(line, corrected)
        replies += whole.total()
        late += max(
            _over(whole, limit_ms) - sum(_over(_histogram(line, part), limit_ms) for part in parts), 0
        )
    return replies, late


def lag_of(line: IntervalLine, *wanted: Phase) -> Histogram:
    """How late messages and openings were, of all cohorts and the ``wanted`` phases (none named: all)."""
    return _histogram(line, "lag", wanted)


def _histogram(line: IntervalLine, metric: str, wanted: Collection[Phase] = ()) -> Histogram:
    result = Histogram()
    for phases in line.cohorts.values():
        for phase, part in phases.items():
            if metric in part.histograms and (not wanted or phase in wanted):
                result.merge(Histogram.decode(part.histograms[metric]))
    return result


def _own_failures(line: IntervalLine, reason: str) -> int:
    name = f"handshake_failed:{reason}"
    return sum(part.counters.get(name, 0) for phases in line.cohorts.values() for part in phases.values())


def _dropped_logs(folder: RunFolder) -> Iterator[tuple[float, int]]:
    """Log lines that HAProxy's processes dropped, all together, after each of their readings."""
    latest: dict[int, int] = {}
    for row in folder.iter_haproxy_stats():
        latest[row["process"]] = max(latest.get(row["process"], 0), row["dropped_logs"])
        yield row["t_s"], sum(latest.values())


def _lost_words(action: ActionLine) -> str:
    return f"{action.detail.get('reason', 'a driver worker was lost')} at {action.t_s:.1f} s"
