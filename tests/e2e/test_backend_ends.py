"""How a misbehaving backend ends tunnels: what the client sees, HAProxy logs and the backend itself records.

Each case is played without HAProxy and with each HAProxy there is, all at once: most of each is waiting.
The expected termination states are those of haproxy-facts.md, section 2.
"""

import asyncio
import shutil
import socket
import struct
import time
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import msgspec
import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.test_haproxy_process import HANDSHAKE
from wsload.backend.messages import Report
from wsload.backend.process import EmbeddedBackend
from wsload.haproxy.log import LogReceiver
from wsload.haproxy.process import HaproxyFleet
from wsload.profile.model import DEFAULT_TIMEOUTS_NS, Backend, EndsWith, Haproxy, Reply
from wsload.record.backend_log import BackendEnd, BackendWire, EndedBy, Kind
from wsload.units import NS_PER_MS, NS_PER_S

pytestmark = pytest.mark.e2e

MS = NS_PER_MS
DIRECT = "direct"
LINGER_0 = struct.pack("ii", 1, 0)
PATIENCE_S = 20.0
SILENCE_S = 0.7
"""How long a client waits for a backend of which nothing is to come."""

CASES_AT_ONCE = 6

Record = tuple[Kind, EndedBy, BackendWire, int | None]
"""Kind, who, what, and close code or status."""

BACKEND, PEER = EndedBy.BACKEND, EndedBy.PEER


@dataclass
class Case:
    """A backend, and what comes of one tunnel through it."""

    backend: Backend
    record: Record
    seen: str = "fin"
    """By the client: how it ended, or the status it was refused with; ``silence`` where nothing came."""
    data: bytes = b""
    state: str = "----"
    """HAProxy's termination state."""
    direct_seen: str = ""
    """Where that differs without HAProxy."""
    client_fin: bool = False
    """Whether the client shuts its write side at once."""
    tunnel_timeout_ns: int = 30 * NS_PER_S
    wire_from_3_2: BackendWire | None = None
    """What the backend sees of a newer HAProxy, if that differs."""


def ends(how: EndsWith) -> Backend:
    return Backend(ends_after_ns=200 * MS, ends_with=how)


CASES = {
    "a close frame with a code": Case(
        Backend(ends_after_ns=200 * MS, close_code=4001),
        (Kind.TUNNEL, BACKEND, BackendWire.CLOSE, 4001),
        data=b"\x88\x02\x0f\xa1",
    ),
    "fin without a close frame": Case(
        ends(EndsWith.FIN),
        (Kind.TUNNEL, BACKEND, BackendWire.FIN, None),
    ),
    "rst": Case(
        ends(EndsWith.RST),
        (Kind.TUNNEL, BACKEND, BackendWire.RST, None),
        state="SD--",
        direct_seen="rst",
    ),
    "half-open": Case(
        ends(EndsWith.HALF_OPEN),
        (Kind.TUNNEL, BACKEND, BackendWire.HALF_OPEN, None),
    ),
    "idle close": Case(
        Backend(idle_close_ns=200 * MS),
        (Kind.TUNNEL, BACKEND, BackendWire.IDLE_CLOSE, 1001),
        data=b"\x88\x0e\x03\xe9idle timeout",
    ),
    "the client's fin": Case(
        Backend(),
        (Kind.TUNNEL, PEER, BackendWire.FIN, None),
        client_fin=True,
    ),
    "the client's fin ignored": Case(
        Backend(ignore_fin=True),
        (Kind.TUNNEL, PEER, BackendWire.RST, None),
        state="sD--",  # 2.6: timeout server-fin; from 3.0 on: timeout tunnel
        client_fin=True,
        tunnel_timeout_ns=1000 * MS,
        direct_seen="silence",
    ),
    "timeout tunnel": Case(
        Backend(),
        (Kind.TUNNEL, PEER, BackendWire.RST, None),
        state="cD--",
        tunnel_timeout_ns=500 * MS,
        direct_seen="silence",
        wire_from_3_2=BackendWire.FIN,
    ),
    "refused with 503": Case(
        Backend(refuse_share=1),
        (Kind.REFUSED, BACKEND, BackendWire.FIN, 503),
        seen="503",
    ),
    "refused with 404": Case(
        Backend(refuse_share=1, refuse_status=404),
        (Kind.REFUSED, BACKEND, BackendWire.FIN, 404),
        seen="404",
    ),
    "a missing 101": Case(
        Backend(upgrade_missing_share=1),
        (Kind.UNANSWERED, PEER, BackendWire.RST, None),
        seen="504",
        state="sH--",
        direct_seen="silence",
    ),
    "a 101 later than timeout server": Case(
        Backend(upgrade_delay_ns=60 * NS_PER_S),
        (Kind.UNANSWERED, PEER, BackendWire.RST, None),
        seen="504",
        state="sH--",
        direct_seen="silence",
    ),
}


@dataclass
class Seen:
    """By the client; ``line`` is HAProxy's, where there is one."""

    how: str
    data: bytes
    port: int
    line: dict[str, object] | None = None


@dataclass
class Outcome:
    """What one backend did to one tunnel on each way to it."""

    seen: dict[str, Seen]
    records: dict[int, BackendEnd]
    """By the peer's port."""
    report: Report


async def be_client(ip: str, port: int, case: Case, patience_s: float = PATIENCE_S) -> Seen:
    reader, writer = await asyncio.open_connection(ip, port)
    sock: socket.socket = writer.get_extra_info("socket")
    local_port: int = sock.getsockname()[1]
    writer.write(HANDSHAKE % b"/ws")
    data = b""
    try:
        async with asyncio.timeout(patience_s):
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head:
                return Seen(head.split()[1].decode(), b"", local_port)
            if case.client_fin:
                writer.write_eof()
            while piece := await reader.read(1000):
                data += piece
            return Seen("fin", data, local_port)
    except ConnectionResetError:
        return Seen("rst", data, local_port)
    except TimeoutError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        return Seen("silence", data, local_port)
    finally:
        writer.close()


async def through_haproxy(binary: str, case: Case, servers: list[str], folder: Path) -> Seen:
    log_path = folder / "haproxy-log.jsonl"
    timeouts_ns = {
        **DEFAULT_TIMEOUTS_NS,
        "server": 300 * MS,
        "server-fin": 500 * MS,
        "tunnel": case.tunnel_timeout_ns,
    }
    log = LogReceiver()
    log.start(log_path)
    try:
        haproxy = Haproxy(binary=binary, maxconn=10, timeouts_ns=timeouts_ns)
        fleet = await HaproxyFleet.start(haproxy, servers, folder, "/ws", log.address)
        try:
            seen = await be_client(*fleet.endpoints[0], case)
        finally:
            await fleet.stop()
    finally:
        log.stop()
    [line] = (line for line in log_path.read_bytes().splitlines() if b'"raw"' not in line)
    seen.line = msgspec.json.decode(line, type=dict[str, object])
    return seen


async def play(case: Case, folder: Path, gate: asyncio.Semaphore) -> Outcome:
    async with gate:
        return await play_now(case, folder)


async def play_now(case: Case, folder: Path) -> Outcome:
    backend = await EmbeddedBackend.start(case.backend, log_path=folder / "backend.jsonl")
    try:
        ip, _, port = backend.addresses[0].rpartition(":")
        patience_s = SILENCE_S if case.direct_seen == "silence" else PATIENCE_S
        ways = {DIRECT: be_client(ip, int(port), case, patience_s)}
        for name in installed():
            (folder / Path(name).name).mkdir()
            ways[name] = through_haproxy(name, case, backend.addresses, folder / Path(name).name)
        seen = dict(zip(ways, await asyncio.gather(*ways.values()), strict=True))
        async with asyncio.timeout(10):
            while (await backend.reports())[0].connections:
                await asyncio.sleep(0.02)
    finally:
        await backend.stop()
    ended = {end.port: end for end in records(folder / "backend.jsonl")}
    return Outcome(seen, ended, backend.last_reports[0])


def installed() -> list[str]:
    return [name for name in BINARIES if shutil.which(name) is not None]


def records(path: Path) -> list[BackendEnd]:
    return [msgspec.json.decode(line, type=BackendEnd) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What all cases came to."""

    async def play_all() -> list[Outcome]:
        gate = asyncio.Semaphore(CASES_AT_ONCE)
        folders = (tmp_path_factory.mktemp("case") for _ in CASES)
        return await asyncio.gather(*map(play, CASES.values(), folders, repeat(gate)))

    return dict(zip(CASES, asyncio.run(play_all()), strict=True))


@pytest.mark.parametrize("way", [DIRECT, *BINARIES], ids=lambda way: Path(way).name)
@pytest.mark.parametrize("name", CASES)
def test_an_ending_is_seen_logged_and_recorded_as_what_it_was(
    outcomes: dict[str, Outcome], name: str, way: str
) -> None:
    case, outcome = CASES[name], outcomes[name]
    if way not in outcome.seen:
        pytest.skip(f"{way} is not installed")
    seen = outcome.seen[way]
    assert seen.how == (case.direct_seen if way == DIRECT and case.direct_seen else case.seen)
    assert seen.data == case.data
    port = seen.port
    if seen.line is not None:
        assert seen.line["ts"] == case.state
        assert seen.line["bi"] == "127.0.0.1"
        port = int(str(seen.line["bp"]))
    end = outcome.records[port]
    kind, ended_by, wire, detail = case.record
    assert (end.kind, end.ended_by, end.close_code or end.status) == (kind, ended_by, detail)
    assert end.wire in (wire, case.wire_from_3_2)
    assert (end.peer_fin_ns is not None) == case.backend.ignore_fin
    assert end.ip == "127.0.0.1"
    assert end.opened_ns <= end.ended_ns <= time.monotonic_ns()


def test_each_tunnel_and_each_refused_or_unanswered_request_is_one_line(outcomes: dict[str, Outcome]) -> None:
    ways = 1 + len(installed())
    assert {outcome.report.log_lines for outcome in outcomes.values()} == {ways}
    assert {len(outcome.records) for outcome in outcomes.values()} == {ways}
    names = ("rst", "idle close", "refused with 404", "a missing 101")
    reports = [outcomes[name].report for name in names]
    assert [report.timed_ends for report in reports] == [ways, 0, 0, 0]
    assert [report.idle_closed for report in reports] == [0, ways, 0, 0]
    assert [report.refused for report in reports] == [0, 0, ways, 0]
    assert [report.unanswered for report in reports] == [0, 0, 0, ways]


def test_no_tunnel_is_ended_before_its_time(outcomes: dict[str, Outcome]) -> None:
    for name in ("a close frame with a code", "fin without a close frame", "rst", "half-open", "idle close"):
        for end in outcomes[name].records.values():
            assert end.ended_ns - end.opened_ns >= 200 * MS
            assert 200 * MS - 1000 <= end.idle_rx_ns == end.idle_tx_ns


def test_a_held_back_101_comes_and_the_tunnel_works(tmp_path: Path) -> None:
    async def scenario() -> None:
        backend = await EmbeddedBackend.start(Backend(upgrade_delay_ns=200 * MS))
        try:
            ip, _, port = backend.addresses[0].rpartition(":")
            reader, writer = await asyncio.open_connection(ip, int(port))
            asked_ns = time.monotonic_ns()
            writer.write(HANDSHAKE % b"/ws" + b"\x82\x81\0\0\0\0x")
            assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            assert time.monotonic_ns() - asked_ns >= 200 * MS
            assert await asyncio.wait_for(reader.readexactly(3), 10) == b"\x82\x01x"
            writer.close()
        finally:
            await backend.stop()

    asyncio.run(scenario())


def test_a_backend_that_ignores_fin_goes_on_pushing(tmp_path: Path) -> None:
    path = tmp_path / "backend.jsonl"
    settings = Backend(reply=Reply.PUSH, push_rate_per_s=50, ignore_fin=True)

    async def scenario() -> None:
        backend = await EmbeddedBackend.start(settings, log_path=path)
        try:
            ip, _, port = backend.addresses[0].rpartition(":")
            reader, writer = await asyncio.open_connection(ip, int(port))
            writer.write(HANDSHAKE % b"/ws")
            await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            writer.write_eof()
            await asyncio.wait_for(reader.readexactly(66 * 20), 10)
            assert (await backend.reports())[0].tunnels == 1
            writer.close()
            async with asyncio.timeout(10):
                while (await backend.reports())[0].connections:
                    await asyncio.sleep(0.02)
        finally:
            await backend.stop()

    asyncio.run(scenario())
    [end] = records(path)
    assert (end.ended_by, end.wire) == (PEER, BackendWire.RST)
    assert end.peer_fin_ns is not None
    assert end.idle_tx_ns < end.ended_ns - end.peer_fin_ns
