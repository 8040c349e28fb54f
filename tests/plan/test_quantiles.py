"""Drawing many lengths at once: of all, and on either side of a limit."""

import numpy as np
import pytest

from wsload.plan.distributions import draw_ns, share_above
from wsload.plan.quantiles import Quantiles
from wsload.profile.distributions import distribution
from wsload.profile.model import Distribution

S = 1_000_000_000
UNIFORM = (np.arange(20_000) + 0.5) / 20_000
KINDS = [distribution(text) for text in ("exp(2s)", "lognormal(2s, 1.2)")]
KINDS += [distribution(["1s", "2s", "30s"])]


@pytest.mark.parametrize("lengths", KINDS)
def test_all_lengths_are_those_of_the_exact_draw(lengths: Distribution) -> None:
    exact = np.sort(draw_ns(lengths, UNIFORM)) / S
    assert np.sort(Quantiles(lengths).any_s(UNIFORM)) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("lengths", KINDS)
def test_both_sides_of_a_limit_together_are_the_whole(lengths: Distribution) -> None:
    limit_s = 2.5
    drawn = Quantiles(lengths, limit_s * S)
    below, above = drawn.below_s(UNIFORM), drawn.above_s(UNIFORM)
    assert below.max() <= limit_s <= above.min()
    share = share_above(lengths, limit_s * S)
    whole = draw_ns(lengths, UNIFORM) / S
    assert (1 - share) * below.mean() + share * above.mean() == pytest.approx(whole.mean(), rel=0.01)


def test_a_length_far_out_is_drawn_from_the_tail_alone() -> None:
    lengths = distribution("lognormal(1s, 1)")
    above = Quantiles(lengths, 300 * S).above_s(UNIFORM)
    assert above.min() >= 300
    assert np.median(above) < 500
