import asyncio
from collections.abc import Callable
from typing import cast
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.clock import ManualClock, MonotonicClock
from wsload.driver import scheduler as scheduler_module
from wsload.driver.scheduler import Agenda, Every, Listed, Scheduler
from wsload.units import NS_PER_MS, NS_PER_S


def listed(*due_ns: int) -> Listed:
    return Listed(np.array(due_ns, dtype=np.int64), np.arange(len(due_ns), dtype=np.int32))


def ignore(index: int, due_ns: int) -> None:
    """An action that does nothing."""


def test_a_list_hands_out_each_entry_once_and_in_its_window() -> None:
    source = listed(0, 10, 10, 25)
    assert source.window(10)[0].tolist() == [0]
    assert source.window(20)[1].tolist() == [1, 2]
    assert source.window(20)[0].tolist() == []
    assert source.window(100)[0].tolist() == [25]


def test_a_period_is_due_at_its_multiples() -> None:
    source = Every(10)
    assert source.window(10)[0].tolist() == []
    assert source.window(31)[0].tolist() == [10, 20, 30]
    assert source.window(41)[1].tolist() == [4]


def test_a_period_that_begins_late_skips_what_is_past() -> None:
    assert Every(10, last_ns=25).window(41)[0].tolist() == [30, 40]


@given(st.lists(st.lists(st.integers(0, 1000)), max_size=4), st.lists(st.integers(1, 1100), max_size=6))
def test_an_agenda_gives_everything_once_and_in_order(due: list[list[int]], cuts: list[int]) -> None:
    agenda = Agenda()
    for times in due:
        agenda.add(listed(*sorted(times)), ignore)
    handed = [time for until in [*sorted(cuts), 1101] for time in agenda.advance(until)[0]]
    assert handed == sorted(time for times in due for time in times)


def test_of_equal_times_the_earlier_source_goes_first() -> None:
    agenda = Agenda()

    def first(index: int, due_ns: int) -> None: ...

    def second(index: int, due_ns: int) -> None: ...

    agenda.add(listed(5), first)
    agenda.add(listed(5), second)
    assert agenda.advance(6)[1] == [first, second]


def test_a_scheduler_acts_in_order_and_never_early() -> None:
    clock = MonotonicClock()
    seen: list[tuple[int, int, int]] = []

    async def scenario() -> None:
        done = asyncio.get_running_loop().create_future()
        scheduler = Scheduler(asyncio.get_running_loop(), ignore_window)

        def act(index: int, due_ns: int) -> None:
            seen.append((index, due_ns, clock.now_ns()))
            if len(seen) == 40:
                done.set_result(None)

        times_ns = [number * NS_PER_MS for number in range(40)]
        scheduler.agenda.add(listed(*times_ns), act)
        scheduler.start(clock.now_ns())
        await done
        scheduler.stop()

    asyncio.run(scenario())
    assert [index for index, _, _ in seen] == list(range(40))
    assert all(at_ns >= due_ns for _, due_ns, at_ns in seen)


def ignore_window(now_ns: int) -> None:
    """Housekeeping that does nothing."""


def test_a_replanned_scheduler_forgets_what_was_laid_out() -> None:
    clock = MonotonicClock()
    seen: list[str] = []

    async def scenario() -> None:
        done = asyncio.get_running_loop().create_future()
        scheduler = Scheduler(asyncio.get_running_loop(), ignore_window)
        start_ns = clock.now_ns()

        def switch(index: int, due_ns: int) -> None:
            scheduler.agenda.clear()
            scheduler.agenda.add(listed(3 * NS_PER_MS), lambda index, due_ns: done.set_result(None))
            scheduler.replan(due_ns)

        scheduler.agenda.add(listed(NS_PER_MS), switch)
        scheduler.agenda.add(listed(2 * NS_PER_MS), lambda index, due_ns: seen.append("old"))
        scheduler.start(start_ns)
        await done
        scheduler.stop()

    asyncio.run(scenario())
    assert seen == []


class HandWokenLoop:
    """As much of an event loop as a scheduler needs."""

    wake: Callable[[], None]

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.wake = callback

    def remove_reader(self, fd: int) -> None:
        """Nothing to forget."""


def run_by_hand(scheduler: Scheduler, loop: HandWokenLoop, clock: ManualClock, until_ns: int) -> None:
    """Wake it whenever its timer is set for, up to a time."""
    armed_ns: list[int] = []
    with mock.patch.object(scheduler._timer, "arm", armed_ns.append):
        scheduler.start(clock.now_ns())
        loop.wake()
        while clock.now_ns() < armed_ns[-1] < until_ns:
            clock.advance(armed_ns[-1] - clock.now_ns())
            loop.wake()
    scheduler.stop()


def test_what_falls_due_within_the_slack_leaves_together() -> None:
    clock = ManualClock(NS_PER_S)
    loop = HandWokenLoop()
    seen: list[tuple[int, int]] = []
    with mock.patch.object(scheduler_module, "monotonic_ns", clock.now_ns):
        scheduler = Scheduler(cast(asyncio.AbstractEventLoop, loop), ignore_window, slack_ns=10 * NS_PER_MS)
        times_ns = [NS_PER_MS, 2 * NS_PER_MS, 9 * NS_PER_MS, 30 * NS_PER_MS]
        scheduler.agenda.add(listed(*times_ns), lambda index, due_ns: seen.append((index, clock.now_ns())))
        run_by_hand(scheduler, loop, clock, NS_PER_S + 31 * NS_PER_MS)
    assert [index for index, _ in seen] == [0, 1, 2, 3]
    assert {at_ns - NS_PER_S for _, at_ns in seen} == {10 * NS_PER_MS, 30 * NS_PER_MS}


def times_of_pauses(due_ms: list[float], indexes: list[int]) -> list[tuple[int, float]]:
    """What is done in the pauses of the first window: index, and when in ms."""
    clock = ManualClock(NS_PER_S)
    loop = HandWokenLoop()
    seen: list[tuple[int, float]] = []

    def house_keep(now_ns: int) -> None:
        if now_ns == NS_PER_S:
            scheduler.do_in_pauses(
                lambda index, due_ns: seen.append((index, (clock.now_ns() - NS_PER_S) / NS_PER_MS)), indexes
            )

    with mock.patch.object(scheduler_module, "monotonic_ns", clock.now_ns):
        scheduler = Scheduler(cast(asyncio.AbstractEventLoop, loop), house_keep)
        scheduler.agenda.add(listed(*(round(at_ms * NS_PER_MS) for at_ms in due_ms)), ignore)
        run_by_hand(scheduler, loop, clock, NS_PER_S + 60 * NS_PER_MS)
    return seen


@pytest.mark.parametrize(
    ("due_ms", "indexes", "times"),
    [
        ([1, 2, 40, 41, 49], [7], [(7, 39.2)]),  # the next window is laid out at 39.6
        ([1, 2, 40, 41, 49], [7, 8], [(8, 39.2), (7, 48.6)]),
        ([0.1, 0.2, *np.arange(0.5, 50.1, 0.1)], [7], [(7, 0.2)]),  # no pause is long enough: from its start
        ([], [7], [(7, 49.2)]),
        ([], [7, 8, 9], [(8, 49.2), (7, 49.6)]),
    ],
)
def test_what_takes_long_is_done_in_the_longest_pauses(
    due_ms: list[float], indexes: list[int], times: list[tuple[int, float]]
) -> None:
    assert times_of_pauses(due_ms, indexes) == times


def test_the_next_window_is_laid_out_in_a_pause_of_the_last_part() -> None:
    clock = ManualClock(NS_PER_S)
    loop = HandWokenLoop()
    laid_out_ms: list[float] = []

    class Asked(Listed):
        def window(self, until_ns: int) -> scheduler_module.Window:
            laid_out_ms.append((clock.now_ns() - NS_PER_S) / NS_PER_MS)
            return super().window(until_ns)

    times_ns = np.array([2, 31, 45, 49, 61, 98], np.int64) * NS_PER_MS
    with mock.patch.object(scheduler_module, "monotonic_ns", clock.now_ns):
        scheduler = Scheduler(cast(asyncio.AbstractEventLoop, loop), ignore_window)
        scheduler.agenda.add(Asked(times_ns, np.arange(6, dtype=np.int32)), ignore)
        run_by_hand(scheduler, loop, clock, NS_PER_S + 99 * NS_PER_MS)
    assert laid_out_ms == [0, 44.6, 97.6]
