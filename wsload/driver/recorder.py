"""What one cohort of one worker saw in the current interval, filed by phase.

The hot path only appends to plain lists; :meth:`CohortRecorder.flush` files them in bulk with numpy, and
empties them in place, as senders keep their ``append``.
"""

import numpy as np
from numpy.typing import NDArray

from wsload.plan.phases import PhaseTimes
from wsload.record.histogram import Histogram
from wsload.record.outcome import Phase
from wsload.record.snapshot import CohortInterval, SparseCounts
from wsload.units import NS_PER_MS
from wsload.wire.frames import STAMP_BYTES

FLUSH_AT = 1000
"""Collected samples above which the next housekeeping files them. Nothing is sent meanwhile: 1,000 take
0.17 ms; 8,000 would take 0.9 ms, for a third less a sample."""
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
        "due_ns",
        "messages_without_stamp",
        "received_ns",
        "sent_ns",
        "stamps",
    )

    def __init__(self, phases: PhaseTimes, corrected: str | None, service: str) -> None:
        """``corrected`` and ``service`` name the metrics that replies feed; corrected may be left out."""
        self._phases = phases
        self._metrics = (corrected, service)
        self._counters: dict[Phase, dict[str, int]] = {}
        self._histograms: dict[Phase, dict[str, Histogram]] = {}
        self._samples: dict[Phase, dict[str, list[int]]] = {}
        self.stamps: list[bytes] = []
        """Of each matched reply, its message's 16-byte stamp (intended, sent)."""
        self.received_ns: list[int] = []
        """When each of those replies arrived."""
        self.due_ns: list[int] = []
        """When each sent message was due."""
        self.sent_ns: list[int] = []
        """When it was sent; none of a closed loop, whose messages are due when they are sent."""
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
        return len(self.stamps) > FLUSH_AT or len(self.due_ns) > FLUSH_AT

    def flush(self, now_ns: int) -> None:
        """File everything collected. Replies go by their message's intended time."""
        self._flush_sent()
        self._flush_replies(now_ns)
        for phase, metrics in self._samples.items():
            for metric, values_ns in metrics.items():
                self._histogram(phase, metric).record_many(values_ns)
                values_ns.clear()
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

    def _flush_sent(self) -> None:
        if not self.due_ns:
            return
        due_ns = _array(self.due_ns)
        lag_ns = _array(self.sent_ns) - due_ns if self.sent_ns else None
        self.due_ns.clear()
        self.sent_ns.clear()
        for phase, chosen in self._by_phase(due_ns):
            if lag_ns is not None:
                self._histogram(phase, "lag").record_many(lag_ns[chosen])
            self._add(phase, "sent", len(due_ns[chosen]))

    def _flush_replies(self, now_ns: int) -> None:
        if not self.stamps:
            return
        stamps = np.frombuffer(b"".join(self.stamps), "<i8").reshape(-1, STAMP_BYTES // 8)
        intended_ns, sent_ns = stamps[:, 0], stamps[:, 1]
        received_ns = _array(self.received_ns)
        self.stamps.clear()
        self.received_ns.clear()
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
                self._histogram(phase, corrected).record_many(received_ns[chosen] - intended_ns[chosen])
            self._histogram(phase, service).record_many(received_ns[chosen] - sent_ns[chosen])
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


def _array(times_ns: list[int]) -> NDArray[np.int64]:
    """A third faster than np.array, which looks for what is in the list first."""
    return np.fromiter(times_ns, np.int64, len(times_ns))
