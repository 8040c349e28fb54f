"""From a campaign's folder to the values to set. Figures follow the model up to a stated factor."""

from pathlib import Path
from typing import Any

import pytest

from tests.made_search import CELL, advised, make_search_campaign
from wsload.analysis.campaign import read_campaign
from wsload.analysis.measured import Searched, read_searches
from wsload.analysis.model import predict
from wsload.analysis.recommend import nice_above_s, recommend

S = 1_000_000_000


def searches(folder: Path, **choices: Any) -> list[Searched]:
    made = make_search_campaign(folder, **choices)
    return read_searches(made, read_campaign(made)[1])


def test_the_timer_is_long_enough_for_the_slo_and_not_much_longer(tmp_path: Path) -> None:
    advice = advised(tmp_path)
    assert advice.least_s is not None
    assert advice.most_s is not None
    assert advice.timer_s is not None
    profile = searches(tmp_path / "again")[0].profile
    for timer_s, holds in ((advice.least_s * 0.99, False), (advice.least_s * 1.01, True)):
        assert predict(profile, round(timer_s * S)).cuts_hold is holds
    assert advice.least_s < advice.timer_s < advice.most_s
    assert advice.timer_s == 6, "a value that people write"
    assert not advice.is_extrapolated


def test_at_the_end_of_the_interval_the_least_level_fills_all_slots(tmp_path: Path) -> None:
    advice = advised(tmp_path)
    assert advice.most_s is not None
    said = predict(searches(tmp_path / "again")[0].profile, round(advice.most_s * S))
    assert advice.least_level * said.live_share == pytest.approx(said.live_by_slots, rel=0.001)


def test_half_the_value_breaks_the_slo_and_twice_of_it_holds_less(tmp_path: Path) -> None:
    recommended, half, twice = advised(tmp_path).expected
    assert (half.timer_s, twice.timer_s) == (recommended.timer_s / 2, recommended.timer_s * 2)
    assert half.capacity == 0
    assert half.cuts_per_hour > 4 * recommended.cuts_per_hour
    assert 0 < twice.capacity < recommended.capacity
    assert twice.ghosts > recommended.ghosts


def test_what_to_expect_is_scaled_to_what_was_measured(tmp_path: Path) -> None:
    exact, less = advised(tmp_path / "exact"), advised(tmp_path / "less", measured=0.9)
    assert exact.typical_difference == pytest.approx(0, abs=0.01)
    assert less.typical_difference == pytest.approx(-0.1, abs=0.02)
    assert less.expected[0].capacity == pytest.approx(0.9 * exact.expected[0].capacity, rel=0.02)


def test_each_point_says_how_far_it_is_from_the_model(tmp_path: Path) -> None:
    points = advised(tmp_path, measured=1.04, tunnels=("500ms", "8s", "16s")).points
    assert [point.timer_s for point in points] == [0.5, 8, 16]
    assert [point.meets_slo for point in points] == [False, True, True]
    assert [point.limit for point in points] == ["timer", "maxconn", "maxconn"]
    assert [point.difference for point in points[1:]] == pytest.approx([0.04, 0.04], abs=0.015)
    assert all(point.live_low <= point.live_high for point in points)


def test_repeats_are_one_point(tmp_path: Path) -> None:
    points = advised(tmp_path, tunnels=("4s", "8s"), repeats=3).points
    assert len(points) == 2
    assert points[0].difference == pytest.approx(0.01, abs=0.015), "the mean of 0, 1 and 2 %"


def test_a_bracket_goes_from_what_held_to_what_did_not(tmp_path: Path) -> None:
    found = searches(tmp_path, tunnels=("8s",))[0]
    held, failed = found.result.plateaus
    assert (found.at_limit.low, found.at_limit.high) == (held.live, failed.live)
    assert found.capacity.low == found.result.capacity
    cut = searches(tmp_path / "cut", tunnels=("500ms",))[0]
    assert (cut.capacity.low, cut.capacity.high) == (0, 0)
    assert cut.at_limit.low > 0


def test_where_no_value_met_the_slo_the_reason_says_where_it_would(tmp_path: Path) -> None:
    advice = advised(tmp_path, tunnels=("500ms", "2s"))
    assert advice.timer_s is None
    assert advice.reason.startswith("no value that was measured meets the SLO, up to 2s; by the model")
    # Clients that vanish count as disconnects, whatever the timer.
    impossible = CELL.replace('disconnect_unexpected = ["rate<25%"]', 'disconnect = ["rate<1%"]')
    advice = advised(tmp_path / "never", tunnels=("500ms", "2s"), profile=impossible)
    assert "too tight" in advice.reason


def test_without_a_bound_on_cuts_most_live_tunnels_decide(tmp_path: Path) -> None:
    unbounded = CELL.replace('disconnect_unexpected = ["rate<25%"]\n', "")
    advice = advised(tmp_path, tunnels=("4s", "8s", "16s"), profile=unbounded)
    assert (advice.timer_s, advice.least_s, advice.slos) == (4, None, ())


def test_a_profile_without_a_model_is_judged_by_its_points_alone(tmp_path: Path) -> None:
    strange = CELL + '[backend]\nidle_close = "1h"\n'
    advice = advised(tmp_path, tunnels=("500ms", "4s", "8s"), profile=strange)
    assert (advice.timer_s, advice.expected, advice.typical_difference) == (4, (), None)
    assert advice.pings is not None


def test_maxconn_is_for_the_clients_that_were_asked_about(tmp_path: Path) -> None:
    advice = advised(tmp_path)
    assert advice.wanted_live == 1150
    assert advice.maxconn >= 1150 * advice.slots_per_live * 1.1
    assert advice.maxconn == pytest.approx(1150 * advice.slots_per_live * 1.1, rel=0.01)


def test_of_two_axes_the_one_beside_the_timer_is_fixed_where_most_was_held(tmp_path: Path) -> None:
    advice = advised(tmp_path, tunnels=("2s", "4s", "8s"), maxconns=(400, 1000, 700))
    assert advice.fixed == {"haproxy.maxconn": "1000"}
    assert len(advice.points) == 3


def test_a_value_with_too_few_slots_for_the_lowest_level_is_beyond_the_interval(tmp_path: Path) -> None:
    advice = advised(tmp_path, profile=CELL.replace("from = 500", "from = 700"))
    assert advice.most_s == pytest.approx(15.8, abs=0.5)
    last = advice.points[-1]
    assert (last.live_low, last.meets_slo, last.limit, last.difference) == (0, False, "maxconn", None)
    assert advice.timer_s == 6


def test_a_campaign_that_sweeps_something_else_is_given_no_advice(tmp_path: Path) -> None:
    made = make_search_campaign(tmp_path)
    info, cells = read_campaign(made)
    found = read_searches(made, cells)
    assert recommend([], info) is None
    assert recommend(found, type(info)(**(vars(info) | {"axes": ("haproxy.maxconn",)}))) is None


@pytest.mark.parametrize(
    ("seconds", "nice"), [(0.013, 0.015), (5.3, 6), (6, 6), (55, 60), (75, 90), (2000, 2400), (4000, 5400)]
)
def test_a_value_is_rounded_up_to_one_that_people_write(seconds: float, nice: float) -> None:
    assert nice_above_s(seconds) == pytest.approx(nice)
