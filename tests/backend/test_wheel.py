"""The wheel of things that fall due."""

from hypothesis import given
from hypothesis import strategies as st

from wsload.backend.wheel import Wheel


def test_an_item_is_never_early_and_at_most_a_grain_late() -> None:
    wheel: Wheel[str] = Wheel(10)
    wheel.add(25, "a")
    assert wheel.next_ns() == 30
    assert wheel.take_due(29) == []
    assert wheel.take_due(30) == ["a"]
    assert wheel.take_due(1000) == []
    assert wheel.next_ns() is None


def test_an_item_taken_out_does_not_fall_due() -> None:
    wheel: Wheel[str] = Wheel(10)
    wheel.add(25, "a")
    wheel.add(27, "b")
    wheel.remove(25, "a")
    wheel.remove(25, "a")
    wheel.remove(99, "never added")
    assert wheel.take_due(100) == ["b"]


@given(
    dues=st.lists(st.integers(0, 1000), max_size=40),
    grain=st.integers(1, 50),
    steps=st.lists(st.integers(1, 200), max_size=20),
)
def test_each_item_comes_once_at_the_first_look_after_its_grain(
    dues: list[int], grain: int, steps: list[int]
) -> None:
    wheel: Wheel[int] = Wheel(grain)
    for number, due in enumerate(dues):
        wheel.add(due, number)
    now = 0
    waiting = set(range(len(dues)))
    for step in [*steps, 2000]:
        now += step
        for number in wheel.take_due(now):
            assert dues[number] <= now
            waiting.remove(number)
        assert all(dues[number] > now - grain for number in waiting)
    assert not waiting
