"""What is known in closed form of a profile's distributions, against plain numerical integration."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsload.plan.distributions import below, draw_ns, share_above, uniforms
from wsload.profile.distributions import distribution
from wsload.profile.model import Distribution, Spread

S = 1_000_000_000
WRITTEN = ("fixed(2s)", "exp(2s)", "lognormal(2s, 1.2)", "lognormal(500ms, 0.3)")
KINDS = st.sampled_from([*map(distribution, WRITTEN), distribution(["1s", "2s", "30s"])])


def integrals(lengths: Distribution, limit_s: float, going_per_s: float) -> tuple[float, float]:
    """Of S(t) e^(-rt) and its product with t, by midpoints; in seconds."""
    edges = np.linspace(0.0, limit_s, 4001)
    at = (edges[1:] + edges[:-1]) / 2
    lasting = np.array([share_above(lengths, t * S) for t in at]) * np.exp(-going_per_s * at)
    width = limit_s / len(at)
    return float(lasting.sum() * width), float((lasting * at).sum() * width)


def mean_of_smaller_ns(lengths: Distribution, limit_ns: float) -> float:
    """The mean of min(length, limit) by other formulas: closed ones, for the lognormal too."""
    if lengths.spread is Spread.TABLE:
        return math.fsum(min(value, limit_ns) for value in lengths.values_ns) / len(lengths.values_ns)
    if lengths.spread is Spread.EXPONENTIAL:
        return -lengths.scale_ns * math.expm1(-limit_ns / lengths.scale_ns)
    if lengths.spread is Spread.LOGNORMAL:
        within = NormalDist().cdf(math.log(limit_ns / lengths.scale_ns) / lengths.sigma - lengths.sigma)
        return lengths.mean_ns * within + limit_ns * share_above(lengths, limit_ns)
    return float(min(lengths.scale_ns, limit_ns))


@settings(max_examples=40, deadline=None)
@given(KINDS, st.floats(0.01, 60.0), st.sampled_from([0.0, 1e-9, 0.001, 0.5, 20.0]))
def test_time_and_age_below_a_limit_are_the_integrals_of_the_survival(
    lengths: Distribution, limit_s: float, going_per_s: float
) -> None:
    time_s, moment = integrals(lengths, limit_s, going_per_s)
    found = below(lengths, limit_s * S, going_per_s)
    # The midpoints are coarse where a step, or a fast going, falls inside one of them.
    close = pytest.approx(time_s, rel=0.005, abs=limit_s / 4000)
    assert found.time_ns / S == close
    assert found.age_ns / S == pytest.approx(moment / time_s, rel=0.02, abs=limit_s / 2000)


@given(KINDS, st.floats(0.001, 10_000.0))
def test_with_nobody_going_the_time_is_the_mean_of_the_smaller(lengths: Distribution, limit_s: float) -> None:
    assert below(lengths, limit_s * S).time_ns == pytest.approx(
        mean_of_smaller_ns(lengths, limit_s * S), rel=1e-6
    )


def test_the_age_within_a_fixed_length_is_half_of_it() -> None:
    assert below(distribution("fixed(3s)"), 10 * S) == pytest.approx((3 * S, 1.5 * S))
    assert below(distribution("fixed(30s)"), 10 * S) == pytest.approx((10 * S, 5 * S))


def test_the_age_below_a_limit_is_the_second_moment_over_twice_the_first() -> None:
    lengths = distribution(["1s", "2s", "30s"])
    smaller = [1.0, 2.0, 10.0]
    age_s = sum(m * m for m in smaller) / (2 * sum(smaller))
    assert below(lengths, 10 * S).age_ns / S == pytest.approx(age_s)


def test_a_limit_of_a_day_takes_nothing_from_short_gaps() -> None:
    for written in WRITTEN:
        lengths = distribution(written)
        assert below(lengths, 86_400 * S).time_ns == pytest.approx(mean_of_smaller_ns(lengths, 86_400 * S))


def test_drawn_lengths_have_the_moments_that_are_worked_out() -> None:
    ids, count = np.arange(40_000, dtype=np.int32), 40_000
    uniform = uniforms(7, ids, np.zeros(count, np.int64))
    for written in WRITTEN:
        lengths = distribution(written)
        smaller = np.minimum(draw_ns(lengths, uniform), 3 * S) / S
        found = below(lengths, 3 * S)
        error = 4 / math.sqrt(count)
        assert smaller.mean() == pytest.approx(found.time_ns / S, abs=error * smaller.std() + 1e-9)
        squares = smaller**2
        second = 2 * found.age_ns * found.time_ns / S**2
        assert squares.mean() == pytest.approx(second, abs=error * squares.std() + 1e-6)
