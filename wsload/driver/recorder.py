"""What one cohort of one worker saw in the current interval, filed by phase.

The hot path only adds a few bytes to a buffer for each message; :meth:`CohortRecorder.flush` files them in
bulk with numpy. In lists, each time would be an object of its own, out of the CPU's cache by the time it is
filed, and a filing, in which nothing is sent, would take 0.75 ms instead of 0.33.
"""

from collections.abc import Iterator
from io import BytesIO
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from wsload.plan.phases import PhaseTimes
from wsload.record.histogram import Histogram, record_together
from wsload.record.outcome import Phase
from wsload.record.snapshot import CohortInterval, SparseCounts
from wsload.units import NS_PER_MS

pack_send = Struct("<qq").pack
"""When a message was due and sent, ns; the second is 0 in a closed loop, which has nothing to be late for."""
pack_reply = Struct("<16sq").pack
"""A reply's 16-byte stamp (intended, sent), and when it arrived."""
SEND_TIMES, REPLY_TIMES = 2, 3
"""How many times each of these holds."""
_TIME_BYTES = 8
FLUSH_AT = 1000
"""Messages or replies above which the next housekeeping files them. Nothing is sent meanwhile: at 10,000/s
some 0.3 ms, and hardly less for fewer."""
_CLOCK_SLACK_NS = NS_PER_MS

_PHASES = (Phase.OPEN, Phase.HOLD, Phase.DRAIN)


class CohortRecorder:
    """Counters, samples and histograms of one cohort since the last :meth:`take`."""

    __slots__ = (
        "_counters",
        "_histograms",
        "_metrics",
        "_phases",
        "_samples",
        "bytes_received",
        "bytes_sent",
        "messages_without_stamp",
        "note_reply",
        "note_send",
        "replies",
        "sends",
    )

    def __init__(self, phases: PhaseTimes, corrected: str | None, service: str) -> None:
        """``corrected`` and ``service`` name the metrics that replies feed; corrected may be left out."""
        self._phases = phases
        self._metrics = (corrected, service)
        self._counters: dict[Phase, dict[str, int]] = {}
        self._histograms: dict[Phase, dict[str, Histogram]] = {}
        self._samples: dict[Phase, dict[str, list[int]]] = {}
        self.sends = BytesIO()
        """Of each sent message what :data:`pack_send` gives, up to the current position."""
        self.replies = BytesIO()
        """Of each matched reply what :data:`pack_reply` gives."""
        self.note_send, self.note_reply = self.sends.write, self.replies.write
        self.messages_without_stamp = 0
        self.bytes_received = 0
        self.bytes_sent = 0

    def count(self, at_ns: int, name: str, number: int = 1) -> None:
        """Add to a counter of the phase that ``at_ns`` lies in."""
        counters = self._counters.setdefault(self._phases.phase_at(at_ns), {})
        counters[name] = counters.get(name, 0) + number

    def time(self, at_ns: int, metric: str, value_ns: int) -> None:
        """Add a sample to a histogram of the phase that ``at_ns`` lies in."""
        samples = self._samples.setdefault(self._phases.phase_at(at_ns), {})
        samples.setdefault(metric, []).append(value_ns)

    def is_full(self) -> bool:
        """Whether it is time to flush."""
        times = max(self.sends.tell() // SEND_TIMES, self.replies.tell() // REPLY_TIMES)
        return times > FLUSH_AT * _TIME_BYTES

    def flush(self, now_ns: int) -> None:
        """File everything collected. Replies go by their message's intended time."""
        batches = [*self._take_sends(), *self._take_replies(now_ns)]
        for phase, metrics in self._samples.items():
            batches += [
                (self._histogram(phase, metric), np.array(values_ns, dtype=np.int64))
                for metric, values_ns in metrics.items()
            ]
        self._samples.clear()
        if batches:
            record_together(batches)
        for name in ("bytes_sent", "bytes_received"):
            if getattr(self, name):
                self.count(now_ns, name, getattr(self, name))
                setattr(self, name, 0)
        if self.messages_without_stamp:
            self.count(now_ns, "received", self.messages_without_stamp)
            self.messages_without_stamp = 0

    def take(self, now_ns: int) -> dict[Phase, CohortInterval]:
        """The interval's data; starts the next interval."""
        self.flush(now_ns)
        result: dict[Phase, CohortInterval] = {}
        for phase in _PHASES:
            histograms = {}
            for metric, histogram in self._histograms.get(phase, {}).items():
                indexes, counts = histogram.sparse()
                if indexes or histogram.over_range:
                    histograms[metric] = SparseCounts(indexes, counts, histogram.over_range)
                    histogram.clear()
            counters = self._counters.pop(phase, {})
            if counters or histograms:
                result[phase] = CohortInterval(counters, histograms)
        return result

    def _take_sends(self) -> Iterator[tuple[Histogram, NDArray[np.int64]]]:
        """Count them; their lags, and where they belong."""
        due_ns, sent_ns = taken(self.sends, SEND_TIMES)
        for phase, chosen in self._by_phase(due_ns):
            if sent_ns[0]:
                yield self._histogram(phase, "lag"), sent_ns[chosen] - due_ns[chosen]
            self._add(phase, "sent", len(due_ns[chosen]))

    def _take_replies(self, now_ns: int) -> Iterator[tuple[Histogram, NDArray[np.int64]]]:
        """Count them; their latencies, and where they belong."""
        intended_ns, sent_ns, received_ns = taken(self.replies, REPLY_TIMES)
        if not len(received_ns):
            return
        # Only our own stamps name times within this run; a backend's own bytes do not.
        ours = (
            (sent_ns >= self._phases.start_ns)
            & (sent_ns <= received_ns + _CLOCK_SLACK_NS)
            & (intended_ns >= self._phases.start_ns)
            & (intended_ns <= sent_ns)
        )
        foreign = len(ours) - int(ours.sum())
        if foreign:
            self.count(now_ns, "unmatched", foreign)
            self.count(now_ns, "received", foreign)
            intended_ns, sent_ns, received_ns = intended_ns[ours], sent_ns[ours], received_ns[ours]
        corrected, service = self._metrics
        for phase, chosen in self._by_phase(intended_ns):
            if corrected is not None:
                yield self._histogram(phase, corrected), received_ns[chosen] - intended_ns[chosen]
            yield self._histogram(phase, service), received_ns[chosen] - sent_ns[chosen]
            self._add(phase, "received", len(received_ns[chosen]))

    def _by_phase(self, times_ns: NDArray[np.int64]) -> list[tuple[Phase, NDArray[np.bool_] | slice]]:
        """The phases that occur, each with what selects its entries."""
        bounds = (self._phases.hold_ns, self._phases.drain_ns)
        numbers = np.searchsorted(bounds, times_ns, side="right")
        if len(numbers) and numbers[0] == numbers[-1] and (numbers == numbers[0]).all():
            return [(_PHASES[int(numbers[0])], slice(None))]
        # Not np.unique: its first call imports numpy.ma, which takes 14 ms, just as the hold begins.
        chosen = ((phase, numbers == number) for number, phase in enumerate(_PHASES))
        return [(phase, which) for phase, which in chosen if which.any()]

    def _histogram(self, phase: Phase, metric: str) -> Histogram:
        histograms = self._histograms.setdefault(phase, {})
        if metric not in histograms:
            histograms[metric] = Histogram()
        return histograms[metric]

    def _add(self, phase: Phase, name: str, number: int) -> None:
        counters = self._counters.setdefault(phase, {})
        counters[name] = counters.get(name, 0) + number


def taken(notes: BytesIO, times: int) -> NDArray[np.int64]:
    """What was noted, a row for each of its ``times``. Starts over; the buffer's memory is kept."""
    size = notes.tell()
    notes.seek(0)
    columns = np.frombuffer(notes.read(size), "<i8").reshape(-1, times).T
    notes.seek(0)
    return columns
