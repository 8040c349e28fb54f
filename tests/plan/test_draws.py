"""Draws against what is known in closed form; schedules of quiet clients."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wsload.plan.arrivals import RenewalSchedule
from wsload.plan.distributions import below, draw_ns, share_above, uniforms
from wsload.profile.distributions import distribution
from wsload.profile.model import Distribution

S = 1_000_000_000
DRAWS = 40_000
KINDS = {
    "fixed": distribution("fixed(3s)"),
    "exp": distribution("exp(3s)"),
    "lognormal": distribution("lognormal(2s, 0.8)"),
    "table": distribution(["1s", "2s", "2s", "9s"]),
}
LIMITS_S = (0.0, 0.5, 2.0, 3.5, 20.0)


def pairs(count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """So many pairs of an id and a number, of a hundred ids."""
    everything = np.arange(count)
    return (everything % 100).astype(np.int32), everything // 100


def drawn_s(lengths: Distribution) -> NDArray[np.float64]:
    return draw_ns(lengths, uniforms(7, *pairs(DRAWS))) / S


def four_errors(values: NDArray[np.float64]) -> float:
    """Four standard errors of the mean: one draw in 16,000 is further off."""
    return 4 * float(values.std()) / math.sqrt(DRAWS) + 1e-9


@pytest.mark.parametrize("lengths", KINDS.values(), ids=KINDS)
def test_draws_have_the_mean(lengths: Distribution) -> None:
    values = drawn_s(lengths)
    assert values.mean() == pytest.approx(lengths.mean_ns / S, abs=four_errors(values))


@pytest.mark.parametrize("limit_s", LIMITS_S)
@pytest.mark.parametrize("lengths", KINDS.values(), ids=KINDS)
def test_draws_have_the_share_above_a_limit_and_the_mean_below_it(
    lengths: Distribution, limit_s: float
) -> None:
    values = drawn_s(lengths)
    above = (values > limit_s).astype(np.float64)
    assert above.mean() == pytest.approx(share_above(lengths, limit_s * S), abs=four_errors(above))
    smaller = np.minimum(values, limit_s)
    expected_s = below(lengths, limit_s * S).time_ns / S
    assert smaller.mean() == pytest.approx(expected_s, abs=four_errors(smaller))


def test_the_same_pair_always_gives_the_same_number_and_others_do_not() -> None:
    ids, numbers = pairs(DRAWS)
    values = uniforms(3, ids, numbers)
    order = np.random.default_rng(1).permutation(DRAWS)
    assert (uniforms(3, ids[order], numbers[order]) == values[order]).all()
    assert len(np.unique(values)) == DRAWS
    assert (uniforms(4, ids, numbers) != values).all()


def test_the_numbers_are_uniform_and_do_not_follow_their_neighbours() -> None:
    ids, numbers = pairs(DRAWS)
    values = uniforms(3, ids, numbers)
    assert 0 < values.min() < values.max() < 1
    expected = (np.arange(DRAWS) + 0.5) / DRAWS
    furthest = np.abs(np.sort(values) - expected).max()
    assert furthest < 1.95 / DRAWS**0.5  # Kolmogorov and Smirnov: one in a thousand is further off
    by_number, by_id = values.reshape(-1, 100), values.reshape(-1, 100).T
    for each in (by_number, by_id):
        follow = np.corrcoef(each[:, :-1].ravel(), each[:, 1:].ravel())[0, 1]
        assert abs(follow) < 4 / DRAWS**0.5


def gaps_s(
    schedule: RenewalSchedule, opens_ns: NDArray[np.int64], until_ns: int, step_ns: int
) -> list[float]:
    """All gaps that ended, in the order of the clients, however the windows are cut."""
    due: list[tuple[int, int]] = []
    for end_ns in range(step_ns, until_ns + step_ns, step_ns):
        times, clients = schedule.window(end_ns)
        assert (np.diff(times) >= 0).all()
        due += zip(clients.tolist(), times.tolist(), strict=True)
    found: list[float] = []
    before = dict(enumerate(opens_ns.tolist()))
    for client, at_ns in sorted(due):
        found.append((at_ns - before[client]) / S)
        before[client] = at_ns
    return found


@given(st.sampled_from(sorted(KINDS)), st.integers(S // 10, 30 * S))
def test_what_is_due_does_not_depend_on_how_windows_are_cut(kind: str, step_ns: int) -> None:
    opens_ns = np.arange(20, dtype=np.int64) * S // 20
    whole = gaps_s(RenewalSchedule(opens_ns, KINDS[kind], 30 * S, 5), opens_ns, 30 * S, 30 * S)
    parts = gaps_s(RenewalSchedule(opens_ns, KINDS[kind], 30 * S, 5), opens_ns, 30 * S, step_ns)
    assert parts == whole
    assert len(whole) >= 20


@pytest.mark.parametrize("lengths", KINDS.values(), ids=KINDS)
def test_the_first_gaps_of_quiet_clients_are_distributed_as_asked(lengths: Distribution) -> None:
    opens_ns = np.zeros(DRAWS, np.int64)
    due_ns, clients = RenewalSchedule(opens_ns, lengths, 10_000 * S, 5).window(60 * S)
    first_s = np.full(DRAWS, np.inf)
    np.minimum.at(first_s, clients, due_ns / S)
    for limit_s in LIMITS_S:
        above = (first_s > limit_s).astype(np.float64)
        assert above.mean() == pytest.approx(share_above(lengths, limit_s * S), abs=four_errors(above))
