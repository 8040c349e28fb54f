"""What the small steps of driver and collector take, one by one, so that a regression is seen (pyperf).

Each benchmark runs shipped code on made data, without sockets, and counts what it did: frames, scheduler,
recording, and the way of snapshots into the folder. pyperf runs each in processes of its own and prints it; a
table comes last. pyperf also compares the results of two trees:

    python -m benchmarks.micro [--rigorous] [-o FILE.json] [PART-OF-A-NAME ...]
    python -m pyperf compare_to --table BEFORE.json AFTER.json
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from time import process_time
from typing import Any, NamedTuple, cast
from unittest import mock

import msgspec
import numpy as np
import pyperf

from benchmarks import made_load
from wsload.clock import ManualClock
from wsload.driver import scheduler
from wsload.driver.messages import FromWorker
from wsload.plan.arrivals import MessageSchedule
from wsload.profile.model import Arrivals
from wsload.record.histogram import Histogram
from wsload.record.outcome import Phase
from wsload.record.snapshot import MergedCohort
from wsload.run.collector import ClosedInterval, Collector, disconnect_row
from wsload.run.folder import FolderWriter
from wsload.units import NS_PER_S
from wsload.wire.frames import BINARY, FINAL, StampedMessage, build_frame, split_frames

Batch = Callable[[], int]
"""Does one batch of work; returns how many units it really did."""


class Micro(NamedTuple):
    """A benchmark: ``ready()`` makes its data, not measured, and gives a batch of ``units`` units."""

    name: str
    units: int
    ready: Callable[[], AbstractContextManager[Batch]]


MICROS: list[Micro] = []


def micro(name: str, units: int) -> Callable[[Callable[[], Iterator[Batch]]], None]:
    """Register a generator that yields a batch. Results are compared by name: other work, other name."""
    return lambda ready: MICROS.append(Micro(name, units, contextmanager(ready)))


# Frames

FRAMES = 1000
PAYLOAD_BYTES = 64
MASK = b"\x37\xfa\x21\x3d"
ECHO = bytes((FINAL | BINARY, PAYLOAD_BYTES)) + bytes(range(PAYLOAD_BYTES))
"""As a server sends it: small, final, unmasked."""
FRAMES_A_READ = 32


@micro("frames: build a stamped message", FRAMES)
def _build_stamped() -> Iterator[Batch]:
    build = StampedMessage(BINARY, PAYLOAD_BYTES, MASK).build
    yield lambda: len([build(at_ns, at_ns) for at_ns in range(FRAMES)])


@micro("frames: build and mask a payload", FRAMES)
def _build_masked() -> Iterator[Batch]:
    payload = bytes(range(PAYLOAD_BYTES))
    yield lambda: len([build_frame(BINARY, payload, MASK) for _ in range(FRAMES)])


@micro("frames: parse a read of one echo", FRAMES)
def _parse_one() -> Iterator[Batch]:
    yield lambda: sum([len(split_frames(ECHO)[0]) for _ in range(FRAMES)])


@micro("frames: parse an echo of 32 a read", FRAMES_A_READ)
def _parse_many() -> Iterator[Batch]:
    read = ECHO * FRAMES_A_READ + ECHO[:-1]
    yield lambda: len(split_frames(read)[0])


# Scheduler: 1,000 tunnels, 10 messages/s and a ping a second each, a snapshot a second

TUNNELS = 1000
EVENTS_A_SECOND = TUNNELS * 10 + TUNNELS + 1
SLACK_NS = 400_000
FOREVER_NS = 1 << 60


def _lay_plans(agenda: scheduler.Agenda, action: scheduler.Action) -> None:
    opens_ns = np.zeros(TUNNELS, np.int64)
    for seed, period_ns in enumerate((NS_PER_S // 10, NS_PER_S)):
        agenda.add(MessageSchedule.create(opens_ns, period_ns, Arrivals.EVEN, FOREVER_NS, seed), action)
    agenda.add(scheduler.Every(NS_PER_S), action)


@micro("scheduler: lay out an event, 50 ms at a time", EVENTS_A_SECOND)
def _agenda() -> Iterator[Batch]:
    agenda = scheduler.Agenda()
    _lay_plans(agenda, lambda _index, _due_ns: None)

    def second() -> int:
        start_ns = agenda.until_ns
        windows = range(start_ns + scheduler.WINDOW_NS, start_ns + NS_PER_S + 1, scheduler.WINDOW_NS)
        return sum([len(agenda.advance(until_ns)[0]) for until_ns in windows])

    second()  # in the first one, what is due at its very start is missing
    yield second


class _Loop:
    """As much of an event loop as a scheduler needs; it is woken by hand."""

    wake: Callable[[], None]

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.wake = callback

    def remove_reader(self, fd: int) -> None:
        pass


def _scheduler_seconds(steps: int, wakes_a_step: int) -> Iterator[Batch]:
    """Seconds of a manual clock that moves on in ``steps`` equal steps."""
    clock, loop, done = ManualClock(FOREVER_NS // 2), _Loop(), list[int]()
    with mock.patch.object(scheduler, "monotonic_ns", clock.now_ns):
        served = scheduler.Scheduler(cast(Any, loop), lambda _now_ns: None, SLACK_NS)
        _lay_plans(served.agenda, lambda index, _due_ns: done.append(index))
        served.start(clock.now_ns())

        def second() -> int:
            done.clear()
            for _ in range(steps):
                clock.advance(NS_PER_S // steps)
                for _ in range(wakes_a_step):
                    loop.wake()
            return len(done)

        second()
        yield second
        served.stop()


@micro("scheduler: an event on time, 2,500 wake-ups/s", EVENTS_A_SECOND)
def _on_time() -> Iterator[Batch]:
    yield from _scheduler_seconds(NS_PER_S // SLACK_NS, 1)


@micro("scheduler: an event when a second behind", EVENTS_A_SECOND)
def _behind() -> Iterator[Batch]:
    laying_out = NS_PER_S // scheduler.WINDOW_NS
    yield from _scheduler_seconds(1, (EVENTS_A_SECOND + laying_out) // scheduler.MAX_ACTIONS_PER_WAKE + 1)


# Recording

ECHOES = 8192


def _intervals_of(echoes_an_interval: int) -> Iterator[Batch]:
    recorder, echoes = made_load.echo_recorder(), made_load.echoes(echoes_an_interval)

    def interval() -> int:
        made_load.note(recorder, echoes)
        return recorder.take(made_load.INTERVAL_END_NS)[Phase.HOLD].counters["received"]

    yield interval


@micro("recorder: an echo of 8,192 an interval, appended, filed and taken", ECHOES)
def _record_many() -> Iterator[Batch]:
    yield from _intervals_of(ECHOES)


@micro("recorder: an interval of one echo", 1)
def _record_one() -> Iterator[Batch]:
    yield from _intervals_of(1)


@micro("histogram: file a value, 8,192 at a time", ECHOES)
def _file() -> Iterator[Batch]:
    histogram, values_ns = Histogram(), np.array(made_load.latencies_ns(ECHOES))

    def file() -> int:
        histogram.clear()
        histogram.record_many(values_ns)
        return histogram.total()

    yield file


@micro("histogram: encode for the folder", 1)
def _encode() -> Iterator[Batch]:
    histogram = Histogram()
    histogram.record_many(made_load.latencies_ns(ECHOES))
    yield lambda: bool(histogram.encode())


# Snapshots

WORKERS = 8
TIMERS_MS = {"tunnel": 8000, "client": 30_000, "server": 30_000}
DISCONNECTS = 1000


@micro("snapshot: from worker to parent, encode and decode", WORKERS)
def _across() -> Iterator[Batch]:
    snapshots = [made_load.snapshot(worker) for worker in range(WORKERS)]
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(FromWorker).decode
    yield lambda: len([decode(encode(snapshot)) for snapshot in snapshots])


@micro("snapshot: merge one worker's cohort", WORKERS)
def _merge() -> Iterator[Batch]:
    parts = [made_load.snapshot(worker).cohorts["chatty"][Phase.HOLD] for worker in range(WORKERS)]

    def merge() -> int:
        merged = MergedCohort()
        for part in parts:
            merged.add(part)
        return merged.histograms["echo_corrected"].total() // made_load.COHORT_ECHOES

    yield merge


@micro("collector: an interval of 8 workers and 3 cohorts, merged and written", 1)
def _collect() -> Iterator[Batch]:
    snapshots = [made_load.snapshot(worker) for worker in range(WORKERS)]
    closed: list[ClosedInterval] = []
    with tempfile.TemporaryDirectory(prefix="wsload-micro-") as path:
        folder = FolderWriter(Path(path))
        assignments = [made_load.assignment(worker) for worker in range(WORKERS)]
        phases = made_load.PHASES
        bounds_ns = (phases.hold_ns - phases.start_ns, phases.drain_ns - phases.start_ns)
        collector = Collector(folder, assignments, lambda _cohort: TIMERS_MS, bounds_ns, [closed.append])

        def interval() -> int:
            closed.clear()
            for snapshot in snapshots:
                snapshot.seq += 1
                snapshot.end_ns += NS_PER_S
                collector.add(snapshot)
            return len(closed)

        yield interval
        folder.close()


@micro("collector: a disconnect's first cause and row", DISCONNECTS)
def _disconnects() -> Iterator[Batch]:
    ends = [made_load.cut(tunnel) for tunnel in range(DISCONNECTS)]
    yield lambda: len([disconnect_row(0, end, TIMERS_MS) for end in ends])


# Measuring

STABLE_SPREAD = 0.1
"""A median absolute deviation above this share of the median is remarked on."""


def seconds(loops: int, each: Micro) -> float:
    """CPU time of so many batches, which a busy machine disturbs less than it does wall time."""
    with each.ready() as batch:
        before_s = process_time()
        for _ in range(loops):
            batch()
        return process_time() - before_s


def table(results: list[Any]) -> str:
    """Each benchmark's median, and how far its values lie from it (median absolute deviation)."""
    width = max(len(result.get_name()) for result in results)
    rows = [f"{'':{width}}  {'median':>9}  spread"]
    for result in results:
        median = result.median()
        spread = result.median_abs_dev() / median if result.get_nvalue() > 1 else 0.0
        doubt = "  may be unstable" if spread > STABLE_SPREAD else ""
        rows.append(f"{result.get_name():{width}}  {result.format_value(median):>9}  {spread:6.1%}{doubt}")
    return "\n".join(rows)


def main() -> None:
    """Measure those that are asked for, or all."""
    runner = pyperf.Runner(
        program_args=("-m", "benchmarks.micro"),
        # Little, so that all of them take a minute; --rigorous doubles the processes.
        processes=3,
        values=4,
        min_time=0.03,
        add_cmdline_args=lambda command, options: command.extend(options.parts),
    )
    runner.argparser.add_argument("parts", nargs="*", metavar="PART-OF-A-NAME", help="default: all of them")
    wanted = runner.parse_args().parts
    for part in wanted:
        if not any(part in each.name for each in MICROS):
            names = "; ".join(each.name for each in MICROS)
            runner.argparser.error(f"{part!r} is in no benchmark's name; there are: {names}")
    chosen = [each for each in MICROS if not wanted or any(part in each.name for part in wanted)]
    results = [runner.bench_time_func(each.name, seconds, each, inner_loops=each.units) for each in chosen]
    if not runner.args.worker and all(results):
        print("\n" + table(results))


if __name__ == "__main__":
    main()
