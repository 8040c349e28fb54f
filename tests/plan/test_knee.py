"""Which level a search offers next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.plan.knee import KneeFinder, Outcome
from wsload.profile.model import Capacity

PASSED, CUT, FAILED = Outcome.PASSED, Outcome.CUT, Outcome.FAILED


def tried(capacity: Capacity, holds: int) -> list[tuple[int, Outcome]]:
    """All levels of a search where those above ``holds`` fail."""
    finder, found = KneeFinder(capacity), []
    level: int | None = finder.first
    while level is not None:
        found.append((level, PASSED if level <= holds else FAILED))
        level = finder.next(*found[-1])
    return found


@pytest.mark.parametrize(
    ("capacity", "holds", "levels"),
    [
        (Capacity(least=10, most=50, step=10), 35, [10, 20, 30, 40]),
        (Capacity(least=10, most=55, step=20), 99, [10, 30, 50, 55]),
        (Capacity(least=10, most=50, step=10), 5, [10]),
        (Capacity(least=10, most=10, step=10), 99, [10]),
        (Capacity(least=100, most=900, resolution=100), 420, [100, 900, 500, 300, 400]),
        (Capacity(least=100, most=900, resolution=100), 99, [100]),
        (Capacity(least=100, most=900, resolution=100), 900, [100, 900]),
        (Capacity(least=100, most=900, resolution=800), 420, [100, 900]),
        (Capacity(least=100, most=100, resolution=1), 420, [100]),
    ],
)
def test_levels_are_tried_in_this_order(capacity: Capacity, holds: int, levels: list[int]) -> None:
    assert [level for level, _ in tried(capacity, holds)] == levels


def test_a_level_that_only_a_timer_cuts_is_gone_beyond() -> None:
    stepping = KneeFinder(Capacity(least=10, most=30, step=10))
    assert [stepping.next(10, CUT), stepping.next(20, CUT), stepping.next(30, CUT)] == [20, 30, None]
    bisecting = KneeFinder(Capacity(least=100, most=900, resolution=100))
    assert [bisecting.next(100, CUT), bisecting.next(900, FAILED), bisecting.next(500, CUT)] == [
        900,
        500,
        700,
    ]
    assert bisecting.held == 500


@given(st.integers(1, 10_000), st.integers(0, 10_000), st.integers(1, 3_000), st.integers(0, 25_000))
def test_a_bisection_ends_never_repeats_a_level_and_leaves_the_knee_between_two(
    least: int, span: int, resolution: int, holds: int
) -> None:
    most = least + span
    found = tried(Capacity(least=least, most=most, resolution=resolution), holds)
    levels = [level for level, _ in found]
    assert len(set(levels)) == len(levels)
    assert all(least <= level <= most for level in levels)
    passed = max((level for level, outcome in found if outcome is PASSED), default=0)
    failed = min((level for level, outcome in found if outcome is FAILED), default=None)
    assert passed <= holds
    if failed is None:
        assert passed == most
    else:
        assert failed > holds
        assert passed == 0 or failed - passed <= resolution


@given(
    st.lists(st.sampled_from(Outcome), min_size=60, max_size=60), st.integers(1, 2_000), st.integers(1, 300)
)
def test_a_search_ends_whatever_the_levels_come_to(
    outcomes: list[Outcome], span: int, resolution: int
) -> None:
    for capacity in (
        Capacity(least=10, most=10 + span, resolution=resolution),
        Capacity(least=10, most=10 + span, step=max(resolution, span // 50)),
    ):
        finder = KneeFinder(capacity)
        level: int | None = finder.first
        for outcome in outcomes:
            if level is not None:
                level = finder.next(level, outcome)
        assert level is None
