"""The made tunnels of :mod:`tests.made_folder`, worked out one by one, and the rows that follow from them."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wsload.record import layout
from wsload.record.histogram import Histogram
from wsload.record.layout import (
    ActionLine,
    CohortLine,
    IntervalLine,
    ProcessLine,
)
from wsload.record.outcome import Cause, Confidence, Phase, PlanAct, Wire

STARTED_UNIX_S = 1_795_000_000.0
TIMERS_MS = {"connect": 5_000, "client": 30_000, "server": 30_000, "tunnel": 3_600_000}


@dataclass(frozen=True)
class Ends:
    """``count`` tunnels of ``cohort`` (the first ones opened) end ``age_s`` after opening; ``idle_s`` is None
    where nobody was left to say."""

    cohort: str
    count: int
    age_s: float
    idle_s: float | None
    wire: Wire = Wire.FIN
    cause: Cause = Cause.PEER_FIN
    confidence: Confidence = Confidence.LIKELY
    close_code: int | None = None


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The numbers of a made folder."""

    title: str = "mixed"
    cohorts: Mapping[str, int] = field(default_factory=lambda: {"idle": 60, "chatty": 30, "pinged": 10})
    workers: int = 2
    ramp_s: float = 3.0
    hold_s: float = 10.0
    drain_s: float = 2.0
    interval_s: float = 1.0
    via: str = "haproxy"
    timers_ms: Mapping[str, int] = field(default_factory=lambda: TIMERS_MS)
    cohort_timers_ms: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    maxconn: int = 1000
    haproxy_processes: int = 1
    backend_processes: int = 1
    lag_limit_ms: float = 50.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    latency_ms: float = 2.0
    """Median of ``echo_corrected``; the others are shares of it."""
    handshake_ms: float = 1.5
    lag_ms: float = 0.2
    late_ms: Mapping[int, float] = field(default_factory=dict)
    """Interval number -> by how much lag, echoes and handshakes are later in it."""
    replies_late_ms: Mapping[int, float] = field(default_factory=dict)
    """The same, of echoes alone."""
    messages_per_s: float = 10.0
    """Per tunnel of the cohort ``chatty``."""
    failures: Mapping[str, int] = field(default_factory=dict)
    """Handshake failures by reason, all of the first cohort's last tunnels."""
    ends: Sequence[Ends] = ()
    driver_cpu: float = 0.4
    """Each driver worker's share of a core; the same for HAProxy and the backend below."""
    haproxy_cpu: float = 0.3
    backend_cpu: float = 0.1
    dropped_logs: int = 0
    pool_failed: int = 0
    behind_ms: float = 0.3
    unsent: int = 0
    """In every interval of the hold, of the cohort ``chatty``."""
    missing: Mapping[int, Sequence[int]] = field(default_factory=dict)
    """Interval number -> workers that sent nothing."""
    actions: Sequence[ActionLine] = ()
    cut_at_s: float | None = None
    """The run was cut short here: nothing later stands in any file, and there is no summary."""
    torn: bool = False
    """The last line of every growing file is cut in the middle."""
    schema_version: int = layout.SCHEMA_VERSION
    summary: bool = True
    slos: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def end_s(self) -> float:
        """When the last interval ends."""
        return self.ramp_s + self.hold_s + self.drain_s if self.cut_at_s is None else self.cut_at_s

    def phase_at(self, t_s: float) -> Phase:
        """The phase at a moment."""
        if t_s <= self.ramp_s:
            return Phase.OPEN
        return Phase.HOLD if t_s <= self.ramp_s + self.hold_s else Phase.DRAIN


@dataclass(frozen=True)
class Tunnel:
    """``ended_s`` is None where a tunnel outlives the run, ``failed`` says why it never opened."""

    number: int
    cohort: str
    opened_s: float
    ended_s: float | None
    end: Ends | None
    failed: str | None = None


def tunnels_of(made: Choices) -> list[Tunnel]:
    """Every tunnel, in opening order, the cohorts interleaved by their shares."""
    order = sorted(
        ((position + 0.5) / count, name) for name, count in made.cohorts.items() for position in range(count)
    )
    failures = [reason for reason, count in made.failures.items() for _ in range(count)]
    first = next(iter(made.cohorts), "")
    healthy = {name: count - (len(failures) if name == first else 0) for name, count in made.cohorts.items()}
    ends = {
        name: [end for end in made.ends for _ in range(end.count) if end.cohort == name]
        for name in made.cohorts
    }
    seen = dict.fromkeys(made.cohorts, 0)
    tunnels = []
    for number, (_, name) in enumerate(order):
        opened_s = made.ramp_s * number / len(order)
        position, seen[name] = seen[name], seen[name] + 1
        failed = failures[position - healthy[name]] if position >= healthy[name] else None
        end = ends[name][position] if position < len(ends[name]) and failed is None else None
        tunnels.append(Tunnel(number, name, opened_s, opened_s + end.age_s if end else None, end, failed))
    return tunnels


def open_at(tunnels: Sequence[Tunnel], cohort: str, t_s: float, drained_s: float) -> int:
    return sum(
        tunnel.cohort == cohort
        and tunnel.failed is None
        and tunnel.opened_s <= t_s
        and (tunnel.ended_s is None or tunnel.ended_s > t_s)
        and t_s < drained_s
        for tunnel in tunnels
    )


def times_s(made: Choices) -> list[float]:
    count = int(made.end_s / made.interval_s + 1e-9)
    return [round((number + 1) * made.interval_s, 6) for number in range(count)]


@functools.cache
def _encoded(median_ms: float, count: int, seed: int) -> str:
    histogram = Histogram()
    values_ms = np.random.default_rng(seed).lognormal(np.log(max(median_ms, 0.001)), 0.4, count)
    histogram.record_many((values_ms * 1e6).astype(np.int64))
    return histogram.encode()


def _histograms(made: Choices, cohort: str, opened: int, echoes: int, pings: int, seq: int) -> dict[str, str]:
    seed, late_ms = seq % 5, made.late_ms.get(seq, 0.0)
    wanted = [
        ("connect", made.handshake_ms * 0.2, opened),
        ("upgrade", made.handshake_ms * 0.6, opened),
        ("handshake", made.handshake_ms + late_ms, opened),
        ("echo_corrected", made.latency_ms + late_ms + made.replies_late_ms.get(seq, 0.0), echoes),
        ("echo_service", made.latency_ms * 0.9, echoes),
        ("ping_rtt", made.latency_ms * 0.5, pings),
        ("lag", made.lag_ms + late_ms, opened + echoes + pings),
    ]
    return {name: _encoded(median_ms, count, seed) for name, median_ms, count in wanted if count}


def intervals(made: Choices, tunnels: Sequence[Tunnel]) -> Iterator[IntervalLine]:
    """One line an interval; all of an interval's events are filed under the phase at its end."""
    drained_s = made.ramp_s + made.hold_s + made.interval_s
    for seq, t_s in enumerate(times_s(made)):
        since_s, phase = t_s - made.interval_s, made.phase_at(t_s)
        cohorts = {}
        for name in made.cohorts:
            due = [tunnel for tunnel in tunnels if tunnel.cohort == name and since_s <= tunnel.opened_s < t_s]
            opened = [tunnel for tunnel in due if tunnel.failed is None]
            live = open_at(tunnels, name, t_s, drained_s)
            echoes = round(live * made.messages_per_s * made.interval_s) if name == "chatty" else 0
            pings = live if name == "pinged" and seq % 3 == 0 else 0
            ended = [
                tunnel
                for tunnel in tunnels
                if tunnel.cohort == name and tunnel.ended_s is not None and since_s < tunnel.ended_s <= t_s
            ]
            planned = 0
            if t_s >= drained_s > since_s:
                planned = open_at(tunnels, name, since_s, drained_s)
            counters = {
                "attempted": len(due),
                "opened": len(opened),
                "handshake_failed": len(due) - len(opened),
                "sent": echoes,
                "received": echoes,
                "bytes_sent": echoes * 70,
                "bytes_received": echoes * 66,
                "disconnect": len(ended) + planned,
                "disconnect_unexpected": len(ended),
                "unsent": made.unsent if phase is Phase.HOLD and name == "chatty" else 0,
            }
            for tunnel in due:
                if tunnel.failed is not None:
                    key = f"handshake_failed:{tunnel.failed}"
                    counters[key] = counters.get(key, 0) + 1
            histograms = _histograms(made, name, len(opened), echoes, pings, seq)
            if ended:
                histograms["tunnel_age"] = _encoded(
                    1000 * (ended[0].end.age_s if ended[0].end else 1), len(ended), 0
                )
                histograms["idle_at_disconnect"] = _encoded(
                    1000 * ((ended[0].end and ended[0].end.idle_s) or 1), len(ended), 0
                )
            counters = {key: count for key, count in counters.items() if count}
            if counters or histograms:
                cohorts[name] = {phase: CohortLine(counters=counters, histograms=histograms)}
        yield IntervalLine(
            v=made.schema_version,
            seq=seq,
            t_s=t_s,
            phase=phase,
            cohorts=cohorts,
            open={name: open_at(tunnels, name, t_s, drained_s) for name in made.cohorts},
            connecting=dict.fromkeys(made.cohorts, 0),
            processes=list(_processes(made, t_s)),
            behind_ms=made.behind_ms,
            missing_workers=list(made.missing.get(seq, ())),
        )


def _processes(made: Choices, t_s: float) -> Iterator[ProcessLine]:
    kinds = [
        ("driver", made.workers, made.driver_cpu, 40),
        ("backend", made.backend_processes, made.backend_cpu, 25),
    ]
    if made.via == "haproxy":
        kinds.append(("haproxy", made.haproxy_processes, made.haproxy_cpu, 30))
    for role, count, share, mib in kinds:
        for index in range(count):
            yield ProcessLine(role=role, index=index, cpu_s=0.5 + share * t_s, rss_bytes=mib * 1024**2)


def disconnect_rows(made: Choices, tunnels: Sequence[Tunnel]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    drain_s = made.ramp_s + made.hold_s
    for tunnel in tunnels:
        if tunnel.failed is not None:
            continue
        end = tunnel.end
        idle_s: float | None
        if end is not None and tunnel.ended_s is not None and tunnel.ended_s <= min(made.end_s, drain_s):
            t_s, idle_s = tunnel.ended_s, end.idle_s
            tail: tuple[Any, ...] = (
                end.wire,
                end.close_code,
                "",
                end.cause,
                end.confidence,
                f"made, {idle_s} s idle",
                PlanAct.NOTHING,
                "",
            )
        elif made.end_s >= drain_s + made.interval_s:
            t_s, idle_s = drain_s + 0.5, 0.0
            tail = (
                Wire.CLOSE,
                1000,
                "",
                Cause.PLANNED,
                Confidence.CERTAIN,
                "the plan closed it",
                PlanAct.CLOSE,
                "",
            )
        else:
            continue
        rows.append(
            (
                f"{t_s:.6f}",
                tunnel.number % made.workers,
                tunnel.cohort,
                tunnel.number,
                "127.0.0.2",
                40000 + tunnel.number,
                "127.0.0.1:8080",
                made.phase_at(t_s),
                f"{t_s - tunnel.opened_s:.6f}",
                *("" if idle_s is None else f"{idle_s:.6f}",) * 2,
                *tail,
            )
        )
    return sorted(rows, key=lambda row: float(row[0]))


def stats_rows(made: Choices, tunnels: Sequence[Tunnel]) -> Iterator[tuple[Any, ...]]:
    drained_s = made.ramp_s + made.hold_s + made.interval_s
    for t_s in times_s(made):
        slots = sum(open_at(tunnels, name, t_s, drained_s) for name in made.cohorts)
        for process in range(made.haproxy_processes):
            share = slots // made.haproxy_processes + (process < slots % made.haproxy_processes)
            yield (
                f"{t_s:.3f}",
                process,
                4000 + process,
                "2.6.12",
                share + 1,
                share,
                made.maxconn // made.haproxy_processes,
                0,
                len(tunnels) / made.ramp_s if t_s <= made.ramp_s else 0,
                len(tunnels),
                5.0,
                6.0,
                70,
                made.dropped_logs,
                f"{0.2 + made.haproxy_cpu * t_s:.3f}",
                30 * 1024**2,
                made.pool_failed,
            )
