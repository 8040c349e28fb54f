"""When something falls due, for any number of tunnels and with one timer. Pure."""

import heapq
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Wheel(Generic[Item]):
    """Items by the time they fall due, in buckets of ``grain_ns``: never early, at most a grain late.

    Adding and removing take constant time; the heap holds buckets, not items.
    """

    def __init__(self, grain_ns: int) -> None:
        self._grain_ns = grain_ns
        self._buckets: dict[int, set[Item]] = {}
        self._order: list[int] = []

    def add(self, due_ns: int, item: Item) -> None:
        """Note that ``item`` falls due then."""
        number = -(-due_ns // self._grain_ns)
        bucket = self._buckets.get(number)
        if bucket is None:
            self._buckets[number] = {item}
            heapq.heappush(self._order, number)
        else:
            bucket.add(item)

    def remove(self, due_ns: int, item: Item) -> None:
        """Forget an item, given the time it was added with. Nothing happens if it is gone already."""
        bucket = self._buckets.get(-(-due_ns // self._grain_ns))
        if bucket is not None:
            bucket.discard(item)

    def next_ns(self) -> int | None:
        """When to call :meth:`take_due` next."""
        return self._order[0] * self._grain_ns if self._order else None

    def take_due(self, now_ns: int) -> list[Item]:
        """The items due by now, which are no longer in the wheel."""
        due: list[Item] = []
        while self._order and self._order[0] * self._grain_ns <= now_ns:
            due.extend(self._buckets.pop(heapq.heappop(self._order)))
        return due
