import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.probe.made_path import age_limit, idle_timer, never, search
from wsload.probe.idle_plan import (
    SILENT_TUNNELS,
    Fate,
    Kind,
    Outcome,
    Trial,
    first_round,
    heartbeat_bracket,
    lifetime_ns,
    next_round,
    silent_end_ns,
    upstream_counts,
)
from wsload.units import NS_PER_MS, NS_PER_S

BOUND_NS = 600 * NS_PER_S


def test_the_first_round_has_silent_tunnels_and_geometric_heartbeats_up_to_the_bound() -> None:
    trials = first_round(BOUND_NS)
    pinged = [trial.interval_ns for trial in trials if trial.kind is Kind.PINGED]
    assert trials.count(Trial(Kind.SILENT)) == SILENT_TUNNELS
    assert pinged[0] == BOUND_NS
    assert pinged[2] == BOUND_NS // 2
    assert [a / b for a, b in itertools.pairwise(pinged)] == pytest.approx([2**0.5] * 12)
    assert len(trials) == 22


def test_only_silence_is_tried_where_the_server_answers_no_pings() -> None:
    assert first_round(BOUND_NS, pings=False) == (Trial(Kind.SILENT),) * SILENT_TUNNELS


def test_nothing_more_is_tried_where_nothing_died() -> None:
    outcomes, elapsed_ns = search(never(), BOUND_NS)
    assert len(outcomes) == 22
    assert elapsed_ns == BOUND_NS
    assert heartbeat_bracket(outcomes) is None
    assert silent_end_ns(outcomes) is None


@given(st.integers(min_value=1 * NS_PER_S, max_value=BOUND_NS // 6))
def test_a_timer_well_below_the_bound_is_bracketed_within_three_percent(timer_ns: int) -> None:
    outcomes, _ = search(idle_timer(timer_ns), BOUND_NS)
    bracket = heartbeat_bracket(outcomes)
    assert bracket is not None
    assert bracket[0] < timer_ns <= bracket[1]
    assert bracket[1] - bracket[0] <= max(0.03 * timer_ns, 25 * NS_PER_MS)
    assert silent_end_ns(outcomes) == timer_ns
    assert upstream_counts(outcomes) is True
    assert lifetime_ns(outcomes) is None


@given(
    st.integers(min_value=100 * NS_PER_MS, max_value=BOUND_NS),
    st.sampled_from([Fate.FIN, Fate.UNANSWERED]),
)
def test_a_search_never_takes_much_longer_than_its_bound(timer_ns: int, fate: Fate) -> None:
    outcomes, elapsed_ns = search(idle_timer(timer_ns, fate), BOUND_NS)
    assert elapsed_ns <= BOUND_NS
    bracket = heartbeat_bracket(outcomes)
    assert bracket is not None
    assert bracket[0] < timer_ns <= bracket[1]


def test_a_timer_that_shows_nothing_is_bracketed_by_the_pings_alone() -> None:
    outcomes, _ = search(idle_timer(350 * NS_PER_S, Fate.UNANSWERED), BOUND_NS)
    assert silent_end_ns(outcomes) is None
    low_ns, high_ns = heartbeat_bracket(outcomes) or (0, 0)
    assert low_ns == 300 * NS_PER_S
    assert high_ns == pytest.approx(424 * NS_PER_S, rel=0.01)


def test_a_timer_that_only_the_server_refreshes_is_told_apart() -> None:
    outcomes, _ = search(idle_timer(60 * NS_PER_S, counts_client=False), BOUND_NS)
    assert upstream_counts(outcomes) is False


def test_one_way_traffic_is_tried_again_where_the_first_round_was_too_coarse_for_it() -> None:
    timer_ns = BOUND_NS // 100
    first = [idle_timer(timer_ns)(trial, 2 * timer_ns) for trial in first_round(BOUND_NS)]
    assert upstream_counts(first) is None
    again = [trial for trial in next_round(first, BOUND_NS) if trial.kind is Kind.UPSTREAM]
    assert [2 * trial.interval_ns < timer_ns for trial in again] == [True]


def test_a_limit_on_age_is_no_idle_timer_and_ends_the_search() -> None:
    outcomes, elapsed_ns = search(age_limit(100 * NS_PER_S), BOUND_NS)
    assert lifetime_ns(outcomes) == 100 * NS_PER_S
    assert elapsed_ns == 125 * NS_PER_S


def test_one_tunnel_killed_in_time_does_not_make_a_limit_on_age() -> None:
    outcomes = [idle_timer(60 * NS_PER_S)(trial, 75 * NS_PER_S) for trial in first_round(BOUND_NS)]
    killed = Outcome(Trial(Kind.PINGED, 10 * NS_PER_S), Fate.RST, 31 * NS_PER_S, NS_PER_S, beats=3)
    assert lifetime_ns([*outcomes, killed]) is None
    assert heartbeat_bracket([*outcomes, killed]) == heartbeat_bracket(outcomes)


def test_no_round_begins_that_does_not_fit_into_the_time_left() -> None:
    outcomes = [idle_timer(60 * NS_PER_S)(trial, 75 * NS_PER_S) for trial in first_round(BOUND_NS)]
    assert next_round(outcomes, 80 * NS_PER_S) != ()
    assert next_round(outcomes, 70 * NS_PER_S) == ()
