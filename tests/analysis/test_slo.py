"""Stated bounds against merged data."""

import pytest

from wsload.analysis.folder import Merged
from wsload.analysis.slo import Counts, judge, verdict_of
from wsload.profile.model import Slo
from wsload.profile.slo_grammar import parse_metric, parse_slo
from wsload.record.histogram import Histogram
from wsload.record.outcome import Phase, Verdict
from wsload.record.snapshot import MergedCohort
from wsload.record.summary import SloRow
from wsload.units import NS_PER_MS

COHORTS = ("idle", "chatty")


def slo(key: str, assertion: str) -> Slo:
    return parse_slo(*parse_metric(key, COHORTS), assertion)


def part(counters: dict[str, int], **times_ms: list[float]) -> MergedCohort:
    result = MergedCohort()
    result.counters = counters
    for name, values_ms in times_ms.items():
        result.histograms[name] = Histogram()
        result.histograms[name].record_many([int(value * NS_PER_MS) for value in values_ms])
    return result


@pytest.fixture
def data() -> Merged:
    return {
        "idle": {
            Phase.OPEN: part({"attempted": 100, "opened": 90, "handshake_failed": 10}, handshake=[1, 2, 3]),
            Phase.HOLD: part({"disconnect": 9, "disconnect_unexpected": 9}),
            # Its clients were silent then because we were about to close them.
            Phase.DRAIN: part({"disconnect": 81, "disconnect_unexpected": 5}),
        },
        "chatty": {
            Phase.OPEN: part(
                {"attempted": 100, "opened": 100, "sent": 500}, handshake=[9], echo_corrected=[99]
            ),
            Phase.HOLD: part({"sent": 1000, "received": 1000}, echo_corrected=[1, 2, 3, 4]),
        },
    }


COUNTS = Counts(
    hold_s=10, levels={"open": {"idle": 81, "chatty": 100}, "connecting": {"idle": 0, "chatty": 0}}
)


@pytest.mark.parametrize(
    ("key", "assertion", "value", "passed"),
    [
        ("echo_corrected{chatty}", "max<5ms", 4, True),
        ("echo_corrected", "p(50)<2ms", 2, False),
        ("echo_corrected", "med<=2.001ms", 2, True),
        ("echo_corrected", "avg<3ms", 2.5, True),
        ("echo_corrected", "min>=1ms", 1, True),
        ("echo_corrected", "count==4", 4, True),
        ("handshake", "max<10ms", 9, True),
        ("handshake{idle}", "max<3ms", 3, False),
        ("handshake_failed", "rate<5%", 0.05, False),
        ("handshake_failed", "rate<=5%", 0.05, True),
        ("handshake_failed{idle}", "count<=10", 10, True),
        ("disconnect_unexpected{idle}", "rate<10%", 0.1, False),
        ("disconnect_unexpected{chatty}", "rate==0%", 0, True),
        ("sent", "rate>=100/s", 100, True),
        ("received", "count!=1000", 1000, False),
        ("open", "value>181", 181, False),
        ("open{chatty}", "value==100", 100, True),
    ],
)
def test_each_aggregation_has_its_denominator_and_phase(
    data: Merged, key: str, assertion: str, value: float, passed: bool
) -> None:
    row = judge([slo(key, assertion)], data, COUNTS)[0]
    assert row.value == pytest.approx(value, rel=2e-3)
    assert (row.metric, row.assertion, row.passed, row.note) == (key, assertion, passed, "")


@pytest.mark.parametrize(
    ("key", "assertion", "note"),
    [
        ("ping_rtt", "p(99)<1s", "nothing measured in the hold"),
        ("connect", "p(99)<1s", "nothing measured in the run"),
        ("echo_corrected{idle}", "p(99)<1s", "nothing measured in the hold"),
        ("handshake_failed", "rate<1%", "no tunnel was attempted"),
        ("disconnect_unexpected", "rate<1%", "no tunnel was opened"),
        ("sent", "rate>1/s", "no hold was measured"),
        ("open", "value>=0", "no interval ended in the hold"),
    ],
)
def test_what_was_not_measured_fails_and_says_so(key: str, assertion: str, note: str) -> None:
    row = judge([slo(key, assertion)], {}, Counts())[0]
    assert (row.value, row.passed, row.note) == (None, False, note)


def test_the_verdict_is_failed_if_any_row_is() -> None:
    good, bad = SloRow("a", "b", 1, True), SloRow("a", "b", 1, False)
    assert [verdict_of(rows) for rows in ([], [good], [good, bad])] == [
        Verdict.NONE,
        Verdict.PASSED,
        Verdict.FAILED,
    ]


def test_rates_per_second_leave_out_what_counts_keep(data: Merged) -> None:
    left_out: Merged = {
        "idle": {Phase.HOLD: part({"disconnect": 9, "disconnect_unexpected": 9})},
        "chatty": {Phase.OPEN: part({"sent": 500}), Phase.HOLD: part({"sent": 400})},
    }
    counts = Counts(hold_s=8, left_out=left_out)
    slos = [
        slo("sent", "rate==75/s"),
        slo("sent", "count==1000"),
        slo("disconnect_unexpected{idle}", "rate==10%"),
        slo("ping_rtt", "max<1s"),
    ]
    rows = judge(slos, data, counts)
    assert [row.value for row in rows] == [75, 1000, 0.1, None]
    assert rows[3].note == "nothing measured in the valid intervals of the hold"
    assert (
        judge(slos, data, Counts(hold_s=0, left_out=left_out))[0].note == "no interval of the hold is valid"
    )
