"""Several alarms on the loop's one timer."""

import asyncio
import time

from wsload.backend.timers import Timers

MS = 1_000_000


def test_alarms_ring_once_when_due_in_the_order_they_were_made_and_may_add_more() -> None:
    async def scenario() -> list[tuple[str, str]]:
        rung: list[tuple[str, str]] = []
        done = asyncio.Event()
        timers = Timers()

        def ring_first(item: str, now_ns: int) -> None:
            assert now_ns >= due_ns
            rung.append(("first", item))
            if item == "a":
                second.add(now_ns, "added")

        def ring_second(item: str, _now_ns: int) -> None:
            rung.append(("second", item))
            if item == "added":
                first.add(time.monotonic_ns(), "last")
            if item == "b":
                first.add(0, "late")
                done.set()

        first = timers.alarm(MS, ring_first)
        second = timers.alarm(MS, ring_second)
        due_ns = time.monotonic_ns() + 3 * MS
        second.add(due_ns + 5 * MS, "b")
        first.add(due_ns, "a")
        first.add(due_ns, "removed")
        first.remove(due_ns, "removed")
        async with asyncio.timeout(10):
            await done.wait()
            while not {("first", "late"), ("first", "last")} <= set(rung):  # a late loop may swap them
                await asyncio.sleep(0)
        return rung

    rung = asyncio.run(scenario())
    assert rung.index(("first", "a")) < rung.index(("second", "added"))
    assert sorted(rung) == sorted(
        [("first", "a"), ("second", "added"), ("first", "last"), ("second", "b"), ("first", "late")]
    )


def test_one_that_fails_does_not_stop_the_others() -> None:
    async def scenario() -> None:
        rung = asyncio.Event()
        timers = Timers()

        def fail(_item: str, _now_ns: int) -> None:
            raise ValueError

        def ring(_item: str, _now_ns: int) -> None:
            rung.set()

        failing, other = timers.alarm(MS, fail), timers.alarm(MS, ring)
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        failing.add(0, "x")
        other.add(time.monotonic_ns() + 3 * MS, "y")
        async with asyncio.timeout(10):
            await rung.wait()

    asyncio.run(scenario())
