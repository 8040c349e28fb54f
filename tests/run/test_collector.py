from pathlib import Path

import msgspec
import pytest

from wsload.analysis.folder import DisconnectRow
from wsload.plan.model import Assignment
from wsload.profile.model import Cohort
from wsload.record import layout
from wsload.record.histogram import Histogram
from wsload.record.layout import IntervalLine
from wsload.record.outcome import Cause, Phase
from wsload.record.snapshot import CohortInterval, Gauges, Snapshot, SparseCounts, WorkerHealth
from wsload.run.collector import ClosedInterval, Collector, percentile_ms
from wsload.run.folder import FolderWriter
from wsload.units import NS_PER_MS, NS_PER_S

HOLD_NS, DRAIN_NS = 2 * NS_PER_S, 6 * NS_PER_S
TUNNELS = 3
"""Of each worker; they open at 0, 1 and 2 s."""


def assignment(worker: int) -> Assignment:
    return Assignment.pack(
        tunnel_ids=[worker * 10 + number for number in range(TUNNELS)],
        opens_ns=[number * NS_PER_S for number in range(TUNNELS)],
        cohort_of=[0] * TUNNELS,
        source_of=[0] * TUNNELS,
        target_of=[0] * TUNNELS,
        worker=worker,
        seed=1,
        cohorts=(Cohort(name="idle"),),
        sources=(),
        ramp_ns=HOLD_NS,
        hold_ns=DRAIN_NS - HOLD_NS,
        drain_ns=NS_PER_S,
        interval_ns=NS_PER_S,
        handshake_timeout_ns=NS_PER_S,
    )


class Bench:
    """A collector of two workers, and what it gave."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.closed: list[ClosedInterval] = []
        self.folder = FolderWriter(path)
        self.collector = Collector(
            self.folder,
            [assignment(0), assignment(1)],
            lambda cohort: {"tunnel": 1000},
            (HOLD_NS, DRAIN_NS),
            [self.closed.append],
        )

    def send(self, worker: int, seq: int, *, opened: int = 0, lag_ms: int = 0, open_now: int = 0) -> None:
        """One worker's snapshot of the second ``seq``."""
        counters = {"opened": opened} if opened else {}
        histograms = {}
        if lag_ms:
            histogram = Histogram()
            histogram.record_many([lag_ms * NS_PER_MS])
            histograms["lag"] = SparseCounts(*histogram.sparse())
        phase = Phase.OPEN if seq <= 2 else Phase.HOLD
        self.collector.add(
            Snapshot(
                worker=worker,
                seq=seq,
                end_ns=seq * NS_PER_S,
                cohorts={"idle": {phase: CohortInterval(counters, histograms)}},
                gauges={"idle": Gauges(open=open_now, connecting=0)},
                disconnects=[],
                failed=[],
                health=WorkerHealth(cpu_s=seq / 10, rss_bytes=1000, behind_ns=worker * NS_PER_MS),
            )
        )

    @property
    def lines(self) -> list[IntervalLine]:
        return [closed.line for closed in self.closed]

    def total(self, counter: str) -> int:
        return sum(
            part.counters.get(counter, 0)
            for line in self.lines
            for phases in line.cohorts.values()
            for part in phases.values()
        )

    def stored(self) -> list[IntervalLine]:
        text = (self.path / layout.SNAPSHOTS).read_bytes()
        return [msgspec.json.decode(line, type=IntervalLine) for line in text.splitlines()]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def lost_rows(bench: Bench) -> list[DisconnectRow]:
    from tests.made_folder import make_folder
    from wsload.analysis.folder import RunFolder

    elsewhere = make_folder(bench.path / "elsewhere")
    (elsewhere / layout.DISCONNECTS).write_bytes((bench.path / layout.DISCONNECTS).read_bytes())
    return RunFolder(elsewhere).disconnects()


def test_an_interval_is_closed_once_all_workers_have_sent_it(bench: Bench) -> None:
    bench.send(0, 0, opened=1, open_now=1)
    assert bench.closed == []
    bench.send(1, 0, opened=2, open_now=2)
    (line,) = bench.lines
    assert (line.seq, line.t_s, line.phase, line.open) == (0, 0.0, Phase.OPEN, {"idle": 3})
    assert line.cohorts["idle"][Phase.OPEN].counters == {"opened": 3}
    assert line.behind_ms == 1.0
    assert [(process.role, process.index) for process in line.processes] == [("driver", 0), ("driver", 1)]
    assert bench.stored() == bench.lines


def test_workers_may_be_intervals_apart(bench: Bench) -> None:
    for seq in range(3):
        bench.send(0, seq, opened=1)
    for seq in range(3):
        bench.send(1, seq, opened=1)
    assert [line.seq for line in bench.lines] == [0, 1, 2]
    assert bench.total("opened") == 6


def test_a_silent_worker_is_named_after_a_while_and_its_late_intervals_are_counted_later(
    bench: Bench,
) -> None:
    bench.send(0, 0)
    bench.send(1, 0)
    for seq in range(1, 13):
        bench.send(0, seq, opened=1)
    assert [(line.seq, line.missing_workers) for line in bench.lines] == [(0, []), (1, [1]), (2, [1])]
    bench.send(1, 1, opened=5, open_now=5)
    for seq in range(2, 13):
        bench.send(1, seq)
    assert [line.seq for line in bench.lines] == list(range(13))
    assert [line.t_s for line in bench.lines] == sorted(line.t_s for line in bench.lines)
    assert bench.total("opened") == 12 + 5
    assert bench.lines[3].missing_workers == []


def test_the_tunnels_of_a_lost_worker_are_named_and_counted(bench: Bench) -> None:
    for worker in (0, 1):
        bench.send(worker, 0, open_now=1)
    assert bench.collector.lost(1, int(1.5 * NS_PER_S)) == 2
    bench.send(0, 1, open_now=2)
    assert bench.lines[-1].open == {"idle": 2}
    assert bench.lines[-1].missing_workers == []
    assert (bench.total("disconnect"), bench.total("disconnect_unexpected")) == (2, 2)
    rows = lost_rows(bench)
    assert [(row.tunnel, row.age_s) for row in rows] == [(10, 1.5), (11, 0.5)]
    assert {row.cause for row in rows} == {Cause.GENERATOR_LOST}
    assert {(row.idle_rx_s, row.local_port, row.wire) for row in rows} == {(None, None, "")}


def test_tunnels_are_counted_too_when_no_worker_is_left(bench: Bench) -> None:
    for worker in (0, 1):
        bench.send(worker, 0)
    for worker in (0, 1):
        bench.collector.lost(worker, 3 * NS_PER_S)
    assert bench.total("disconnect") == 0
    bench.collector.finish()
    assert bench.total("disconnect") == 2 * TUNNELS
    assert (bench.lines[-1].t_s, bench.lines[-1].open) == (3.0, {"idle": 0})


def test_a_worker_lost_before_it_sent_anything_is_no_obstacle(bench: Bench) -> None:
    assert bench.collector.lost(0, NS_PER_S // 2) == 1
    assert bench.collector.lost(1, NS_PER_S // 2) == 1
    bench.collector.finish()
    (line,) = bench.lines
    assert (line.seq, line.t_s, line.open, line.behind_ms) == (0, 0.5, {"idle": 0}, 0.0)
    assert bench.total("disconnect_unexpected") == 2


def test_a_worker_that_is_done_is_not_waited_for(bench: Bench) -> None:
    for worker in (0, 1):
        bench.send(worker, 0, open_now=1)
    bench.collector.done(1)
    bench.send(0, 1, open_now=1)
    assert [line.seq for line in bench.lines] == [0, 1]
    assert bench.lines[1].open == {"idle": 1}


def test_what_still_waits_at_the_end_is_closed_and_the_missing_worker_named(bench: Bench) -> None:
    bench.send(0, 0, opened=1)
    bench.collector.finish()
    assert [(line.seq, line.missing_workers) for line in bench.lines] == [(0, [1])]
    bench.collector.finish()
    assert len(bench.lines) == 1


def test_phases_follow_a_drain_that_began_early(bench: Bench) -> None:
    for seq in range(3):
        for worker in (0, 1):
            bench.send(worker, seq)
        if seq == 0:
            bench.collector.move_drain(NS_PER_S)
    assert [line.phase for line in bench.lines] == [Phase.OPEN, Phase.OPEN, Phase.DRAIN]


def test_latencies_go_to_the_interval_log_and_into_percentiles(bench: Bench) -> None:
    bench.send(0, 0, lag_ms=1)
    bench.send(1, 0, lag_ms=9)
    merged = bench.closed[0].merged
    assert percentile_ms(merged, "lag", 100) == pytest.approx(9, rel=0.001)
    assert percentile_ms(merged, "lag", 50) == pytest.approx(1, rel=0.001)
    assert percentile_ms(merged, "ping_rtt", 50) is None
    (line,) = (bench.path / layout.LATENCY_LOG).read_text().splitlines()
    assert line.startswith("Tag=lag:idle:open,0.000,0.000,9.0")
    assert Histogram.decode(line.rsplit(",", 1)[1]).total() == 2
