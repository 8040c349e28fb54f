"""The largest ping interval that survives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.analysis.heartbeat import largest_interval_s, safe_pings


def test_the_rule_of_thumb_leaves_room_for_round_trip_jitter_and_losses() -> None:
    assert largest_interval_s(30.0, 0.2, 0.8, 0) == 29.0
    assert largest_interval_s(30.0, 0.2, 0.8, 2) == pytest.approx(29 / 3)
    assert largest_interval_s(1.0, 0.8, 0.8, 1) == 0


@pytest.mark.parametrize(
    ("loss", "accepted", "may_be_lost"),
    [(0.0, 1e-6, 1), (0.001, 1e-6, 1), (0.01, 1e-6, 2), (0.1, 1e-6, 5), (0.1, 1e-3, 2), (0.5, 1e-6, 19)],
)
def test_the_likelier_a_loss_the_more_of_them_in_a_row_are_allowed_for(
    loss: float, accepted: float, may_be_lost: int
) -> None:
    assert safe_pings(60, loss=loss, accepted=accepted).may_be_lost == may_be_lost


def test_the_interval_leaves_room_for_lost_pings_round_trip_and_jitter() -> None:
    # haproxy-facts: ping <= (T - RTT - jitter) / (k + 1)
    assert safe_pings(60, loss=0.01, jitter_s=2, rtt_s=1).interval_s == pytest.approx(57 / 3)


def test_a_timer_shorter_than_round_trip_and_jitter_has_no_safe_interval() -> None:
    assert safe_pings(0.5, jitter_s=0.5, rtt_s=0.2).interval_s is None


@given(st.floats(1, 10_000), st.floats(0, 0.5))
def test_a_ping_after_the_most_that_may_be_lost_is_still_in_time(timer_s: float, loss: float) -> None:
    pings = safe_pings(timer_s, loss=loss)
    assert pings.interval_s is not None
    silent_s = pings.interval_s * (pings.may_be_lost + 1) + pings.rtt_s + pings.jitter_s
    assert silent_s <= timer_s * (1 + 1e-9)
