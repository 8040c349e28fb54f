"""How many pinged tunnels outlive a timer: the formula, against tunnels played one by one."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.made_folder import Ends, make_folder
from wsload.analysis.campaign import CellResult
from wsload.analysis.folder import RunFolder
from wsload.analysis.keepalive import (
    KeepalivePoint,
    expected_alive,
    keepalive_points,
    wilson,
)
from wsload.record.outcome import Cause
from wsload.report.keepalive_wording import keepalive_sentences

TIMER_S, WATCHED_S, TUNNELS = 2.0, (6.0, 7.0), 4000


def played(every_s: float, loss: float) -> float:
    """The share alive of tunnels that are played ping by ping."""
    rng = random.Random(5)
    alive = 0
    for _ in range(TUNNELS):
        length_s, ping_s, last_s = rng.uniform(*WATCHED_S), every_s * rng.random(), 0.0
        while ping_s < length_s and ping_s - last_s <= TIMER_S:
            last_s = ping_s if rng.random() >= loss else last_s
            ping_s += every_s
        alive += min(ping_s, length_s) - last_s <= TIMER_S
    return alive / TUNNELS


@pytest.mark.parametrize("every_s", [0.3, 0.6, 0.7, 0.99, 1.05, 1.5, 1.95, 2.5, 7.0])
@pytest.mark.parametrize("loss", [0.0, 0.2, 0.6])
def test_the_share_worked_out_is_that_of_tunnels_played_one_by_one(every_s: float, loss: float) -> None:
    expected = expected_alive(every_s, TIMER_S, loss, WATCHED_S)
    # Three standard errors are 0.024 at the most, and the phases are averaged in 32 steps.
    assert played(every_s, loss) == pytest.approx(expected, abs=0.03)


def test_without_loss_all_live_up_to_the_timer_and_none_beyond() -> None:
    assert expected_alive(1.99, 2.0, 0.0, (20, 21)) == pytest.approx(1)
    assert expected_alive(2.01, 2.0, 0.0, (20, 21)) == pytest.approx(0)


def test_the_longer_they_are_watched_the_fewer_live() -> None:
    shares = [expected_alive(0.7, 2.0, 0.2, (length, length)) for length in (1.0, 3.0, 10.0, 100.0)]
    assert shares[0] == 1
    assert shares == sorted(shares, reverse=True)


def test_an_interval_of_a_share_stays_within_its_bounds() -> None:
    assert wilson(0, 50)[0] == 0
    assert wilson(50, 50)[1] == 1
    low, high = wilson(25, 50)
    assert (low + high) / 2 == pytest.approx(0.5)
    assert high - low == pytest.approx(0.267, abs=0.01)  # Wilson's table


def cell(path: Path, every: str, ended: int, **timers: Any) -> CellResult:
    """A campaign's cell of 40 pinged tunnels, of which ``ended`` were cut."""
    make_folder(
        path / every,
        cohorts={"pinged": 40},
        ends=[Ends("pinged", ended, 4.0, 2.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)],
        settings={"cohort.pinged.every": every, "cohort.pinged.ping_loss": "20%"},
        **({"timers_ms": {"tunnel": 2000}} | timers),
    )
    summary = RunFolder(path / every).summary()
    assert summary is not None
    return CellResult(
        axes={"cohort.pinged.every": every},
        planned=40,
        opened=40,
        held=40 - ended,
        held_by_cohort=summary.tunnels.held_by_cohort,
        planned_by_cohort={"pinged": 40},
        peak_slots=40,
        disconnect_unexpected=ended,
        slo="none",
        validity="valid",
        run=every,
        maxconn=100,
        hold_s=10.0,
        metrics={"ping_rtt": {"pinged": {"p50": 4.0, "p99": 10.0}}},
    )


def test_a_campaign_of_ping_intervals_gives_a_point_a_cell(tmp_path: Path) -> None:
    cells = [cell(tmp_path, "1500ms", 30), cell(tmp_path, "600ms", 4)]
    near, far = keepalive_points(tmp_path, cells)
    assert (near.every_s, near.timer_s, near.loss, near.tunnels, near.alive) == (0.6, 2.0, 0.2, 40, 36)
    assert near.rtt_s == pytest.approx(0.004)
    assert near.jitter_s == pytest.approx(0.006)
    assert near.expected == expected_alive(0.6, 2.0, 0.2, (10.0, 13.0))
    assert (far.every_s, far.share, far.run) == (1.5, 0.25, "1500ms")


def test_a_cohorts_own_timer_goes_before_the_backends(tmp_path: Path) -> None:
    own_ms = {"pinged": {"tunnel": 5000}}
    (point,) = keepalive_points(tmp_path, [cell(tmp_path, "600ms", 4, cohort_timers_ms=own_ms)])
    assert point.timer_s == 5


def test_a_cohorts_own_timer_is_enough_where_the_backend_has_none(tmp_path: Path) -> None:
    own_ms = {"pinged": {"tunnel": 5000}}
    made = cell(tmp_path, "600ms", 4, timers_ms={}, cohort_timers_ms=own_ms)
    assert [point.timer_s for point in keepalive_points(tmp_path, [made])] == [5]


def test_a_campaign_of_something_else_has_no_points(tmp_path: Path) -> None:
    assert keepalive_points(tmp_path, []) == []


def test_the_sentence_says_how_near_it_came_and_which_intervals_are_safe() -> None:
    point = KeepalivePoint(
        every_s=0.6,
        timer_s=2.0,
        loss=0.2,
        tunnels=1000,
        alive=900,
        expected=0.93,
        rtt_s=0.004,
        jitter_s=0.006,
        watched_s=(10, 11),
        run="a",
    )
    (said,) = keepalive_sentences([point])
    assert "timer 2s, 20% of pings lost" in said
    assert "at most 3.0 points apart (ping every 600ms: 90% against 93%)" in said
    assert "0 lost: 1.99s, 1 lost: 995ms, 2 lost: 663ms, 3 lost: 498ms" in said
