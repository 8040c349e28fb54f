"""Runs that wait for each other before their one HAProxy starts."""

import asyncio
from pathlib import Path

import psutil
import pytest

from wsload.errors import HaproxyError
from wsload.haproxy.config import Route
from wsload.profile.model import DEFAULT_TIMEOUTS_NS, Haproxy
from wsload.run.shared import SharedHaproxy, sharing_haproxy

pytestmark = pytest.mark.e2e


def route(**changes: object) -> Route:
    haproxy = Haproxy(maxconn=50, timeouts_ns=DEFAULT_TIMEOUTS_NS)
    arguments: dict[str, object] = {"haproxy": haproxy, "servers": ("127.0.0.1:9",), "path": "/ws"}
    return Route(**(arguments | changes))  # type: ignore[arg-type]


def test_it_starts_once_all_have_come_and_its_routes_are_in_their_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sharing_haproxy(["a", "b"]) as shared:
            second = asyncio.create_task(shared.enter("b", route(label="b"), tmp_path))
            await asyncio.sleep(0)
            assert not second.done()
            fleet, number = await shared.enter("a", route(label="a"), tmp_path)
            assert (await second) == (fleet, 1)
            assert number == 0
            assert [each.label for each in fleet.routes] == ["a", "b"]
            (pid,) = fleet.pids
        assert not psutil.pid_exists(pid)

    asyncio.run(scenario())


def test_who_will_not_come_is_not_waited_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sharing_haproxy(["a", "b"]) as shared:
            waiting = asyncio.create_task(shared.enter("a", route(), tmp_path))
            await asyncio.sleep(0)
            shared.will_not_come("b")
            fleet, number = await waiting
            assert (number, len(fleet.routes)) == (0, 1)

    asyncio.run(scenario())


def test_who_is_cancelled_does_not_take_it_from_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sharing_haproxy(["a", "b"]) as shared:
            first = asyncio.create_task(shared.enter("a", route(), tmp_path))
            second = asyncio.create_task(shared.enter("b", route(), tmp_path))
            await asyncio.sleep(0)
            first.cancel()
            fleet, _ = await second
            assert fleet.dead() == []

    asyncio.run(scenario())


def test_a_configuration_that_haproxy_rejects_is_told_to_all(tmp_path: Path) -> None:
    async def refused(shared: SharedHaproxy, name: str) -> None:
        wrong = Haproxy(maxconn=50, threads=9999, timeouts_ns=DEFAULT_TIMEOUTS_NS)
        with pytest.raises(HaproxyError, match="HAProxy rejects it"):
            await shared.enter(name, route(haproxy=wrong), tmp_path)

    async def scenario() -> None:
        async with sharing_haproxy(["a", "b"]) as shared:
            await asyncio.gather(refused(shared, "a"), refused(shared, "b"))

    asyncio.run(scenario())


def test_it_is_never_started_where_nobody_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with sharing_haproxy(["a", "b"]) as shared:
            shared.will_not_come("a")
            shared.will_not_come("b")

    asyncio.run(scenario())
    assert list(tmp_path.iterdir()) == []
