"""What legends and captions of plots say of a run's intervals that may not be believed. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from wsload.analysis.folder import RunFolder
from wsload.record.outcome import Doubt, Validity
from wsload.record.summary import DoubtfulSpan, IntervalsPart
from wsload.units import format_many

DOUBT_WORDS: Mapping[str, str] = {
    Doubt.LAG: "generator lag",
    Doubt.WORKER_CPU: "worker CPU",
    Doubt.BEHIND: "behind schedule",
    Doubt.LOST_LOGS: "log lines lost",
    Doubt.WORKER_LOST: "worker lost",
    Doubt.NO_PORT: "no free port",
    Doubt.NO_DESCRIPTOR: "no free descriptor",
    Doubt.CONNTRACK: "conntrack full",
    Doubt.HOST_CPU: "host CPU full",
    Doubt.CLOCK: "clock trouble",
    Doubt.SWAP: "swapping",
}
GRADES: Mapping[Validity, str] = {Validity.INVALID: "left out", Validity.SUSPECT: "suspect"}
"""What becomes of an interval's times, the gravest first."""
_MOST_NAMES = 3
"""A legend has little room; ``summary.json`` has them all."""
_SPAN_DIGITS = 3
"""Ends of spans are told to the millisecond."""


@dataclass(frozen=True)
class Doubts:
    """A run's doubtful spans, and how many intervals there are of each grade."""

    spans: Sequence[DoubtfulSpan] = ()
    intervals: IntervalsPart = field(default_factory=IntervalsPart)

    def of_grade(self, grade: Validity) -> list[DoubtfulSpan]:
        """Those spans that are ``grade``, in the order of time."""
        return [span for span in self.spans if span.validity == grade]

    def leaves_out(self, t_s: float) -> bool:
        """Whether what was timed in the interval that ends at ``t_s`` counts for nothing."""
        t_s = round(t_s, _SPAN_DIGITS)
        place = bisect_left(self._left_out, t_s, key=lambda span: span.to_s)
        return place < len(self._left_out) and self._left_out[place].from_s < t_s

    @cached_property
    def _left_out(self) -> list[DoubtfulSpan]:
        return self.of_grade(Validity.INVALID)


def doubts_of(folder: RunFolder) -> Doubts:
    """What a run's summary says; nothing where there is none, or one of an earlier version."""
    summary = folder.summary()
    return Doubts() if summary is None else Doubts(summary.doubts, summary.intervals)


def worst_grade(validities: Iterable[str]) -> Validity:
    """The gravest of some runs' (or intervals') validities."""
    found = set(validities)
    return next((grade for grade in GRADES if grade in found), Validity.VALID)


def doubt_names(spans: Iterable[DoubtfulSpan]) -> str:
    """``generator lag, worker CPU``: each once, in the order of time; of many the first few."""
    names = dict.fromkeys(name for span in spans for name in span.doubts)
    words = [DOUBT_WORDS.get(name, name.replace("_", " ")) for name in names]
    more = len(words) - _MOST_NAMES
    return ", ".join(words[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def legend_words(grade: Validity, spans: Iterable[DoubtfulSpan]) -> str:
    """What a shading means: ``left out: generator lag``."""
    return f"{GRADES[grade]}: {doubt_names(spans)}"


def left_out_words(doubts: Doubts) -> str:
    """For a plot of times without a time axis: ``3 of the run's 60 intervals left out: generator lag``.

    Empty where no interval is in doubt.
    """
    count = doubts.intervals
    in_hold = "" if count.left_out == count.invalid else f" ({count.left_out or 'none'} of them in the hold)"
    return _words(doubts, f"left out{in_hold}")


def nowhere_words(doubts: Doubts, what: str) -> str:
    """Why a plot of times is empty: ``what`` says of a run in which every interval counts."""
    return f"{what}, or in no valid interval" if doubts.intervals.invalid else what


def counted_words(doubts: Doubts) -> str:
    """For a plot of ends, which are facts whatever the generator did; empty as above."""
    return _words(doubts, "invalid, but counted here")


def _words(doubts: Doubts, invalid: str) -> str:
    count = doubts.intervals
    parts: list[str] = []
    for grade, some, words in (
        (Validity.INVALID, count.invalid, invalid),
        (Validity.SUSPECT, count.suspect, "suspect"),
    ):
        if some:
            of_all = "" if parts else f" of the run's {format_many(count.judged, 'interval')}"
            parts.append(f"{some:,}{of_all} {words}: {doubt_names(doubts.of_grade(grade))}")
    return "; ".join(parts)
