"""Intervals in a row: spans, counts, and what they mean for the run."""

from typing import Any

from wsload.analysis.doubts import Context, IntervalFacts
from wsload.analysis.interval_judge import IntervalJudge, judge_hold
from wsload.analysis.remedies import CpuUse, Surroundings
from wsload.record.outcome import Doubt, Validity
from wsload.record.summary import IntervalsPart

LAG: dict[str, Any] = {"sent": 100, "late": 50, "lag_p99_ms": 80.0}
WORSE: dict[str, Any] = LAG | {"lag_p99_ms": 90.0}
FULL: dict[str, Any] = {"cpu": CpuUse(cores=1.0)}
SOUND: dict[str, Any] = {}
SET: dict[str, Any] = {"wall_step_s": 1.0}


def judged(*intervals: dict[str, Any], ramp: int = 0) -> IntervalJudge:
    """A second each; the first ``ramp`` of them are no part of the hold."""
    judge = IntervalJudge(Context(50.0, Surroundings(workers=1, cores=2, sharers=["haproxy"])))
    for number, changes in enumerate(intervals):
        judge.judge(IntervalFacts(from_s=number, to_s=number + 1, in_hold=number >= ramp, **changes))
    return judge


def grades(judge: IntervalJudge, *told: Doubt, decides: bool = True) -> list[tuple[Validity, str]]:
    return [(grade, words.partition(";")[0]) for grade, words in judge_hold(judge.hold, told, decides)]


def test_adjacent_intervals_alike_are_one_span_with_the_worst_figure() -> None:
    judge = judged(SOUND, LAG, WORSE, LAG, SOUND, LAG, LAG | FULL, FULL)
    spans = [(span.from_s, span.to_s, span.validity, span.doubts) for span in judge.spans]
    assert spans == [
        (1, 4, "invalid", ["lag"]),
        (5, 6, "invalid", ["lag"]),
        (6, 7, "invalid", ["lag", "host_cpu"]),
        (7, 8, "suspect", ["host_cpu"]),
    ]
    assert judge.spans[0].reasons[0].startswith("generator lag p99 was 90ms")
    assert [len(span.reasons) for span in judge.spans] == [1, 1, 2, 1]


def test_intervals_are_counted_by_grade_and_only_the_holds_are_left_out() -> None:
    assert judged(LAG, FULL, LAG, SOUND, ramp=1).counts == IntervalsPart(
        judged=4, suspect=1, invalid=2, left_out=1
    )


def test_a_hold_without_doubts_means_nothing() -> None:
    assert grades(judged(SOUND, SOUND)) == []


def test_a_few_invalid_intervals_make_a_run_suspect() -> None:
    assert grades(judged(*[LAG] * 2, *[SOUND] * 18)) == [
        (
            Validity.SUSPECT,
            "2 of 20 intervals of the hold were invalid (lag), and latencies and rates leave them out",
        )
    ]


def test_more_than_a_tenth_make_it_invalid() -> None:
    assert grades(judged(*[LAG] * 3, *[SOUND] * 17))[0][0] is Validity.INVALID


def test_a_hiccup_does_not_fail_a_short_hold() -> None:
    assert grades(judged(LAG, SOUND, SOUND)) == [
        (
            Validity.SUSPECT,
            "1 of 3 intervals of the hold was invalid (lag), and latencies and rates leave it out",
        )
    ]
    assert grades(judged(LAG, LAG, SOUND))[0][0] is Validity.SUSPECT
    assert grades(judged(LAG, LAG, LAG, SOUND))[0][0] is Validity.INVALID


def test_nothing_is_left_of_a_hold_of_one_invalid_interval() -> None:
    assert grades(judged(LAG))[0][0] is Validity.INVALID


def test_what_is_left_out_does_not_decide_a_search() -> None:
    assert grades(judged(LAG, LAG), decides=False)[0][0] is Validity.SUSPECT


def test_an_invalid_ramp_is_told() -> None:
    assert grades(judged(LAG, LAG, SOUND, ramp=2)) == [
        (Validity.SUSPECT, "2 intervals of the ramp were invalid, and handshake times leave them out")
    ]


def test_full_cores_are_told_where_most_of_the_hold_had_them() -> None:
    assert grades(judged(FULL, FULL, SOUND, SOUND)) == []
    ((grade, words),) = grades(judged(FULL, FULL, FULL, SOUND))
    assert grade is Validity.SUSPECT
    assert words.startswith("in 3 of 4 intervals of the hold the 2 cores that driver and HAProxy share were")


def test_what_is_told_of_the_whole_hold_is_not_told_again() -> None:
    busy = {"worker_cpu": {0: 1.0}}
    assert [grade for grade, _ in grades(judged(busy, busy))] == [Validity.SUSPECT]
    assert grades(judged(busy, busy), Doubt.WORKER_CPU) == []


def test_a_clock_that_was_set_once_is_enough() -> None:
    ((grade, words),) = grades(judged(SET, *[SOUND] * 30))
    assert grade is Validity.SUSPECT
    assert words.startswith("in 1 of 31 intervals of the hold the wall clock was set")


def test_a_doubt_that_made_intervals_invalid_is_told_once() -> None:
    nearly: dict[str, Any] = {"conntrack": 95, "conntrack_max": 100}
    full = nearly | {"conntrack_drops": 7}
    assert [grade for grade, _ in grades(judged(full, nearly, nearly, nearly))] == [Validity.SUSPECT]
    assert [words[:31] for _, words in grades(judged(nearly, nearly))] == ["in 2 of 2 intervals of the hold"]
