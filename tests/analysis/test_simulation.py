"""Simulated clients against what is known in closed form; tolerances follow from how many were drawn."""

import math

import pytest

from wsload.analysis.backoff import Backoff
from wsload.analysis.model import CohortPrediction, predict_cohort
from wsload.analysis.simulation import Clients, Course, simulate
from wsload.profile.distributions import distribution
from wsload.profile.model import Cohort, Reconnect, Traffic

S = 1_000_000_000
SIGMAS = 5.0
WARM_S, UNTIL_S = 200.0, 600.0


def both(
    gaps: str, timer_s: float, vanish: float = 0.0, session: str = "", number: int = 4000
) -> tuple[Course, CohortPrediction]:
    """The same quiet clients, simulated and worked out."""
    stays = distribution(session) if session else None
    clients = Clients(
        number=number, gaps=distribution(gaps), timer_s=timer_s, vanish_per_s=vanish, session=stays
    )
    cohort = Cohort(
        name="quiet",
        traffic=Traffic.QUIET,
        gaps=distribution(gaps),
        vanish_per_s=vanish,
        session=stays,
        reconnect=Reconnect.WHEN_DUE,
    )
    return simulate(clients, UNTIL_S, 1.0, seed=3), predict_cohort(cohort, round(timer_s * S), 1.0, UNTIL_S)


@pytest.mark.parametrize(
    ("gaps", "timer_s", "vanish", "session"),
    [
        ("exp(2s)", 0.5, 0.0, ""),
        ("exp(2s)", 4.0, 0.03, ""),
        ("exp(2s)", 12.0, 0.03, ""),
        ("exp(20s)", 30.0, 0.001, "exp(100s)"),
        ("lognormal(2s, 1.2)", 4.0, 0.0, ""),
        ("lognormal(2s, 1.2)", 30.0, 0.001, ""),
        ("fixed(3s)", 2.0, 0.0, ""),
        ("fixed(3s)", 5.0, 0.002, ""),
    ],
)
def test_live_tunnels_cuts_and_handshakes_are_those_of_the_formula(
    gaps: str, timer_s: float, vanish: float, session: str
) -> None:
    course, expected = both(gaps, timer_s, vanish, session)
    live = course.mean(course.live, WARM_S)
    assert live == pytest.approx(4000 * expected.live_share, rel=SIGMAS * relative_error(live, 20))
    live_s = live * (UNTIL_S - WARM_S)
    for counted, rate in (
        (course.cuts, expected.cuts_per_s),
        (course.handshakes, expected.handshakes_per_s),
        (course.vanished, vanish),
    ):
        events = rate * live_s
        found = course.rate_per_s(counted, WARM_S) * (UNTIL_S - WARM_S)
        assert found == pytest.approx(events, rel=SIGMAS * relative_error(events), abs=SIGMAS)


@pytest.mark.parametrize(
    ("gaps", "timer_s", "vanish"),
    [("exp(2s)", 4.0, 0.03), ("exp(2s)", 40.0, 0.03), ("exp(60s)", 30.0, 0.01), ("fixed(3s)", 30.0, 0.01)],
)
def test_ghosts_are_as_many_as_the_formula_says(gaps: str, timer_s: float, vanish: float) -> None:
    course, expected = both(gaps, timer_s, vanish)
    live = course.mean(course.live, WARM_S)
    vanished = vanish * live * (UNTIL_S - WARM_S)
    ghosts = course.mean(course.ghosts, WARM_S)
    assert ghosts == pytest.approx(expected.ghosts * live, rel=SIGMAS * relative_error(vanished) + 0.005)


def relative_error(events: float, independent: float = 1.0) -> float:
    """Of a count of events, or of a level that was seen ``independent`` times."""
    return 1 / math.sqrt(max(events * independent, 1.0))


def test_a_gap_table_is_drawn_from_its_values_alone() -> None:
    clients = Clients(number=1000, gaps=distribution(["1s", "1s", "9s"]), timer_s=5.0)
    course = simulate(clients, UNTIL_S, 1.0, seed=1)
    # Of three gaps two last 1 s and one 9 s, of which 5 s are live.
    assert course.mean(course.live, WARM_S) == pytest.approx(1000 * 7 / 11, rel=0.02)


def test_long_sums_of_gaps_have_the_right_mean() -> None:
    # A cut comes after some 150 gaps: far beyond those that are added up one by one.
    course, expected = both("exp(2s)", 10.0)
    cuts = expected.cuts_per_s * 4000 * (UNTIL_S - WARM_S)
    found = course.rate_per_s(course.cuts, WARM_S) * (UNTIL_S - WARM_S)
    assert found == pytest.approx(cuts, rel=SIGMAS * relative_error(cuts))


def test_the_same_seed_gives_the_same_course_and_another_does_not() -> None:
    clients = Clients(number=500, gaps=distribution("exp(2s)"), timer_s=3.0, vanish_per_s=0.01)
    one, again, other = (simulate(clients, 60.0, 1.0, seed) for seed in (1, 1, 2))
    assert (one.live == again.live).all()
    assert (one.ghosts == again.ghosts).all()
    assert (one.live != other.live).any()


def test_clients_are_neither_lost_nor_made() -> None:
    clients = Clients(number=300, gaps=distribution("exp(2s)"), timer_s=3.0, vanish_per_s=0.01, ramp_s=30.0)
    course = simulate(clients, 120.0, 1.0, seed=1)
    assert course.live.max() <= 300
    assert course.live[10] <= 101, "a third of the ramp has passed"
    ended = course.cuts.cumsum() + course.vanished.cumsum()
    assert (course.handshakes.cumsum() - ended == course.live).all()


def test_who_never_comes_back_is_missing() -> None:
    clients = Clients(
        number=2000, gaps=distribution("exp(2s)"), timer_s=2.0, comes_back=Reconnect.NEVER, ramp_s=0.0
    )
    course = simulate(clients, 60.0, 1.0, seed=1)
    assert course.cuts.sum() + course.live[-1] == 2000
    assert course.handshakes.sum() == 2000
    assert course.live[-1] == 0


def test_who_backs_off_is_away_for_the_delay() -> None:
    # Cut after 1 s of silence, back after 3 s: live a quarter of the time.
    clients = Clients(
        number=2000, gaps=distribution("fixed(9s)"), timer_s=1.0, comes_back=Backoff(first_s=3.0), ramp_s=4.0
    )
    course = simulate(clients, 100.5, 0.5, seed=1)
    assert course.mean(course.live, 20.0) == pytest.approx(500, rel=0.02)
