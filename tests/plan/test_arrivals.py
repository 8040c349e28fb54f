"""When tunnels open and messages are due."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.plan.arrivals import LossySchedule, MessageSchedule, Times, Window, opening_times_ns
from wsload.profile.model import Arrivals

S = 1_000_000_000
KINDS = st.sampled_from(Arrivals)


def windows(schedule: MessageSchedule, cuts: list[int]) -> Window:
    parts = [schedule.window(cut) for cut in cuts]
    return np.concatenate([due for due, _ in parts]), np.concatenate([tunnel for _, tunnel in parts])


def schedule(
    opens: list[int] | Times, period: int, kind: Arrivals, end: int, seed: int = 1
) -> MessageSchedule:
    return MessageSchedule.create(np.asarray(opens, dtype=np.int64), period, kind, end, seed)


def test_even_openings_are_equally_far_apart() -> None:
    assert opening_times_ns(4, 100, Arrivals.EVEN, 1).tolist() == [0, 25, 50, 75]
    assert opening_times_ns(3, 100, Arrivals.EVEN, 1).tolist() == [0, 33, 66]


def test_a_ramp_of_zero_opens_all_at_once() -> None:
    for kind in Arrivals:
        assert opening_times_ns(3, 0, kind, 1).tolist() == [0, 0, 0]


def test_poisson_openings_have_the_gaps_of_a_poisson_process() -> None:
    gaps = np.diff(opening_times_ns(20_000, 20_000 * S, Arrivals.POISSON, 1)) / S
    assert gaps.mean() == pytest.approx(1, rel=0.02)
    assert gaps.std() == pytest.approx(1, rel=0.05)


@given(st.integers(0, 300), st.integers(0, 10**13), KINDS, st.integers(0, 2**63 - 1))
def test_openings_are_ascending_within_the_ramp_and_repeatable(
    count: int, ramp_ns: int, kind: Arrivals, seed: int
) -> None:
    opens = opening_times_ns(count, ramp_ns, kind, seed)
    assert len(opens) == count
    assert (np.diff(opens) >= 0).all()
    assert ((opens >= 0) & (opens <= ramp_ns)).all()
    assert (opens == opening_times_ns(count, ramp_ns, kind, seed)).all()


OPENS = st.lists(st.integers(0, 5_000), max_size=12)
CUTS = st.lists(st.integers(0, 12_000), max_size=8).map(sorted)


@given(OPENS, st.integers(1, 3_000), KINDS, st.integers(0, 10_000), st.integers(0, 100), CUTS)
def test_what_is_due_does_not_depend_on_how_windows_are_cut(
    opens: list[int], period: int, kind: Arrivals, end: int, seed: int, cuts: list[int]
) -> None:
    whole_due, whole_tunnel = schedule(opens, period, kind, end, seed).window(12_000)
    cut_due, cut_tunnel = windows(schedule(opens, period, kind, end, seed), [*cuts, 12_000])
    assert cut_due.tolist() == whole_due.tolist()
    assert cut_tunnel.tolist() == whole_tunnel.tolist()


@given(OPENS, st.integers(1, 3_000), KINDS, st.integers(0, 10_000), CUTS)
def test_windows_hold_what_is_due_in_them_ascending_and_after_the_opening(
    opens: list[int], period: int, kind: Arrivals, end: int, cuts: list[int]
) -> None:
    source = schedule(opens, period, kind, end)
    before = 0
    for cut in cuts:
        due, tunnel = source.window(cut)
        assert (due.dtype.str, tunnel.dtype.str) == ("<i8", "<i4")
        assert (np.diff(due) >= 0).all()
        assert ((due >= before) & (due < min(cut, end))).all()
        assert (due >= np.asarray(opens, dtype=np.int64)[tunnel]).all()
        before = cut


@given(OPENS, st.integers(1, 3_000), st.integers(0, 10_000), st.integers(0, 100))
def test_even_messages_of_a_tunnel_are_one_period_apart_from_within_a_period_of_its_opening(
    opens: list[int], period: int, end: int, seed: int
) -> None:
    due, tunnel = schedule(opens, period, Arrivals.EVEN, end, seed).window(end)
    for i, opened in enumerate(opens):
        mine = due[tunnel == i]
        assert (np.diff(mine) == period).all()
        if len(mine):
            assert opened < mine[0] <= opened + period
            assert mine[-1] + period >= end
        else:
            assert opened + period >= end


def test_even_messages_of_many_tunnels_spread_over_the_period() -> None:
    due, _ = schedule([0] * 10_000, S, Arrivals.EVEN, 10 * S).window(10 * S)
    per_tenth, _ = np.histogram(due[due >= S] % S, bins=10, range=(0, S))
    assert per_tenth.min() > 0.85 * per_tenth.mean()


def test_poisson_messages_come_at_the_rate_with_exponential_gaps_for_each_tunnel() -> None:
    due, tunnel = schedule([0] * 50, S, Arrivals.POISSON, 1000 * S, seed=3).window(1000 * S)
    assert len(due) == pytest.approx(50_000, rel=0.02)
    gaps = np.concatenate([np.diff(due[tunnel == i]) for i in range(50)]) / S
    assert gaps.mean() == pytest.approx(1, rel=0.03)
    assert (gaps > 2).mean() == pytest.approx(np.exp(-2), rel=0.05)
    assert np.bincount(tunnel).std() == pytest.approx(np.sqrt(1000), rel=0.35)


def test_poisson_messages_of_a_late_tunnel_start_with_its_opening_at_full_rate() -> None:
    due, tunnel = schedule([0, 500 * S], S // 10, Arrivals.POISSON, 1000 * S).window(1000 * S)
    late = due[tunnel == 1]
    assert late[0] >= 500 * S
    assert len(late) == pytest.approx(5000, rel=0.06)


def test_seeds_give_different_but_repeatable_schedules() -> None:
    for kind in Arrivals:
        one, again, other = (schedule([0] * 20, S, kind, 5 * S, seed).window(5 * S)[0] for seed in (1, 1, 2))
        assert one.tolist() == again.tolist()
        assert one.tolist() != other.tolist()


def test_no_tunnels_have_no_messages() -> None:
    for kind in Arrivals:
        due, tunnel = schedule([], S, kind, 5 * S).window(5 * S)
        assert (len(due), len(tunnel)) == (0, 0)


def test_very_rare_messages_do_not_overflow() -> None:
    for kind in Arrivals:
        assert len(schedule([0], 3650 * 86_400 * S, kind, S).window(S)[0]) == 0


def test_a_period_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="a period of 0 ns"):
        schedule([0], 0, Arrivals.EVEN, S)


@given(OPENS, st.integers(1, 3_000), st.floats(0, 1), st.integers(0, 100), CUTS)
def test_which_messages_are_lost_does_not_depend_on_how_windows_are_cut(
    opens: list[int], period: int, lost: float, seed: int, cuts: list[int]
) -> None:
    def lossy() -> MessageSchedule:
        return LossySchedule(schedule(opens, period, Arrivals.EVEN, 10_000, seed), lost, seed)

    whole_due, whole_tunnel = lossy().window(12_000)
    cut_due, cut_tunnel = windows(lossy(), [*cuts, 12_000])
    assert (cut_due.tolist(), cut_tunnel.tolist()) == (whole_due.tolist(), whole_tunnel.tolist())
    without_loss = zip(*schedule(opens, period, Arrivals.EVEN, 10_000, seed).window(12_000), strict=True)
    assert set(zip(whole_due, whole_tunnel, strict=True)) <= set(without_loss)


def test_as_many_messages_are_lost_as_asked_and_one_loss_says_nothing_of_the_next() -> None:
    whole = schedule([0] * 100, S, Arrivals.EVEN, 400 * S)
    due, tunnel = LossySchedule(whole, 0.2, 7).window(400 * S)
    assert len(due) == pytest.approx(0.8 * 40_000, rel=0.01)
    gaps = np.concatenate([np.diff(due[tunnel == i]) for i in range(100)]) / S
    for lost_in_a_row in (1, 2, 3):
        share = (gaps > lost_in_a_row + 0.5).mean()
        assert share == pytest.approx(0.2**lost_in_a_row, rel=0.15)
