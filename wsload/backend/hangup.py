"""Half-closed connections that are kept open, watched for their end.

Past a FIN uvloop no longer reads, and so would never learn that the peer has reset the connection.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class HangupWatch(Generic[Item]):
    """Calls ``gone(item)`` once when an item's connection is reset. Use it from within the running loop."""

    def __init__(self, gone: Callable[[Item], object]) -> None:
        self._gone = gone
        self._items: dict[int, Item] = {}
        self._epoll = select.epoll()
        asyncio.get_running_loop().add_reader(self._epoll.fileno(), self._look)

    def add(self, fd: int, item: Item) -> None:
        """Watch the socket ``fd`` until :meth:`remove`."""
        self._items[fd] = item
        # No event is asked for: EPOLLERR and EPOLLHUP are always told, and a FIN alone is neither.
        self._epoll.register(fd, 0)

    def remove(self, fd: int) -> None:
        """Forget a socket, which must still be open."""
        if self._items.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def _look(self) -> None:
        for fd, _ in self._epoll.poll(0):
            self._gone(self._items[fd])
