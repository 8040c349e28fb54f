"""Judges the profile's expectations: which cohorts had to die when and of what, and which to live."""

from collections.abc import Sequence

from wsload.analysis.folder import DisconnectRow, RunFolder
from wsload.profile.model import Expectation
from wsload.record.outcome import PlanAct
from wsload.record.summary import SloRow
from wsload.units import NS_PER_S, format_duration, format_share


class _Tally:
    """What one expectation has seen so far."""

    def __init__(self, expectation: Expectation) -> None:
        self.expectation = expectation
        self.judged = self.kept = 0
        self.odd = ""
        """The first end that was not as expected, in words."""

    def add(self, row: DisconnectRow) -> None:
        """Judge one tunnel's end."""
        if self.expectation.survives:
            self._count(row.plan is not PlanAct.NOTHING or row.phase == "drain", row)
        elif row.plan is PlanAct.CLOSE:
            # Too young when the hold ended to have shown anything; an older one has outlived its timer.
            if (row.age_s or 0.0) * NS_PER_S >= self._dies_at_ns + self.expectation.within_ns:
                self._count(False, row)
        else:
            idle_ns = min(row.idle_rx_s or 0.0, row.idle_tx_s or 0.0) * NS_PER_S
            in_time = abs(idle_ns - self._dies_at_ns) <= self.expectation.within_ns
            self._count(in_time and self.expectation.cause in (None, row.cause), row)

    def row(self) -> SloRow:
        """The result, beside the SLOs'. ``value`` is the share that was as expected."""
        share = self.kept / self.judged if self.judged else None
        note = self.odd if self.judged else "no tunnel of the cohort lived long enough to show it"
        wanted = self.expectation.share
        return SloRow(
            metric=f"expect{{{self.expectation.cohort}}}",
            assertion=assertion(self.expectation),
            value=share,
            passed=share is not None and share >= wanted,
            note=note,
        )

    @property
    def _dies_at_ns(self) -> int:
        return self.expectation.dies_at_ns or 0

    def _count(self, as_expected: bool, row: DisconnectRow) -> None:
        self.judged += 1
        self.kept += as_expected
        if not as_expected and not self.odd:
            idle_s = min(row.idle_rx_s or 0.0, row.idle_tx_s or 0.0)
            self.odd = f"tunnel {row.tunnel}: {row.cause} after {row.age_s:.3f} s, {idle_s:.3f} s idle"


def judge_expectations(expectations: Sequence[Expectation], folder: RunFolder) -> list[SloRow]:
    """One row for each, in one pass over ``disconnects.csv``."""
    tallies = {expectation.cohort: _Tally(expectation) for expectation in expectations}
    for row in folder.iter_disconnects() if tallies else ():
        if row.cohort in tallies:
            tallies[row.cohort].add(row)
    return [tally.row() for tally in tallies.values()]


def assertion(expectation: Expectation) -> str:
    """``dies at 30s ±1s of haproxy_tunnel_timeout``."""
    share = "" if expectation.share == 1 else f"{format_share(expectation.share)} "
    if expectation.dies_at_ns is None:
        return f"{share}survives"
    at, within = format_duration(expectation.dies_at_ns), format_duration(expectation.within_ns)
    of = f" of {expectation.cause}" if expectation.cause else ""
    return f"{share}dies at {at} ±{within}{of}"
