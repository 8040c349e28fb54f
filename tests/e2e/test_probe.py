"""``wsload probe`` against real servers: the embedded backend, HAProxy, `websockets`, and odd ones."""

import asyncio
import json
import logging
import os
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.e2e.ports import ports_in_a_row
from tests.probe.device import Cut, device
from wsload.backend.process import EmbeddedBackend
from wsload.errors import ExitCode
from wsload.haproxy.process import HaproxyFleet
from wsload.probe.check import Check, Status
from wsload.probe.idle_finding import Verdict
from wsload.probe.idle_plan import Fate
from wsload.probe.result import ProbeResult
from wsload.probe.session import probe
from wsload.probe.target import parse_target
from wsload.profile.model import DEFAULT_TIMEOUTS_NS, Backend, Haproxy
from wsload.units import NS_PER_MS, NS_PER_S
from wsload.wire.handshake import accept_value

pytestmark = pytest.mark.e2e

TIMEOUT_NS = NS_PER_S
CHECKS = ["name", "tcp", "upgrade", "http", "ping", "echo", "close"]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """`websockets` logs every handshake that is odd on purpose here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def probed(
    url: str, *, bound_s: float | None = None, timeout_ns: int = TIMEOUT_NS, verify: bool = True
) -> ProbeResult:
    target = parse_target(url, timeout_ns=timeout_ns, verify=verify)
    return await probe(target, None if bound_s is None else int(bound_s * NS_PER_S), lambda check: None)


def by_name(result: ProbeResult) -> dict[str, Check]:
    return {check.name: check for check in result.checks}


def failed(result: ProbeResult) -> list[str]:
    return [check.name for check in result.checks if check.status is Status.FAILED]


@asynccontextmanager
async def backend(**settings: int) -> AsyncIterator[str]:
    running = await EmbeddedBackend.start(Backend(**settings))  # type: ignore[arg-type]
    try:
        yield running.addresses[0]
    finally:
        await running.stop()


@asynccontextmanager
async def haproxy(servers: list[str], folder: Path, **timeouts_ns: int) -> AsyncIterator[int]:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    settings = Haproxy(maxconn=100, timeouts_ns=DEFAULT_TIMEOUTS_NS | timeouts_ns)
    fleet = await HaproxyFleet.start(settings, servers, folder, "/ws")
    try:
        yield fleet.endpoints[0][1]
    finally:
        await fleet.stop()


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@asynccontextmanager
async def library(**settings: object) -> AsyncIterator[int]:
    async with serve(echo, "127.0.0.1", 0, **settings) as server:  # type: ignore[arg-type]
        yield next(iter(server.sockets)).getsockname()[1]


@asynccontextmanager
async def raw(handler: Handler) -> AsyncIterator[int]:
    async with await asyncio.start_server(handler, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def answers(answer: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    return handler


def test_all_checks_hold_on_the_embedded_backend_and_a_timer_is_not_invented() -> None:
    async def scenario() -> ProbeResult:
        async with backend() as address:
            return await probed(f"ws://{address}/ws", bound_s=1)

    result = asyncio.run(scenario())
    assert [check.name for check in result.checks] == CHECKS
    assert failed(result) == []
    assert by_name(result)["echo"].facts["echo"] is True
    assert by_name(result)["close"].facts["tcp_ended_by_server"] == "fin"
    assert result.finding is not None
    assert result.finding.verdict is Verdict.NONE
    assert result.finding.longest_silence_ns >= NS_PER_S
    assert result.exit_code is ExitCode.PASSED


def test_the_tunnel_timeout_of_a_real_haproxy_is_found_and_named(tmp_path: Path) -> None:
    async def scenario() -> ProbeResult:
        async with backend() as address, haproxy([address], tmp_path, tunnel=1500 * NS_PER_MS) as port:
            return await probed(f"ws://127.0.0.1:{port}/ws", bound_s=4)

    result = asyncio.run(scenario())
    assert failed(result) == []
    finding = result.finding
    assert finding is not None
    assert finding.verdict is Verdict.TIMER
    assert finding.fate is Fate.FIN
    assert finding.timer_ns == pytest.approx(1500 * NS_PER_MS, abs=100 * NS_PER_MS)
    assert finding.survived_ns is not None
    assert finding.died_ns is not None
    assert finding.survived_ns < finding.died_ns
    assert finding.survived_ns <= 1500 * NS_PER_MS
    assert finding.upstream_counts is True
    assert "timeout tunnel 1500ms" in finding.looks_like[0].name
    assert result.exit_code is ExitCode.PASSED


def test_without_a_tunnel_timeout_the_smaller_of_client_and_server_is_found(tmp_path: Path) -> None:
    async def scenario() -> ProbeResult:
        timers = {"client": 1500 * NS_PER_MS, "server": 4 * NS_PER_S, "tunnel": 0}
        async with backend() as address, haproxy([address], tmp_path, **timers) as port:
            return await probed(f"ws://127.0.0.1:{port}/ws", bound_s=3)

    finding = asyncio.run(scenario()).finding
    assert finding is not None
    assert finding.timer_ns == pytest.approx(1500 * NS_PER_MS, abs=100 * NS_PER_MS)
    assert "timeout client and timeout server" in finding.looks_like[0].name


def test_an_idle_close_of_the_server_itself_is_told_from_one_of_the_path() -> None:
    async def scenario() -> ProbeResult:
        async with backend(idle_close_ns=400 * NS_PER_MS) as address:
            return await probed(f"ws://{address}/ws", bound_s=1)

    finding = asyncio.run(scenario()).finding
    assert finding is not None
    assert finding.fate is Fate.CLOSE
    assert finding.timer_ns == pytest.approx(400 * NS_PER_MS, abs=150 * NS_PER_MS)
    assert "server's own" in finding.looks_like[0].name


def test_a_server_of_the_websockets_library_holds_and_says_its_name() -> None:
    async def scenario() -> ProbeResult:
        async with library() as port:
            return await probed(f"ws://localhost:{port}/")

    result = asyncio.run(scenario())
    assert failed(result) == []
    assert "websockets" in by_name(result)["upgrade"].says
    assert by_name(result)["http"].facts["status"] == 426


def test_a_server_that_pings_by_itself_hides_timers_and_the_finding_says_so() -> None:
    async def scenario() -> ProbeResult:
        async with library(ping_interval=0.3) as port:
            return await probed(f"ws://127.0.0.1:{port}/", bound_s=1)

    finding = asyncio.run(scenario()).finding
    assert finding is not None
    assert finding.verdict is Verdict.NONE
    assert finding.longest_silence_ns < 900 * NS_PER_MS


@pytest.mark.parametrize(
    ("cut", "verdict", "fate"),
    [
        (Cut.SILENCE_FORGOTTEN, Verdict.TIMER, Fate.UNANSWERED),
        (Cut.SILENCE_THEN_RST, Verdict.TIMER, Fate.UNANSWERED),
        (Cut.SERVER_SILENCE, Verdict.TIMER, Fate.FIN),
        (Cut.AGE, Verdict.LIFETIME, Fate.FIN),
    ],
)
def test_what_a_device_counts_and_how_it_cuts_is_found_out(cut: Cut, verdict: Verdict, fate: Fate) -> None:
    async def scenario() -> ProbeResult:
        async with library(ping_interval=None) as port, device(port, cut, 0.8) as in_front:
            return await probed(f"ws://127.0.0.1:{in_front}/", bound_s=2, timeout_ns=800 * NS_PER_MS)

    finding = asyncio.run(scenario()).finding
    assert finding is not None
    assert (finding.verdict, finding.fate) == (verdict, fate)
    assert finding.timer_ns is not None
    assert abs(finding.timer_ns - 800 * NS_PER_MS) <= finding.plus_minus_ns + 150 * NS_PER_MS
    if verdict is Verdict.TIMER:
        assert finding.upstream_counts is (cut is not Cut.SERVER_SILENCE)


def test_a_refused_port_fails_at_tcp_and_skips_the_rest() -> None:
    result = asyncio.run(probed(f"ws://127.0.0.1:{ports_in_a_row()}/ws", bound_s=1))
    assert failed(result) == ["tcp"]
    assert "refused" in by_name(result)["tcp"].says
    skipped = [check.name for check in result.checks if check.status is Status.SKIPPED]
    assert skipped == [*CHECKS[2:], "idle"]
    assert result.exit_code is ExitCode.SLO_FAILED


def test_a_503_of_a_haproxy_without_a_server_is_explained(tmp_path: Path) -> None:
    async def scenario() -> ProbeResult:
        async with haproxy([], tmp_path) as port:
            return await probed(f"ws://127.0.0.1:{port}/ws")

    result = asyncio.run(scenario())
    upgrade = by_name(result)["upgrade"]
    assert upgrade.says.startswith("503 Service Unavailable")
    assert "No server is available" in upgrade.says
    assert "the page is HAProxy's own; it came at once, so most likely no server is up" in upgrade.hint
    assert by_name(result)["http"].status is Status.FAILED


def test_a_wrong_accept_value_is_no_upgrade() -> None:
    async def scenario() -> ProbeResult:
        switching = (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        async with raw(answers(switching)) as port:
            return await probed(f"ws://127.0.0.1:{port}/")

    result = asyncio.run(scenario())
    assert failed(result) == ["upgrade", "http"]
    assert "wrong Sec-WebSocket-Accept" in by_name(result)["upgrade"].says
    assert "nobody asked for" in by_name(result)["http"].says


def test_a_plain_http_server_answers_but_does_not_upgrade() -> None:
    async def scenario() -> ProbeResult:
        page = b"HTTP/1.1 200 OK\r\nServer: plain\r\nContent-Length: 14\r\n\r\n<h1>hello</h1>"
        async with raw(answers(page)) as port:
            return await probed(f"ws://127.0.0.1:{port}/")

    result = asyncio.run(scenario())
    assert failed(result) == ["upgrade"]
    assert '"hello" (Server: plain)' in by_name(result)["upgrade"].says
    assert "not routed to the WebSocket backend" in by_name(result)["upgrade"].hint


def test_silence_after_connecting_is_named_as_a_full_frontend() -> None:
    async def scenario() -> ProbeResult:
        async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        async with raw(handler) as port:
            return await probed(f"ws://127.0.0.1:{port}/", timeout_ns=200 * NS_PER_MS)

    result = asyncio.run(scenario())
    assert failed(result) == ["upgrade", "http"]
    assert "maxconn" in by_name(result)["upgrade"].hint


@pytest.mark.parametrize(
    ("answer_close", "says"),
    [(False, "was not answered: FIN without a close frame"), (True, "TCP stayed open")],
)
def test_a_closing_handshake_that_is_cut_short_or_leaves_tcp_open_fails(
    answer_close: bool, says: str
) -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
        if not key:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            writer.close()
            return
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(head + b"Sec-WebSocket-Accept: " + accept_value(key) + b"\r\n\r\n")
        while data := await reader.read(100):
            if data[0] != 0x88:
                continue
            if not answer_close:
                break
            writer.write(b"\x88\x02\x03\xe8")
        writer.close()

    async def scenario() -> ProbeResult:
        async with raw(handler) as port:
            return await probed(f"ws://127.0.0.1:{port}/", timeout_ns=200 * NS_PER_MS)

    result = asyncio.run(scenario())
    assert failed(result) == ["ping", "close"]
    assert says in by_name(result)["close"].says


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "self-signed.pem"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    subprocess.run(
        [*command, "-keyout", str(path), "-out", str(path) + ".crt"], check=True, capture_output=True
    )
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.mark.parametrize("verify", [True, False])
def test_a_self_signed_certificate_fails_unless_insecure_is_said(certificate: Path, verify: bool) -> None:
    async def scenario() -> ProbeResult:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        async with library(ssl=context) as port:
            return await probed(f"wss://localhost:{port}/", verify=verify)

    result = asyncio.run(scenario())
    assert failed(result) == (["tls"] if verify else [])
    assert by_name(result)["tls"].status is (Status.FAILED if verify else Status.INFO)
    assert by_name(result)["close"].status is (Status.SKIPPED if verify else Status.PASSED)


RUN = "from wsload.cli.probe import command; command(prog_name='probe')"


def test_the_command_prints_marks_and_a_verdict() -> None:
    async def scenario() -> tuple[bytes, int | None]:
        async with library() as port:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", RUN, f"ws://127.0.0.1:{port}/", stdout=asyncio.subprocess.PIPE
            )
            return (await process.communicate())[0], process.returncode

    output, status = asyncio.run(scenario())
    lines = output.decode().splitlines()
    assert [line.split()[1] for line in lines if line[0] in "✓-"] == CHECKS
    assert lines[-1] == "all checks hold"
    assert status == ExitCode.PASSED


def test_ctrl_c_prints_what_is_known_so_far_as_json() -> None:
    async def scenario() -> tuple[bytes, int | None]:
        upgraded = asyncio.Event()

        async def count(connection: ServerConnection) -> None:
            if len(server.connections) > 3:
                upgraded.set()
            await echo(connection)

        async with serve(count, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-c",
                    RUN,
                    f"ws://127.0.0.1:{port}/",
                    "--find-idle-timeout",
                    "1m",
                    "--json",
                ),
                stdout=asyncio.subprocess.PIPE,
            )
            await asyncio.wait_for(upgraded.wait(), 20)
            os.kill(process.pid, signal.SIGINT)
            return (await process.communicate())[0], process.returncode

    output, status = asyncio.run(scenario())
    result = json.loads(output)
    assert result["schema"] == "wsload.probe/1"
    assert result["interrupted"] is True
    assert result["idle"]["verdict"] == "none"
    assert len(result["idle"]["tunnels"]) > 3
    assert status == ExitCode.INTERRUPTED
