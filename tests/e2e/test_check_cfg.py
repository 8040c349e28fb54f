import asyncio
import re
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.ports import ports_in_a_row
from tests.haproxy.cfg_samples import mended
from wsload import children
from wsload.cli.check_cfg import check_cfg
from wsload.errors import ExitCode, HaproxyError
from wsload.haproxy.cfg_finding import Finding
from wsload.haproxy.cfg_findings import find
from wsload.haproxy.cfg_reader import read_config
from wsload.haproxy.process import check_config, version

pytestmark = pytest.mark.e2e


HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)

ROUTES = """\
global
    maxconn 100
    hard-stop-after 1h
    log {log} local0
defaults
    mode {mode}
    log global
    log-format "state=%ts lasted=%Tt"
    timeout connect 5s
    timeout server-fin 30s
    timeout client {client}
    timeout server {server}
frontend web
    bind 127.0.0.1:{port}
    default_backend ws
backend ws
    server app 127.0.0.1:{backend}
"""

HURTFUL = """\
global
    maxconn 1000
    ulimit-n 500
defaults
    mode http
    timeout connect 5000
    timeout client 30
    timeout server 5m
    timeout queue 0
    option independent-streams
frontend web
    bind 127.0.0.1:18080
    maxconn 5000
    timeout tunnel 1h
    use_backend ws if { hdr(Upgrade) -i websocket }
    default_backend pages
backend ws
    timeout tunnel 0
    server app 127.0.0.1:8080 check maxconn 10   # the only one
backend pages
    http-request set-timeout tunnel 10m if { path /x }
    http-request set-timeout tunnel 86400
    server web 127.0.0.1:8081
backend long_ws
    timeout tunnel 2d
    server long 127.0.0.1:8082
listen all_ws
    bind 127.0.0.1:18081
    http-request set-timeout tunnel 1h
    use_backend long_ws if { path /long }
    server next 127.0.0.1:18080
"""


@pytest.fixture(params=BINARIES, ids=[Path(name).name for name in BINARIES])
def binary(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def findings(text: str, binary: str) -> list[Finding]:
    return find(read_config(text, {}), version=version(binary), nofile_hard=1_000_000)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A backend that switches, is silent, and closes when HAProxy does."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(SWITCHING)
        await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@asynccontextmanager
async def haproxy(binary: str, cfg: Path) -> AsyncIterator[None]:
    process = children.start([binary, "-db", "-f", str(cfg)])
    try:
        yield
    finally:
        process.kill()
        process.close()


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    async with asyncio.timeout(10):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)


async def log_of_an_idle_tunnel(binary: str, cfg: Path, text: str) -> tuple[str, int]:
    """The termination state and the milliseconds that HAProxy logs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log:
        log.bind(("127.0.0.1", 0))
        log.setblocking(False)
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = ports_in_a_row()
        backend = server.sockets[0].getsockname()[1]
        filled = {"@log": "{}:{}".format(*log.getsockname()), "@port": str(port), "@backend": str(backend)}
        for mark, value in filled.items():
            text = text.replace(mark, value)
        cfg.write_text(text)
        try:
            async with haproxy(binary, cfg):
                reader, writer = await connected(port)
                writer.write(HANDSHAKE)
                assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                assert await asyncio.wait_for(reader.read(), 5) == b""
                writer.close()
                while True:
                    line = (
                        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(log, 4096), 5)
                    ).decode()
                    if match := re.search(r"state=(\w\w) lasted=(\d+)", line):
                        return match[1], int(match[2])
        finally:
            server.close()


@pytest.mark.parametrize("mode", ["http", "tcp"])
@pytest.mark.parametrize(
    ("client", "server", "state", "timer"),
    [("1s", "9s", "cD", "client"), ("9s", "1s", "sD", "server"), ("1s", "1s", "cD", "client")],
)
def test_the_timer_said_to_end_an_idle_tunnel_is_the_one_that_does(
    binary: str, tmp_path: Path, mode: str, client: str, server: str, state: str, timer: str
) -> None:
    text = ROUTES.format(
        log="@log", mode=mode, client=client, server=server, port="@port", backend="@backend"
    )
    told = next(finding for finding in findings(text, binary) if "no `timeout tunnel`" in finding.title)
    assert re.match(rf"An idle tunnel ends after 1s, by `timeout {timer}` .*logs {state}\.", told.effect)
    cfg = tmp_path / "haproxy.cfg"
    logged, lasted_ms = asyncio.run(log_of_an_idle_tunnel(binary, cfg, text))
    assert logged == state
    assert 1000 <= lasted_ms < 9000
    cfg.write_text(mended(cfg.read_text(), [told]))
    check_config(binary, cfg)
    assert not any("timeout tunnel" in finding.title for finding in findings(cfg.read_text(), binary))


def test_all_that_is_recommended_passes_haproxys_own_check(binary: str, tmp_path: Path) -> None:
    cfg = tmp_path / "haproxy.cfg"
    found = findings(HURTFUL, binary)
    assert len({finding.title.partition(":")[0] for finding in found}) > 12
    cfg.write_text(mended(HURTFUL, found))
    check_config(binary, cfg)
    assert [finding for finding in findings(cfg.read_text(), binary) if finding.severity == "harmful"] == []


def test_a_harmful_file_is_told_and_exits_with_104(
    binary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tmp_path / "haproxy.cfg"
    cfg.write_text(HURTFUL)
    assert check_cfg(cfg, binary) is ExitCode.INVALID_CONFIG
    said = capsys.readouterr().out
    assert f"{cfg}:18  harmful  `timeout tunnel 0`: backend ws\n" in said
    assert "    write instead: `timeout tunnel 1h`\n" in said
    assert said.splitlines()[-1].endswith(f"HAProxy {version(binary)} accepts it")
    assert "ignored because frontend" not in said
    prose = [line for line in said.splitlines() if not line.startswith(str(tmp_path))]
    assert max(map(len, prose)) <= 120


def test_a_file_with_nothing_harmful_exits_with_0(
    binary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tmp_path / "haproxy.cfg"
    text = ROUTES.format(
        log="127.0.0.1:9", mode="http", client="30s", server="30s", port=18080, backend=18081
    )
    cfg.write_text(text + "    timeout tunnel 1h\n")
    assert check_cfg(cfg, binary) is ExitCode.PASSED
    assert capsys.readouterr().out == f"{cfg}: nothing found; HAProxy {version(binary)} accepts it\n"


def test_a_rejected_file_shows_haproxys_words_and_is_read_on(
    binary: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = tmp_path / "haproxy.cfg"
    cfg.write_text(HURTFUL.replace("    ulimit-n 500", "    user nobody-like-that"))
    assert check_cfg(cfg, binary) is ExitCode.INVALID_CONFIG
    said = " ".join(capsys.readouterr().out.split())
    assert f"{cfg}:3 harmful HAProxy rejects it cannot find user id for 'nobody-like-that'" in said
    assert "It may be there on the machine where HAProxy runs" in said
    assert f"{cfg}:18 harmful `timeout tunnel 0`: backend ws" in said
    assert said.endswith("rejects it here; the rest was read all the same")


def test_no_file_and_no_program_are_named_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(HaproxyError, match=r"--haproxy-cfg: .*gone\.cfg: cannot be read: No such file"):
        check_cfg(tmp_path / "gone.cfg", "haproxy")
    (tmp_path / "haproxy.cfg").write_text(HURTFUL)
    with pytest.raises(HaproxyError, match=r'--haproxy-binary: no program "no-haproxy" found; type'):
        check_cfg(tmp_path / "haproxy.cfg", "no-haproxy")
