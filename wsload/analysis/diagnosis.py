"""A run's whole story of its ends: who closed them, how sure that is, and what to change.

Made from what a run's verdicts left in its folder; pure, and in memory that grows with causes, not tunnels.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from wsload.analysis.advice import CAUSE_WORDS, Facts, advice_for
from wsload.analysis.completeness import Note, notes_on
from wsload.analysis.folder import RunFolder
from wsload.analysis.sources import Sources, read_sources
from wsload.record.outcome import Cause, Confidence, PlanAct, Wire
from wsload.record.summary import Attribution, Completeness
from wsload.units import format_count, format_many

SCHEMA = "wsload.diagnosis/1"
_WIRE_WORDS = {
    Wire.FIN: "FIN",
    Wire.RST: "RST",
    Wire.CLOSE: "close frame",
    Wire.TIMEOUT: "no answer",
    Wire.VANISHED: "vanished as planned",
    Wire.UNSEEN: "unseen",
}
_PLAN_WORDS = {
    PlanAct.NOTHING: "",
    PlanAct.CLOSE: "our close",
    PlanAct.HALF_CLOSE: "our half-close",
    PlanAct.STALL: "our stall",
    PlanAct.VANISH: "",  # the wire's word says it all
    PlanAct.RESET: "our reset",
}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """Ends that look the same from every side."""

    cohort: str
    wire: Wire
    close_code: int | None
    plan: PlanAct
    termination: str
    """HAProxy's; empty where no log line was joined."""
    cause: Cause
    count: int
    confidence: dict[Confidence, int]

    @property
    def client_saw(self) -> str:
        """What the plan had last done, and what came: ``our half-close, then FIN``."""
        if self.plan is PlanAct.RESET:  # nothing came
            return _PLAN_WORDS[self.plan]
        saw = _WIRE_WORDS[self.wire] + (f" {self.close_code}" if self.close_code is not None else "")
        did = _PLAN_WORDS[self.plan]
        return f"{did}, then {saw}" if did else saw


class CauseTotal(msgspec.Struct, frozen=True, kw_only=True):
    """All ends, or all failed handshakes, of one cause."""

    cause: Cause
    count: int
    confidence: dict[Confidence, int]
    example: str
    """The evidence of the first one."""
    idle_s: float | None = None
    """Median silence at the end; None of handshakes."""
    reasons: dict[str, int] = {}
    """Of failed handshakes: status or word -> how many."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What to change about one cause."""

    cause: Cause
    count: int
    change: str


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What ``wsload diagnose --json`` prints. Keys may be added; one that is here changes with ``schema``."""

    schema: str = SCHEMA
    title: str
    via: str
    haproxy_version: str
    timers_ms: dict[str, int]
    """Those in force as far as known: the run's, and what the user said."""
    answer: list[str]
    """The outcome in sentences."""
    findings: list[str]
    """Fixed intervals, a sentence each."""
    changes: list[Change]
    """The most frequent cause first."""
    causes: list[CauseTotal]
    """Of ends; the most frequent first, planned ones last."""
    failures: list[CauseTotal]
    """Of tunnels that never opened."""
    matrix: list[Cell]
    """By cohort as in the profile, then the most frequent first."""
    whole: bool
    """All evidence there should be is there."""
    completeness: Completeness
    notes: list[Note]
    """On how whole the evidence is."""
    unread_examples: list[tuple[int, str]]
    """Number and text of the first log lines that could not be read."""


@dataclass
class _Tally:
    """One cause while rows are read."""

    confidence: Counter[Confidence] = field(default_factory=Counter)
    idle_s: "array[float]" = field(default_factory=lambda: array("d"))
    plan_acts: Counter[PlanAct] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    example: str = ""

    @property
    def count(self) -> int:
        return self.confidence.total()

    def total(self, cause: Cause) -> CauseTotal:
        return CauseTotal(
            cause=cause,
            count=self.count,
            confidence=_ordered(self.confidence),
            example=self.example,
            idle_s=float(np.median(np.frombuffer(self.idle_s))) if self.idle_s else None,
            reasons=dict(self.reasons.most_common()),
        )


_Key = tuple[str, Wire, int | None, PlanAct, str, Cause]
_Ends = tuple[dict[_Key, Counter[Confidence]], dict[Cause, _Tally]]


def diagnose(folder: RunFolder) -> Diagnosis:
    """Read a folder whose verdicts are made (``attribution.json``).

    Raises:
        FolderError: a file in it cannot be read.
    """
    info = folder.info
    attribution, sources = (
        folder.attribution() or Attribution(completeness=Completeness()),
        read_sources(folder.path),
    )
    cells, ends = _read_ends(folder)
    failures = _read_failures(folder)
    timers_ms = {**info.named_timers_ms(), **sources.given.timers_ms}
    place = {cohort: number for number, cohort in enumerate(info.cohorts)}
    matrix = sorted(
        (_cell(key, confidence) for key, confidence in cells.items()),
        key=lambda cell: (place.get(cell.cohort, len(place)), -cell.count, cell.cause, cell.termination),
    )
    whole, notes = notes_on(info, attribution.completeness, sources)
    return Diagnosis(
        title=info.title,
        via=info.via,
        haproxy_version=info.haproxy_version,
        timers_ms=timers_ms,
        answer=list(_answer(ends, failures, sum(info.cohorts.values()))),
        findings=attribution.findings,
        changes=list(_changes(ends | failures, timers_ms, folder)),
        causes=_totals(ends),
        failures=_totals(failures),
        matrix=matrix,
        whole=whole,
        completeness=attribution.completeness,
        notes=notes,
        unread_examples=_examples(sources),
    )


def _read_ends(folder: RunFolder) -> _Ends:
    cells: dict[_Key, Counter[Confidence]] = {}
    tallies: dict[Cause, _Tally] = {}
    for row in folder.iter_disconnects():
        # What a tunnel that the plan closed got for an answer is all the same.
        code = row.close_code if row.wire is Wire.CLOSE and row.plan is not PlanAct.CLOSE else None
        key = (row.cohort, row.wire, code, row.plan, row.termination, row.cause)
        cells.setdefault(key, Counter())[row.confidence] += 1
        tally = tallies.setdefault(row.cause, _Tally(example=row.evidence))
        tally.confidence[row.confidence] += 1
        tally.plan_acts[row.plan] += 1
        if code is not None:
            tally.codes[code] += 1
        if row.idle_rx_s is not None and row.idle_tx_s is not None:
            tally.idle_s.append(min(row.idle_rx_s, row.idle_tx_s))
    return cells, tallies


def _read_failures(folder: RunFolder) -> dict[Cause, _Tally]:
    tallies: dict[Cause, _Tally] = {}
    for row in folder.iter_failures():
        cause = Cause(row.cause) if row.cause else Cause.UNKNOWN
        tally = tallies.setdefault(cause, _Tally(example=row.evidence))
        tally.confidence[Confidence(row.confidence) if row.confidence else Confidence.GUESS] += 1
        tally.reasons[row.reason] += 1
    return tallies


def _cell(key: _Key, confidence: Counter[Confidence]) -> Cell:
    cohort, wire, close_code, plan, termination, cause = key
    return Cell(
        cohort=cohort,
        wire=wire,
        close_code=close_code,
        plan=plan,
        termination=termination,
        cause=cause,
        count=confidence.total(),
        confidence=_ordered(confidence),
    )


def _totals(tallies: Mapping[Cause, _Tally]) -> list[CauseTotal]:
    totals = [tally.total(cause) for cause, tally in tallies.items()]
    return sorted(totals, key=lambda total: (total.cause is Cause.PLANNED, -total.count, total.cause))


def _answer(ends: Mapping[Cause, _Tally], failures: Mapping[Cause, _Tally], tunnels: int) -> Iterator[str]:
    ended = sum(tally.count for tally in ends.values())
    unplanned = [total for total in _totals(ends) if total.cause is not Cause.PLANNED]
    lost = sum(total.count for total in unplanned)
    if lost:
        were = "was" if lost == 1 else "were"
        tunnels_ended = f"{format_many(ended, 'tunnel')} {were}"
        yield f"{format_count(lost)} of {tunnels_ended} not ended by the plan: {_listed(unplanned)}."
    elif ended:
        yield f"{format_many(ended, 'tunnel')} ended, {'all' if ended > 1 else 'it was'} as planned."
    elif not failures:
        yield "No tunnel ended."
    if failures:
        failed = sum(tally.count for tally in failures.values())
        begun, causes = format_many(tunnels, "tunnel"), _listed(_totals(failures))
        yield f"{format_count(failed)} of {begun} never opened: {causes}."


def _listed(totals: list[CauseTotal]) -> str:
    return ", ".join(
        f"{CAUSE_WORDS[total.cause]} {format_count(total.count)} ({confidence_words(total.confidence)})"
        for total in totals
    )


def confidence_words(confidence: Mapping[Confidence, int]) -> str:
    """``certain``, or ``1,200 certain, 4 guess``."""
    if len(confidence) == 1:
        return str(next(iter(confidence)))
    return ", ".join(f"{format_count(count)} {name}" for name, count in confidence.items())


def _changes(
    tallies: Mapping[Cause, _Tally], timers_ms: dict[str, int], folder: RunFolder
) -> Iterator[Change]:
    info = folder.info
    own_ms = [each["tunnel"] for each in info.cohort_timers_ms.values() if "tunnel" in each]
    if own_ms:  # the shortest is the one that hurts
        timers_ms = {**timers_ms, "tunnel": min([*own_ms, timers_ms.get("tunnel", own_ms[0])])}
    for total in _totals(tallies):
        tally = tallies[total.cause]
        facts = Facts(
            count=total.count,
            timers_ms=timers_ms,
            idle_s=total.idle_s,
            plan_acts=tally.plan_acts,
            reasons=tally.reasons,
            close_codes=tally.codes,
            maxconn=info.maxconn,
            tunnels=info.tunnels,
            via=info.via,
        )
        if change := advice_for(total.cause, facts):
            yield Change(cause=total.cause, count=total.count, change=change)


def _ordered(confidence: Mapping[Confidence, int]) -> dict[Confidence, int]:
    """The surest first."""
    return {name: confidence[name] for name in Confidence if confidence.get(name)}


def _examples(sources: Sources) -> list[tuple[int, str]]:
    return sources.log.unread_examples if sources.log is not None else []
