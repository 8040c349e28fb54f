"""Intervals judged one after another, what the summary says of them, and what they mean for the run. Pure."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from wsload.analysis.doubts import Context, Finding, IntervalFacts, find_doubts
from wsload.record.outcome import Doubt, Validity
from wsload.record.summary import DoubtfulSpan, IntervalsPart
from wsload.units import format_many

INVALID_INTERVALS = 0.1
"""Share of the hold's intervals that may be invalid: what is left is still the hold that was planned."""
HICCUP_INTERVALS = 2
"""As many may be invalid in the shortest hold too: one in which something stood still, and one in which the
late replies arrive."""
SUSPECT_INTERVALS: Mapping[Doubt, float] = {
    Doubt.WORKER_CPU: 0.1,
    Doubt.BEHIND: 0.1,
    Doubt.CONNTRACK: 0.1,
    Doubt.SWAP: 0.1,
    Doubt.HOST_CPU: 0.5,
    Doubt.CLOCK: 0.0,
}
"""Doubt -> share of the hold's intervals that may be suspect for it. Full cores are the common state of a
small host, and lag tells where they hurt; a clock that was set is wrong ever after."""


@dataclass
class HoldDoubts:
    """What the whole run's verdict needs of its intervals. Counts are of intervals."""

    intervals: int = 0
    """Of the hold, as all that follows but the last."""
    invalid: int = 0
    invalid_for: Counter[Doubt] = field(default_factory=Counter)
    suspect_for: Counter[Doubt] = field(default_factory=Counter)
    """Valid but for that; an interval may count for several doubts."""
    worst: dict[Doubt, Finding] = field(default_factory=dict)
    """Of the hold."""
    ramp_invalid: int = 0
    ramp_worst: Finding | None = None


class IntervalJudge:
    """Judges interval by interval, in the order of time, and keeps what the summary says."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._last: list[Finding] = []
        self.spans: list[DoubtfulSpan] = []
        self.counts = IntervalsPart()
        self.hold = HoldDoubts()

    @property
    def lagged(self) -> bool:
        """Whether the latest interval did."""
        return any(each.doubt is Doubt.LAG for each in self._last)

    def judge(self, facts: IntervalFacts) -> Validity:
        """One interval's verdict."""
        found = find_doubts(self._context, facts)
        validity = found[0].validity if found else Validity.VALID
        self.counts.judged += 1
        self.counts.suspect += validity is Validity.SUSPECT
        self.counts.invalid += validity is Validity.INVALID
        self._note_hold(facts, validity, found)
        self._note_span(facts, validity, found)
        return validity

    def _note_hold(self, facts: IntervalFacts, validity: Validity, found: Sequence[Finding]) -> None:
        hold = self.hold
        if not facts.in_hold:
            if validity is Validity.INVALID:
                hold.ramp_invalid += 1
                worst = hold.ramp_worst
                if worst is None or (found[0].doubt is worst.doubt and found[0].is_graver_than(worst)):
                    hold.ramp_worst = found[0]
            return
        hold.intervals += 1
        hold.invalid += validity is Validity.INVALID
        self.counts.left_out += validity is Validity.INVALID
        for finding in found:
            by_grade = hold.invalid_for if finding.validity is Validity.INVALID else hold.suspect_for
            by_grade[finding.doubt] += 1
            worst = hold.worst.get(finding.doubt)
            if worst is None or finding.is_graver_than(worst):
                hold.worst[finding.doubt] = finding

    def _note_span(self, facts: IntervalFacts, validity: Validity, found: Sequence[Finding]) -> None:
        """Adjacent intervals of one grade and the same doubts are one span, which keeps the worst words."""
        span = self.spans[-1] if self.spans and self._last else None
        doubts: list[str] = [each.doubt for each in found]
        if span is not None and found and span.validity == validity and span.doubts == doubts:
            pairs = zip(self._last, found, strict=True)
            self._last = [now if now.is_graver_than(before) else before for before, now in pairs]
            span.to_s = facts.to_s
            span.reasons = [each.words for each in self._last]
            return
        self._last = list(found)
        if found:
            words = [each.words for each in found]
            self.spans.append(DoubtfulSpan(facts.from_s, facts.to_s, validity, doubts, words))


def judge_hold(hold: HoldDoubts, told: Collection[Doubt], decides: bool) -> list[tuple[Validity, str]]:
    """What the intervals mean for the run.

    Args:
        hold: What became of them.
        told: Doubts for which suspect intervals need no further word.
        decides: Whether too many invalid ones make the run invalid.
    """
    return [*_left_out(hold, decides), *_ramp(hold), *_often_suspect(hold, told)]


def _left_out(hold: HoldDoubts, decides: bool) -> list[tuple[Validity, str]]:
    if not hold.invalid:
        return []
    too_many = (
        hold.invalid > max(INVALID_INTERVALS * hold.intervals, HICCUP_INTERVALS)
        or hold.invalid == hold.intervals
    )
    most = max(hold.invalid_for, key=lambda doubt: hold.invalid_for[doubt])
    were, them = _verb_and_pronoun(hold.invalid)
    return [
        (
            Validity.INVALID if too_many and decides else Validity.SUSPECT,
            f"{hold.invalid} of {format_many(hold.intervals, 'interval')} of the hold {were} invalid "
            f"({', '.join(hold.invalid_for)}), and latencies and rates leave {them} out; at worst "
            f"{hold.worst[most].words}",
        )
    ]


def _ramp(hold: HoldDoubts) -> list[tuple[Validity, str]]:
    if hold.ramp_worst is None:
        return []
    were, them = _verb_and_pronoun(hold.ramp_invalid)
    more_time = ", or give the ramp more time" if hold.ramp_worst.doubt is Doubt.LAG else ""
    return [
        (
            Validity.SUSPECT,
            f"{format_many(hold.ramp_invalid, 'interval')} of the ramp {were} invalid, and handshake times "
            f"leave {them} out; {hold.ramp_worst.words}{more_time}",
        )
    ]


def _often_suspect(hold: HoldDoubts, told: Collection[Doubt]) -> list[tuple[Validity, str]]:
    findings = []
    for doubt, share in SUSPECT_INTERVALS.items():
        count, least = hold.suspect_for[doubt], 2 if share else 1
        is_told = doubt in told or doubt in hold.invalid_for
        if count >= least and count > share * hold.intervals and not is_told:
            of_all = f"in {count} of {format_many(hold.intervals, 'interval')} of the hold"
            findings.append((Validity.SUSPECT, f"{of_all} {hold.worst[doubt].words}"))
    return findings


def _verb_and_pronoun(count: int) -> tuple[str, str]:
    return ("was", "it") if count == 1 else ("were", "them")
