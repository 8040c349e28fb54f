"""Merges the workers' snapshots interval by interval and writes each merged interval once."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from wsload.analysis.attribution import first_cause
from wsload.plan.model import Assignment
from wsload.record import layout
from wsload.record.histogram import Histogram
from wsload.record.layout import SCHEMA_VERSION, CohortLine, IntervalLine, ProcessLine
from wsload.record.outcome import Cause, Phase, PlanAct, Wire
from wsload.record.snapshot import (
    CohortInterval,
    Disconnect,
    HandshakeFailure,
    MergedCohort,
    Snapshot,
    WorkerHealth,
)
from wsload.run.folder import FolderWriter
from wsload.units import NS_PER_MS, NS_PER_S

_PATIENCE_INTERVALS = 10
"""How many later intervals a silent worker may let pass before an interval is closed without it."""

Merged = dict[str, dict[Phase, MergedCohort]]


class ClosedInterval(msgspec.Struct):
    """What the live view needs of an interval just closed."""

    line: IntervalLine
    merged: Merged
    length_s: float


def _later(assignment: Assignment) -> list[int]:
    """Tunnels that open only when a higher level is offered."""
    ids = assignment.tunnel_ids
    return [int(tunnel) for tunnel in ids[ids >= assignment.first_level]]


class WorkerShare:
    """What the parent knows of one worker's tunnels, to name those that are lost with it."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self._ends: Counter[int] = Counter(_later(assignment))
        """Tunnel (run-wide id) -> how often it failed or ended, less how often it was opened again."""
        self.gauges: dict[str, tuple[int, int]] = {}
        self.health: WorkerHealth | None = None
        self.last_seq = -1
        self.is_live = True

    def note(self, snapshot: Snapshot) -> None:
        """What opened and ended in an interval."""
        self._ends.update(failure.tunnel for failure in snapshot.failed)
        self._ends.update(disconnect.tunnel for disconnect in snapshot.disconnects)
        self._ends.subtract(snapshot.reopened)

    def open_tunnels(self, at_ns: int) -> list[tuple[int, int, int]]:
        """Tunnels that were open or opening at a time: id, cohort number, ns since their start."""
        opens_ns = self.assignment.opens_ns
        due = int(opens_ns.searchsorted(at_ns, side="right"))
        ids, cohorts = self.assignment.tunnel_ids[:due].tolist(), self.assignment.cohort_of[:due].tolist()
        return [
            (tunnel, cohort, at_ns - opened_ns)
            for tunnel, cohort, opened_ns in zip(ids, cohorts, opens_ns[:due].tolist(), strict=True)
            if self._ends[tunnel] < 1
        ]


class Collector:
    """Takes what workers send, in any order; gives merged intervals to the folder and to listeners."""

    def __init__(
        self,
        folder: FolderWriter,
        assignments: Sequence[Assignment],
        timers_of_ms: Callable[[str], Mapping[str, int]],
        bounds_ns: tuple[int, int],
        listeners: Sequence[Callable[[ClosedInterval], None]],
    ) -> None:
        """``timers_of_ms`` gives a cohort's timers in force; ``bounds_ns`` are the starts of hold and drain,
        since the run's start."""
        self._folder, self._timers_of_ms, self._listeners = folder, timers_of_ms, listeners
        self._hold_ns, self._drain_ns = bounds_ns
        self._shares = [WorkerShare(assignment) for assignment in assignments]
        self._waiting: dict[int, dict[int, Snapshot]] = {}
        self._late: list[Snapshot] = []
        """Of intervals that were closed without them; counted in the next."""
        self._lost: dict[str, int] = {}
        """Tunnels lost with their worker that no interval has counted yet, by cohort."""
        self._lost_ns = 0
        self._closed_seq = -1
        self._closed_ns = 0
        self.others: list[ProcessLine] = []
        """Latest CPU and memory of the processes that are not workers."""

    def add(self, snapshot: Snapshot) -> None:
        """Take one worker's interval."""
        share = self._shares[snapshot.worker]
        share.last_seq = snapshot.seq
        share.note(snapshot)
        share.health = snapshot.health
        if snapshot.seq > self._closed_seq:
            self._waiting.setdefault(snapshot.seq, {})[snapshot.worker] = snapshot
        else:
            self._late.append(snapshot)
        self._write_disconnects(snapshot.worker, snapshot.disconnects)
        self._write_failures(snapshot.worker, snapshot.failed)
        self._close_ready()

    def done(self, worker: int) -> None:
        """A worker has sent all it had."""
        self._shares[worker].is_live = False
        self._close_ready()

    def lost(self, worker: int, at_ns: int) -> int:
        """A worker is gone, with all that it still held. Returns how many tunnels those were."""
        share = self._shares[worker]
        share.is_live = False
        names = [cohort.name for cohort in share.assignment.cohorts]
        held = share.open_tunnels(at_ns)
        self._lost_ns = max(self._lost_ns, at_ns)
        for _, cohort, _ in held:
            self._lost[names[cohort]] = self._lost.get(names[cohort], 0) + 1
        self._write_disconnects(
            worker,
            [
                Disconnect(
                    t_ns=at_ns,
                    tunnel=tunnel,
                    cohort=names[cohort],
                    local_ip="",
                    local_port=0,
                    remote="",
                    phase=self._phase_at(at_ns),
                    age_ns=age_ns,
                    idle_rx_ns=0,
                    idle_tx_ns=0,
                    wire=Wire.UNSEEN,
                    close_code=None,
                    close_reason="",
                    plan=PlanAct.NOTHING,
                )
                for tunnel, cohort, age_ns in held
            ],
        )
        self._close_ready()
        return len(held)

    def move_drain(self, at_ns: int) -> None:
        """The drain began at another time than planned."""
        self._drain_ns = at_ns

    def finish(self) -> None:
        """Close what is still waiting, and count what no worker was left to tell."""
        while self._waiting:
            self._close(min(self._waiting))
        if self._lost or self._late:
            self._waiting[self._closed_seq + 1] = {}
            self._close(self._closed_seq + 1)

    def _phase_at(self, at_ns: int) -> Phase:
        """The phase that an interval ending then belongs to. A drain may begin before the hold would have."""
        if at_ns > self._drain_ns:
            return Phase.DRAIN
        return Phase.OPEN if at_ns <= self._hold_ns else Phase.HOLD

    def _close_ready(self) -> None:
        while self._waiting:
            seq = min(self._waiting)
            present = self._waiting[seq]
            awaited = [
                number
                for number, share in enumerate(self._shares)
                if share.is_live and number not in present and share.last_seq < seq
            ]
            if awaited and max(self._waiting) - seq < _PATIENCE_INTERVALS:
                return
            self._close(seq)

    def _close(self, seq: int) -> None:
        present = self._waiting.pop(seq)
        parts, self._late = [*self._late, *present.values()], []
        end_ns = max((part.end_ns for part in present.values()), default=max(self._lost_ns, self._closed_ns))
        merged = self._merge(parts, end_ns)
        for share in self._shares:
            if not share.is_live and share.last_seq < seq:
                share.gauges = {}
        expected = {number for number, share in enumerate(self._shares) if share.is_live}
        line = IntervalLine(
            v=SCHEMA_VERSION,
            seq=seq,
            t_s=round(end_ns / NS_PER_S, 6),
            phase=self._phase_at(end_ns),
            cohorts={
                cohort: {phase: _cohort_line(part) for phase, part in phases.items()}
                for cohort, phases in merged.items()
            },
            open=self._level(0),
            connecting=self._level(1),
            processes=self._processes(),
            behind_ms=round(max((part.health.behind_ns for part in parts), default=0) / NS_PER_MS, 3),
            missing_workers=sorted(expected - present.keys()),
        )
        self._folder.append_json(layout.SNAPSHOTS, line)
        self._write_latency_log(line, merged, self._closed_ns, end_ns)
        length_s = (end_ns - self._closed_ns) / NS_PER_S
        self._closed_seq, self._closed_ns = seq, end_ns
        closed = ClosedInterval(line, merged, length_s)
        for listener in self._listeners:
            listener(closed)

    def _merge(self, parts: Sequence[Snapshot], end_ns: int) -> Merged:
        """What the workers tell, and the tunnels that were lost with one since the last interval."""
        merged: Merged = {}
        for snapshot in parts:
            gauges = {name: (gauge.open, gauge.connecting) for name, gauge in snapshot.gauges.items()}
            self._shares[snapshot.worker].gauges = gauges
            for cohort, phases in snapshot.cohorts.items():
                for phase, part in phases.items():
                    merged.setdefault(cohort, {}).setdefault(phase, MergedCohort()).add(part)
        for cohort, number in self._lost.items():
            lost = merged.setdefault(cohort, {}).setdefault(self._phase_at(end_ns), MergedCohort())
            lost.add(CohortInterval({"disconnect": number, "disconnect_unexpected": number}))
        self._lost = {}
        return merged

    def _level(self, which: int) -> dict[str, int]:
        result = {cohort.name: 0 for cohort in self._shares[0].assignment.cohorts}
        for share in self._shares:
            for name, levels in share.gauges.items():
                result[name] += levels[which]
        return result

    def _processes(self) -> list[ProcessLine]:
        drivers = [
            ProcessLine("driver", number, round(share.health.cpu_s, 4), share.health.rss_bytes)
            for number, share in enumerate(self._shares)
            if share.health is not None
        ]
        return drivers + self.others

    def _write_latency_log(self, line: IntervalLine, merged: Merged, from_ns: int, to_ns: int) -> None:
        """HdrHistogram's interval log, one tagged line a histogram; values in us (HistogramLogWriter)."""
        lines = [
            f"Tag={metric}:{cohort}:{phase},{from_ns / NS_PER_S:.3f},{(to_ns - from_ns) / NS_PER_S:.3f},"
            f"{merged[cohort][phase].histograms[metric].max_ns() / NS_PER_MS:.3f},{encoded}\n"
            for cohort, phases in line.cohorts.items()
            for phase, part in phases.items()
            for metric, encoded in part.histograms.items()
            if metric not in ("tunnel_age", "idle_at_disconnect")
        ]
        if lines:
            self._folder.append_text(layout.LATENCY_LOG, "".join(lines))

    def _write_disconnects(self, worker: int, disconnects: Sequence[Disconnect]) -> None:
        if disconnects:
            rows = (disconnect_row(worker, each, self._timers_of_ms(each.cohort)) for each in disconnects)
            self._folder.append_rows(layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, rows)

    def _write_failures(self, worker: int, failures: Sequence[HandshakeFailure]) -> None:
        if failures:
            rows = (failure_row(worker, failure) for failure in failures)
            self._folder.append_rows(layout.HANDSHAKE_FAILURES, layout.HANDSHAKE_FAILURE_COLUMNS, rows)


def failure_row(worker: int, failure: HandshakeFailure) -> dict[str, Any]:
    """One row of ``handshake-failures.csv``; the causes come when the run is over."""
    return {
        "t_s": _seconds(failure.t_ns),
        "worker": worker,
        "cohort": failure.cohort,
        "tunnel": failure.tunnel,
        "local_ip": failure.local_ip,
        "local_port": failure.local_port or "",
        "remote": failure.remote,
        "waited_s": _seconds(failure.waited_ns),
        "reason": failure.reason,
    }


def latency_log_header(started_unix_s: float) -> str:
    """What stands before the first line of ``latency.hlog``."""
    return (
        "#[Histogram log format version 1.3]\n"
        f"#[StartTime: {started_unix_s:.3f} (seconds since epoch)]\n"
        f"#[BaseTime: {started_unix_s:.3f} (seconds since epoch)]\n"
        "#Values are in microseconds, Interval_Max in milliseconds. Tag=metric:cohort:phase\n"
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    )


def disconnect_row(worker: int, disconnect: Disconnect, timers_ms: Mapping[str, int]) -> dict[str, Any]:
    """One row of ``disconnects.csv``; what nobody saw is empty."""
    cause, confidence, evidence = first_cause(disconnect, timers_ms)
    seen = cause is not Cause.GENERATOR_LOST
    return {
        "t_s": _seconds(disconnect.t_ns),
        "worker": worker,
        "cohort": disconnect.cohort,
        "tunnel": disconnect.tunnel,
        "local_ip": disconnect.local_ip,
        "local_port": disconnect.local_port if seen else "",
        "remote": disconnect.remote,
        "phase": disconnect.phase,
        "age_s": _seconds(disconnect.age_ns),
        "idle_rx_s": _seconds(disconnect.idle_rx_ns) if seen else "",
        "idle_tx_s": _seconds(disconnect.idle_tx_ns) if seen else "",
        "wire": disconnect.wire,
        "close_code": "" if disconnect.close_code is None else disconnect.close_code,
        "close_reason": disconnect.close_reason,
        "cause": cause,
        "confidence": confidence,
        "evidence": evidence,
        "plan": disconnect.plan,
        "termination": "",
    }


def _seconds(ns: int) -> str:
    return f"{ns / NS_PER_S:.6f}"


def _cohort_line(part: MergedCohort) -> CohortLine:
    over_range = {name: hist.over_range for name, hist in part.histograms.items() if hist.over_range}
    encoded = {name: histogram.encode() for name, histogram in part.histograms.items()}
    return CohortLine(part.counters, encoded, over_range)


def percentile_ms(merged: Merged, metric: str, percentile: float) -> float | None:
    """A percentile over all cohorts and phases of an interval; None where nothing was measured."""
    total = Histogram()
    for phases in merged.values():
        for part in phases.values():
            if metric in part.histograms:
                total.merge(part.histograms[metric])
    return total.percentile_ns(percentile) / NS_PER_MS if total.total() else None
