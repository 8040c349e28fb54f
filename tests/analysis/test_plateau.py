"""One plateau, judged from made intervals and samples."""

import numpy as np
import pytest

from tests.analysis.made_plateaus import CUT_ROW, FAILED_ROW, plateau, sample, watched
from wsload.analysis.plateau import Span, is_steady, judge_plateau, outcome_of
from wsload.plan.knee import Outcome
from wsload.profile.load import parse_profile
from wsload.profile.model import Profile

SPAN = Span(level=100, opened_s=0.0, judged_s=4.0, end_s=8.0)


def profile(**slo: str) -> Profile:
    rows = "\n".join(f'{metric} = ["{bound}"]' for metric, bound in slo.items())
    return parse_profile(f"[slo]\n{rows}\n[[cohort]]\nname = 'quiet'", "p.toml")


def test_figures_are_of_the_judged_part_and_arrivals_of_the_whole_plateau() -> None:
    intervals = [watched(1, 60, attempted=100, handshake_failed=5, disconnect_unexpected=40)]
    intervals += [watched(t_s, 90, attempted=2) for t_s in (2, 3, 4)]
    intervals += [watched(t_s, 92, attempted=3, disconnect_unexpected=1) for t_s in (5, 6, 7, 8)]
    intervals.append(watched(9, 0, handshake_failed=50, disconnect_unexpected=90))
    samples = [sample(t_s, 98 if t_s < 5 else 100) for t_s in range(1, 10)]
    judged = judge_plateau(profile(handshake_failed="rate<1%"), SPAN, intervals, samples)
    assert (judged.live, judged.level) == (92, 100)
    assert judged.slots == pytest.approx(99.6)
    assert judged.ghosts == pytest.approx(7.6)
    assert judged.cuts_per_hour == 4 / 4 * 3600
    assert judged.handshakes_per_s == 3
    assert (judged.failed, judged.passed) == (5, False)
    assert judged.slo_rows[0].value == pytest.approx(5 / 118)


def test_the_rate_of_cuts_is_over_who_was_open_or_opened_in_the_judged_part() -> None:
    intervals = [watched(t_s, 80, attempted=30, opened=30, disconnect_unexpected=30) for t_s in (1, 2, 3, 4)]
    intervals += [watched(t_s, 80, attempted=5, opened=5, disconnect_unexpected=5) for t_s in (5, 6, 7, 8)]
    judged = judge_plateau(profile(disconnect_unexpected="rate<25%"), SPAN, intervals, [])
    assert judged.slo_rows[0].value == pytest.approx(20 / (80 + 20))
    assert judged.passed


def test_latencies_before_the_plateau_do_not_count_and_late_ones_of_its_ramp_do() -> None:
    span = SPAN._replace(opened_s=2.0)
    intervals = [
        watched(1, 80, times_ms=[9000]),
        watched(3, 80, times_ms=[300]),
        watched(6, 80, times_ms=[1]),
    ]
    judged = judge_plateau(profile(handshake="max<1s"), span, intervals, [])
    assert judged.slo_rows[0].value == pytest.approx(300, rel=0.01)


def test_slots_of_several_processes_add_up_and_the_busiest_one_tells_its_cpu() -> None:
    intervals = [watched(t_s, 90, driver_cpu_s=0.5 * t_s) for t_s in range(1, 9)]
    samples = [
        sample(t_s, 60, process=process, cpu_s=share * t_s)
        for t_s in range(1, 9)
        for process, share in ((0, 0.2), (1, 0.7))
    ]
    judged = judge_plateau(profile(opened="count>=0"), SPAN, intervals, samples)
    assert (judged.slots, judged.peak_slots, judged.maxconn) == (120, 120, 2000)
    assert judged.haproxy_cpu == pytest.approx(0.7)
    assert judged.driver_cpu == pytest.approx(0.5)


def test_nothing_measured_is_not_passed() -> None:
    judged = judge_plateau(profile(handshake="max<1s"), SPAN, [], [])
    assert (judged.passed, judged.live) == (False, 0)


def around(mean: float, scatter: float, seed: int, count: int = 10) -> list[float]:
    return [mean + scatter * each for each in np.random.default_rng(seed).standard_normal(count).tolist()]


def test_a_level_that_scatters_is_steady_and_one_that_rises_is_not() -> None:
    steady = [is_steady(around(1000, 8, seed)) for seed in range(200)]
    assert sum(steady) >= 180
    for rise in (50, -50):
        rising = [value + rise * number / 9 for number, value in enumerate(around(1000, 4, 1))]
        assert not is_steady(rising)


def test_a_small_drift_is_none() -> None:
    assert is_steady([1000, 1000, 1008, 1008])
    assert not is_steady([1000, 1000, 1012, 1012])


def birth_and_death(mean: float, per_s: float, seed: int) -> tuple[list[float], int]:
    """Ten samples, a second apart, of a level through which clients come and go at random; and arrivals."""
    rng = np.random.default_rng(seed)
    level, values, came = mean, [], 0
    for _ in range(10):
        arrivals = int(rng.poisson(per_s))
        level += arrivals - int(rng.poisson(per_s * level / mean))
        came += arrivals
        values.append(level)
    return values, came


def test_clients_that_come_and_go_at_random_make_no_trend() -> None:
    wandering = [birth_and_death(900, 90, seed) for seed in range(200)]
    assert sum(is_steady(values, came) for values, came in wandering) >= 190
    assert (
        sum(is_steady(values) for values, _ in wandering) < 190
    )  # the scatter within the halves is too small
    ghosts_pile_up = [value + 20 * number for number, value in enumerate(wandering[0][0])]
    assert not is_steady(ghosts_pile_up, wandering[0][1])


def test_too_few_values_cannot_be_told_from_steady() -> None:
    assert is_steady([])
    assert is_steady([1, 2, 3])


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (plateau(passed=True), Outcome.PASSED),
        (plateau(passed=False, slo_rows=[CUT_ROW]), Outcome.CUT),
        (plateau(passed=False, slo_rows=[CUT_ROW], peak_slots=990), Outcome.FAILED),
        (plateau(passed=False, slo_rows=[CUT_ROW], failed=1), Outcome.FAILED),
        (plateau(passed=False, slo_rows=[CUT_ROW], maxconn=0), Outcome.CUT),
        (plateau(passed=False, slo_rows=[CUT_ROW, FAILED_ROW]), Outcome.FAILED),
        (plateau(passed=False, slo_rows=[FAILED_ROW]), Outcome.FAILED),
    ],
)
def test_only_what_a_timer_alone_did_does_not_count_as_failed(made: object, outcome: Outcome) -> None:
    assert outcome_of(made) is outcome  # type: ignore[arg-type]
