"""The managed HAProxy with each release that is installed, and a backend of a few lines."""

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.ports import ports_in_a_row
from wsload.errors import FolderError, HaproxyError
from wsload.haproxy.config import Route
from wsload.haproxy.log import LogReceiver
from wsload.haproxy.process import HaproxyFleet, check_config, version
from wsload.haproxy.stats import sample
from wsload.profile.model import DEFAULT_TIMEOUTS_NS, Haproxy
from wsload.record.layout import HAPROXY_STATS_COLUMNS
from wsload.units import NS_PER_MS, NS_PER_S

pytestmark = pytest.mark.e2e

"""The distribution's, and any others named in the environment."""

HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\npage\n"


@pytest.fixture(params=BINARIES, ids=[Path(name).name for name in BINARIES])
def binary(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def settings(
    binary: str, *, port: int | None = None, maxconn: int = 100, processes: int = 1, **timeouts_ns: int
) -> Haproxy:
    timeouts = DEFAULT_TIMEOUTS_NS | timeouts_ns
    return Haproxy(binary=binary, port=port, maxconn=maxconn, processes=processes, timeouts_ns=timeouts)


class Backend:
    """Answers the WebSocket path by switching, anything else with a page; remembers who called."""

    def __init__(self) -> None:
        self.peers: list[str] = []
        self.servers: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            self.peers.append(writer.get_extra_info("peername")[0])
            writer.write(SWITCHING if b"pgrade: " in request else PAGE)
            while data := await reader.read(100):
                writer.write(data)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    serving = Backend()
    server = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
    serving.servers = ["{}:{}".format(*server.sockets[0].getsockname())]
    try:
        yield serving
    finally:
        server.close()


@asynccontextmanager
async def running(
    haproxy: Haproxy, folder: Path, log_address: str | None = None
) -> AsyncIterator[tuple[HaproxyFleet, Backend]]:
    async with backend() as serving:
        fleet = await HaproxyFleet.start(haproxy, serving.servers, folder, "/ws", log_address)
        try:
            yield fleet, serving
        finally:
            await fleet.stop()


class Client:
    """A connection that has sent one request; ``head`` is the answer's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes) -> None:
        self.reader, self.writer, self.head = reader, writer, head

    @classmethod
    async def ask(cls, endpoint: tuple[str, int], request: bytes) -> "Client":
        reader, writer = await asyncio.open_connection(*endpoint)
        writer.write(request)
        return cls(reader, writer, await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not happened():
            await asyncio.sleep(0.01)


def go(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def test_upgrades_on_the_path_become_tunnels_and_all_else_pages(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(binary), tmp_path) as (fleet, _):
            tunnel = await Client.ask(fleet.endpoints[0], HANDSHAKE % b"/ws?token=1")
            assert b" 101 " in tunnel.head
            tunnel.writer.write(b"echo")
            assert await asyncio.wait_for(tunnel.reader.readexactly(4), 5) == b"echo"
            page = await Client.ask(fleet.endpoints[0], b"GET /ws HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in page.head
            elsewhere = await Client.ask(fleet.endpoints[0], HANDSHAKE % b"/elsewhere")
            stat = {(row["pxname"], row["svname"]): row for row in await fleet.processes[0].stats.stat()}
            assert stat["tunnels", "tunnel1"]["stot"] == "1"
            assert stat["pages", "page1"]["stot"] == "2"
            for client in (tunnel, page, elsewhere):
                await client.close()

    go(scenario)


def test_the_written_configuration_passes_haproxys_own_check(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        every = dict.fromkeys(
            ("client-fin", "server-fin", "queue", "http-request", "http-keep-alive"), NS_PER_S
        )
        async with running(
            settings(binary, **every, **{"hard-stop-after": NS_PER_S}), tmp_path, "127.0.0.1:9"
        ):
            check_config(binary, tmp_path / "haproxy.cfg")

    go(scenario)


def test_a_stats_row_has_every_column_and_counts_the_slots(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(binary, processes=2), tmp_path) as (fleet, _):
            tunnel = await Client.ask(fleet.endpoints[1], HANDSHAKE % b"/ws")
            rows = await sample(fleet, 1.5)
            assert [tuple(row) for row in rows] == [HAPROXY_STATS_COLUMNS] * 2
            assert [row["pid"] for row in rows] == fleet.pids
            assert [(row["slots"], row["curr_conns"], row["maxconn"]) for row in rows] == [
                (0, 0, 100),
                (1, 1, 100),
            ]
            assert {row["version"] for row in rows} == {version(binary)} == {fleet.version}
            assert all(
                row["rss_bytes"] > 1e6 and row["cpu_s"] >= 0 and row["pool_used_mb"] > 0 for row in rows
            )
            await tunnel.close()

    go(scenario)


def test_several_processes_have_ports_files_and_source_addresses_of_their_own(
    binary: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        port = ports_in_a_row(2)
        async with running(settings(binary, port=port, processes=2), tmp_path) as (fleet, serving):
            assert fleet.endpoints == [("127.0.0.1", port), ("127.0.0.1", port + 1)]
            for endpoint in fleet.endpoints:
                await (await Client.ask(endpoint, HANDSHAKE % b"/ws")).close()
            assert serving.peers == ["127.0.1.1", "127.0.1.2"]
            assert sorted(path.name for path in tmp_path.iterdir()) == ["haproxy-2.cfg", "haproxy.cfg"]

    go(scenario)


def test_every_process_and_thread_keeps_to_the_cores_it_is_given(binary: str, tmp_path: Path) -> None:
    core = max(os.sched_getaffinity(0))

    async def scenario() -> None:
        haproxy = Haproxy(binary=binary, processes=2, threads=2, maxconn=50)
        fleet = await HaproxyFleet.start(haproxy, ["127.0.0.1:9"], tmp_path, "/ws", cores=[core])
        try:
            threads = [thread.id for pid in fleet.pids for thread in psutil.Process(pid).threads()]
            assert len(threads) >= 4
            assert all(os.sched_getaffinity(thread) == {core} for thread in threads)
        finally:
            await fleet.stop()

    go(scenario)


def test_servers_beyond_loopback_are_not_given_a_loopback_source(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        fleet = await HaproxyFleet.start(settings(binary, processes=2), ["192.0.2.1:80"], tmp_path, "/ws")
        await fleet.stop()

    go(scenario)
    assert " source " not in (tmp_path / "haproxy-2.cfg").read_text()


def test_a_tunnel_cut_by_its_timeout_is_logged_as_json_at_its_end(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        haproxy = settings(binary, tunnel=300 * NS_PER_MS)
        async with running(haproxy, tmp_path, receiver.address) as (fleet, _):
            tunnel = await Client.ask(fleet.endpoints[0], HANDSHAKE % b'/ws?"quoted"\\')
            local_port = tunnel.writer.get_extra_info("sockname")[1]
            assert await asyncio.wait_for(tunnel.reader.read(), 5) == b""
            await until(lambda: receiver.lines > 0)
            await tunnel.close()
            line = json.loads(path.read_text().splitlines()[0])
            assert line["ts"] == "cD--"
            assert line["st"] == 101
            assert line["Tt"] >= 300
            assert (line["cp"], line["b"], line["s"]) == (local_port, "tunnels", "tunnel1")
            assert line["r"] == '/ws?"quoted"\\'
            release = tuple(int(part) for part in fleet.version.split(".")[:2])
            assert ("fc_err" in line, "term_events" in line) == (release >= (3, 0), release >= (3, 2))

    path, receiver = tmp_path / "log.jsonl", LogReceiver()
    receiver.start(path)
    try:
        go(scenario)
    finally:
        receiver.stop()
    assert (receiver.lines, receiver.error) == (1, None)


def test_two_routes_of_one_process_have_timers_logs_and_figures_of_their_own(
    binary: str, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with backend() as serving:
            routes = [
                Route(
                    haproxy=settings(binary, tunnel=tunnel_ms * NS_PER_MS, maxconn=maxconn),
                    servers=tuple(serving.servers),
                    path="/ws",
                    log_address=log.address,
                )
                for tunnel_ms, maxconn, log in zip((300, 30_000), (10, 20), logs, strict=True)
            ]
            fleet = await HaproxyFleet.start_routes(routes[0].haproxy, routes, tmp_path)
            try:
                brief, long = [
                    await Client.ask(fleet.endpoints_of(route)[0], HANDSHAKE % b"/ws") for route in (0, 1)
                ]
                assert await asyncio.wait_for(brief.reader.read(), 5) == b""
                await until(lambda: logs[0].lines > 0)
                rows = [(await sample(fleet, 1.0, route))[0] for route in (0, 1)]
                assert [(row["slots"], row["curr_conns"], row["cum_conns"]) for row in rows] == [
                    (0, 0, 1),
                    (1, 1, 1),
                ]
                assert [row["maxconn"] for row in rows] == [10, 20]
                info = await fleet.processes[0].stats.info()
                assert info["Maxconn"] == "30"
                await brief.close()
                await long.close()
                await until(lambda: logs[1].lines > 0)
            finally:
                await fleet.stop()

    logs = [LogReceiver(), LogReceiver()]
    for number, log in enumerate(logs):
        log.start(tmp_path / f"log-{number}.jsonl")
    try:
        go(scenario)
    finally:
        for log in logs:
            log.stop()
    assert [log.lines for log in logs] == [1, 1]
    ended = [json.loads((tmp_path / f"log-{number}.jsonl").read_text().splitlines()[0]) for number in (0, 1)]
    assert [(line["f"], line["b"], line["ts"]) for line in ended] == [
        ("clients-1", "tunnels-1", "cD--"),
        ("clients-2", "tunnels-2", "----"),
    ]


def test_requests_that_never_became_one_are_logged_as_json_too(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        haproxy = settings(binary, **{"http-request": 200 * NS_PER_MS})
        async with running(haproxy, tmp_path, receiver.address) as (fleet, _):
            for request in (b"not http at all\r\n\r\n", b"GET /ws HTTP/1.1\r\nHost: x\r\nConn"):
                await (await Client.ask(fleet.endpoints[0], request)).close()
            await until(lambda: receiver.lines >= 2)

    path, receiver = tmp_path / "log.jsonl", LogReceiver()
    receiver.start(path)
    try:
        go(scenario)
    finally:
        receiver.stop()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["ts"], line["st"]) for line in lines if "ts" in line] == [("PR--", 400), ("cR--", 408)]


def test_a_rejected_configuration_comes_with_haproxys_own_words(binary: str, tmp_path: Path) -> None:
    haproxy = settings(binary, tunnel=25 * 86400 * NS_PER_S)
    with pytest.raises(HaproxyError, match=r"haproxy\.cfg: HAProxy rejects it: .*timer overflow.*24\.8 days"):
        asyncio.run(HaproxyFleet.start(haproxy, ["127.0.0.1:9"], tmp_path, "/ws"))


def test_too_many_connections_for_the_descriptor_limit_are_refused_with_a_remedy(
    binary: str, tmp_path: Path
) -> None:
    # Root may raise its limits, so root's capability to do so is taken away.
    unprivileged = "setpriv --bounding-set=-sys_resource" if os.geteuid() == 0 else ""
    limited = tmp_path / "limited"
    limited.write_text(f'#!/bin/sh\nulimit -n 500\nexec {unprivileged} {shutil.which(binary)} "$@"\n')
    limited.chmod(0o755)
    with pytest.raises(HaproxyError, match=r"Cannot raise FD limit to .*, limit is 500") as caught:
        asyncio.run(
            HaproxyFleet.start(settings(str(limited), maxconn=1000), ["127.0.0.1:9"], tmp_path, "/ws")
        )
    assert "haproxy.processes" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_taken_port_is_named_and_nothing_is_left_running(binary: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HaproxyError, match=rf"haproxy\.port: {port} is taken.*--set haproxy\.port=auto"):
            asyncio.run(HaproxyFleet.start(settings(binary, port=port), ["127.0.0.1:9"], tmp_path, "/ws"))
    assert not haproxys_of_this_test(tmp_path)


def test_two_haproxys_never_share_a_port_silently(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(binary), tmp_path) as (fleet, serving):
            port = fleet.endpoints[0][1]
            with pytest.raises(HaproxyError, match=f"{port} is taken"):
                await HaproxyFleet.start(settings(binary, port=port), serving.servers, tmp_path, "/ws")

    go(scenario)


def test_a_free_port_that_is_taken_meanwhile_is_replaced(
    binary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        free = ports_in_a_row()
        answers = iter([[taken.getsockname()[1]], [free]])
        monkeypatch.setattr("wsload.haproxy.process.free_ports", lambda count: next(answers))

        async def scenario() -> None:
            async with running(settings(binary), tmp_path) as (fleet, _):
                assert fleet.endpoints == [("127.0.0.1", free)]

        go(scenario)


def test_a_haproxy_that_is_killed_is_noticed_and_gives_no_row(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(binary, processes=2), tmp_path) as (fleet, _):
            assert fleet.dead() == []
            os.kill(fleet.pids[0], signal.SIGKILL)
            await until(lambda: bool(fleet.dead()))
            assert fleet.dead() == [(0, fleet.pids[0], -signal.SIGKILL)]
            assert [row["process"] for row in await sample(fleet, 1.0)] == [1]
            await fleet.stop()
            assert fleet.dead() == [(0, fleet.pids[0], -signal.SIGKILL)]  # the other was asked to end

    go(scenario)


def test_stopping_ends_them_though_a_tunnel_is_open_and_may_be_repeated(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(binary, processes=2), tmp_path) as (fleet, _):
            tunnel = await Client.ask(fleet.endpoints[0], HANDSHAKE % b"/ws")
            await fleet.stop()
            assert not any(psutil.pid_exists(pid) for pid in fleet.pids)
            assert "clients" in fleet.stderr_text()  # "Proxy clients stopped"
            assert fleet.dead() == []
            await fleet.stop()
            await tunnel.close()

    go(scenario)
    assert not haproxys_of_this_test(tmp_path)


def test_a_stopped_process_is_killed_by_force(binary: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(settings(binary), tmp_path) as (fleet, _):
            os.kill(fleet.pids[0], signal.SIGSTOP)
            await fleet.stop()
            assert not psutil.pid_exists(fleet.pids[0])

    go(scenario)


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"gone/haproxy\.cfg: cannot be written"):
        asyncio.run(HaproxyFleet.start(settings("haproxy"), ["127.0.0.1:9"], tmp_path / "gone", "/ws"))


def haproxys_of_this_test(folder: Path) -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [child for child in children if any(str(folder) in part for part in child.cmdline())]
