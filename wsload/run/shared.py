"""One HAProxy process for several runs at once, each on a route of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection
from pathlib import Path

from wsload.haproxy.config import Route
from wsload.haproxy.process import HaproxyFleet


class SharedHaproxy:
    """Starts when each of the runs has come or is known not to. Made by :func:`sharing_haproxy`.

    Its configuration has to name every run's backend and log, so no run's part can start before the last.
    """

    def __init__(self, runs: Collection[str]) -> None:
        """``runs`` are their names, each used once, in the order in which they stand in the configuration."""
        self._order, self._awaited = tuple(runs), set(runs)
        self._routes: dict[str, Route] = {}
        self._all_here = asyncio.Event()
        self._starting: asyncio.Task[HaproxyFleet] | None = None
        self._folder: Path | None = None

    async def enter(self, run: str, route: Route, folder: Path) -> tuple[HaproxyFleet, int]:
        """Wait for the others; the process, and the number of this run's route in it.

        ``folder`` is the run's; the configuration is written to that of who comes first. Raises as
        :meth:`HaproxyFleet.start` does, the same to all.
        """
        self._routes[run] = route
        self._folder = self._folder or folder
        self.will_not_come(run)
        await self._all_here.wait()
        assert self._starting is not None
        fleet = await asyncio.shield(self._starting)  # who is cancelled does not take it from the others
        return fleet, list(self._routes).index(run)

    def will_not_come(self, run: str) -> None:
        """No longer wait for this run; nothing happens if it has come."""
        self._awaited.discard(run)
        if not self._awaited and not self._all_here.is_set():
            self._all_here.set()
            if self._folder is not None:
                self._routes = {name: self._routes[name] for name in self._order if name in self._routes}
                routes = list(self._routes.values())
                start = HaproxyFleet.start_routes(routes[0].haproxy, routes, self._folder)
                self._starting = asyncio.create_task(start)

    async def stop(self) -> None:
        """End the process, started or about to be."""
        if self._starting is None:
            return
        self._starting.cancel()  # nothing, if it is done
        await asyncio.wait([self._starting])
        if not self._starting.cancelled() and self._starting.exception() is None:
            await self._starting.result().stop()


@contextlib.asynccontextmanager
async def sharing_haproxy(runs: Collection[str]) -> AsyncIterator[SharedHaproxy]:
    """One for these runs; it has ended when the context is left."""
    shared = SharedHaproxy(runs)
    try:
        yield shared
    finally:
        await shared.stop()
