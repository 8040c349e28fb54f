"""Every way a tunnel ends or never opens, made for real on each HAProxy there is, and what wsload calls it.

The rows are those of the table "What each cause looks like"; docs/causes.md shows the outcome.
"""

import contextlib
import re
import shutil
import signal
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.command import Command, Ended, start
from wsload.analysis.folder import RunFolder
from wsload.haproxy.config import abns_address, names_of
from wsload.record import layout

pytestmark = pytest.mark.e2e

AT_ONCE = 4
IDLE = '[[cohort]]\nname = "c"\n'
NO_TUNNEL = {"haproxy__timeouts__tunnel": "none"}


def turning(traffic: str) -> str:
    return f'[[cohort]]\nname = "c"\ntraffic = "{traffic}"\nafter = "300ms"\n'


def ask_haproxy(command: Command, words: str) -> None:
    """One command on the stats socket that the run's own configuration names."""
    found = re.search(r"stats socket abns@(\S+)", (command.folder / layout.HAPROXY_CFG).read_text())
    assert found
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(abns_address(found[1]))
        sock.sendall(f"{words}\n".encode())
        while sock.recv(4096):
            pass


def kill_sessions(command: Command) -> None:
    command.reach("hold")
    ask_haproxy(command, f"shutdown sessions server {names_of(0, 1).tunnels}/tunnel1")


def stop_softly(command: Command) -> None:
    command.reach("hold")
    command.child("-db", "haproxy.cfg").send_signal(signal.SIGUSR1)


def kill_haproxy(command: Command) -> None:
    command.reach("hold")
    command.child("-db", "haproxy.cfg").kill()


def terminate_haproxy(command: Command) -> None:
    command.reach("hold")
    command.child("-db", "haproxy.cfg").terminate()


def take_server_away(command: Command) -> None:
    command.reach("open", intervals=1)
    ask_haproxy(command, f"set server {names_of(0, 1).tunnels}/tunnel1 state maint")


def mark_server_down(command: Command) -> None:
    command.reach("hold")
    ask_haproxy(command, f"set server {names_of(0, 1).tunnels}/tunnel1 health down")


def wrapped(binary: str, scenario: "Scenario", folder: Path) -> str:
    """HAProxy behind a script that adds the scenario's words to the configuration before HAProxy reads it."""
    edits = [
        rf"s|^\( *server tunnel1 [^ ]*\).*|\1 {scenario.server_words}|" if scenario.server_words else "",
        rf"/^frontend /a {scenario.frontend_line}" if scenario.frontend_line else "",
    ]
    sed = " ".join(f"-e '{edit}'" for edit in edits if edit)
    script = folder.with_suffix(".sh")
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(
        f'#!/bin/sh\nfor last; do :; done\n[ ! -f "$last" ] || sed -i {sed} "$last"\nexec {binary} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


@contextlib.contextmanager
def reads_and_ends(with_rst: bool) -> Iterator[str]:
    """Address of a server that takes a request and ends the connection without a word."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as connection:
                    connection.recv(65536)
                    if with_rst:
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@dataclass(frozen=True)
class Scenario:
    """What is set up, what is done while it runs, and what most ends have to be called."""

    cause: str
    values: dict[str, str] = field(default_factory=dict)
    profile: str = IDLE
    act: Callable[[Command], None] | None = None
    opens: bool = True
    on: tuple[str, ...] = ()
    """Only on HAProxy releases that begin so."""
    server_words: str = ""
    """Behind the server's address in HAProxy's configuration: what the profile has no key for."""
    frontend_line: str = ""
    """The first of the frontend's, likewise."""
    silent_server: str = ""
    """The server is one that reads a request and closes ("fin") or resets ("rst")."""


SCENARIOS: dict[str, Scenario] = {
    "tunnel timeout": Scenario("haproxy_tunnel_timeout", {"haproxy__timeouts__tunnel": "1s"}),
    "client the smaller": Scenario("haproxy_client_timeout", NO_TUNNEL | {"haproxy__timeouts__client": "1s"}),
    "server the smaller": Scenario("haproxy_server_timeout", NO_TUNNEL | {"haproxy__timeouts__server": "1s"}),
    "client stops reading": Scenario(
        "haproxy_tunnel_timeout",
        {
            "haproxy__timeouts__tunnel": "700ms",
            "backend__reply": "push",
            "backend__push_rate": "50/s",
            "backend__push_payload": "256KiB",
            "load__tunnels": "6",
            "load__hold": "3s",
        },
        turning("stalled"),
    ),
    "client reset": Scenario("client_reset", profile=turning("reset")),
    "ghost": Scenario("planned", {"haproxy__timeouts__tunnel": "1s"}, turning("ghost")),
    "half-closed, 2.6": Scenario(
        "haproxy_server_fin",
        {
            "backend__ignore_fin": "true",
            "haproxy__timeouts__server-fin": "600ms",
            "haproxy__timeouts__client-fin": "600ms",
            "haproxy__timeouts__tunnel": "1200ms",
        },
        turning("half-closed"),
        on=("2.",),
    ),
    "half-closed, 3.x": Scenario(
        "haproxy_tunnel_timeout",
        {
            "backend__ignore_fin": "true",
            "haproxy__timeouts__server-fin": "600ms",
            "haproxy__timeouts__client-fin": "600ms",
            "haproxy__timeouts__tunnel": "1200ms",
        },
        turning("half-closed"),
        on=("3.",),
    ),
    "both close": Scenario("planned"),
    "backend close frame": Scenario(
        "backend_close", {"backend__ends_after": "500ms", "backend__close_code": "1011"}
    ),
    "backend idle close": Scenario("backend_idle_timeout", {"backend__idle_close": "500ms"}),
    "backend FIN": Scenario("backend_fin", {"backend__ends_after": "500ms", "backend__ends_with": "fin"}),
    "backend half-open": Scenario(
        "backend_fin", {"backend__ends_after": "500ms", "backend__ends_with": "half-open"}
    ),
    "backend RST": Scenario("backend_reset", {"backend__ends_after": "500ms", "backend__ends_with": "rst"}),
    "admin shutdown": Scenario("haproxy_killed", act=kill_sessions),
    "hard-stop-after": Scenario(
        "haproxy_killed", {"haproxy__timeouts__hard-stop-after": "300ms"}, act=stop_softly
    ),
    "process killed": Scenario("haproxy_killed", act=kill_haproxy),
    "process terminated": Scenario("haproxy_killed", act=terminate_haproxy),
    "server in maintenance": Scenario(
        "server_down", {"load__ramp": "1500ms"}, act=take_server_away, opens=False
    ),
    "no 101 in time": Scenario(
        "backend_timeout",
        {"backend__upgrade_missing": "100%", "haproxy__timeouts__server": "500ms"},
        opens=False,
    ),
    "refused by the backend": Scenario(
        "refused_status", {"backend__refuse": "100%", "backend__refuse_status": "403"}, opens=False
    ),
    "connection refused": Scenario(
        "backend_refused",
        {"backend__mode": "external", "backend__servers": '["127.0.0.1:1"]', "load__hold": "5s"},
        opens=False,
    ),
    "marked down": Scenario(
        "haproxy_killed",
        act=mark_server_down,
        server_words="check inter 1h on-marked-down shutdown-sessions",
    ),
    "queue timeout": Scenario(
        "queue_timeout", {"haproxy__timeouts__queue": "300ms"}, opens=False, server_words="maxconn 5"
    ),
    "closed before the 101": Scenario("backend_refused", opens=False, silent_server="fin"),
    "reset before the 101": Scenario("backend_refused", opens=False, silent_server="rst"),
    "denied by HAProxy": Scenario("refused_status", opens=False, frontend_line="http-request deny"),
    "no source port left": Scenario(
        "source_ports", opens=False, server_words="source 127.0.0.77:20001-20003"
    ),
    "all slots taken": Scenario(
        "backlog_wait",
        {"haproxy__maxconn": "10", "load__handshake_timeout": "1s", "load__hold": "2s"},
        opens=False,
    ),
}


def release_of(binary: str) -> str:
    from wsload.haproxy.process import version

    return version(binary)


def cases() -> list[tuple[str, str]]:
    return [
        (binary, name)
        for binary in BINARIES
        if shutil.which(binary)
        for name, scenario in SCENARIOS.items()
        if not scenario.on or release_of(binary).startswith(scenario.on)
    ]


def play(binary: str, name: str, folder: Path) -> Ended:
    scenario = SCENARIOS[name]
    values = {
        "haproxy__binary": binary,
        "load__tunnels": "30",
        "load__hold": "1800ms",
        "haproxy__timeouts__tunnel": "1h",
    }
    if scenario.server_words or scenario.frontend_line:
        values["haproxy__binary"] = wrapped(binary, scenario, folder)
    with contextlib.ExitStack() as stack:
        if scenario.silent_server:
            address = stack.enter_context(reads_and_ends(with_rst=scenario.silent_server == "rst"))
            values |= {"backend__mode": "external", "backend__servers": f'["{address}"]'}
        command = start(folder, profile=scenario.profile, **(values | scenario.values))
        if scenario.act is not None:
            scenario.act(command)
        return command.end()


@pytest.fixture(scope="module")
def runs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], "Future[Ended]"]]:
    base = tmp_path_factory.mktemp("causes")
    chosen = {
        (item.callspec.params["binary"], item.callspec.params["name"])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.originalname == test_the_cause_is_named.__name__
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            case: pool.submit(play, *case, base / f"{number}")
            for number, case in enumerate(cases())
            if case in chosen
        }


@pytest.mark.parametrize(("binary", "name"), cases(), ids=lambda word: str(word).rpartition("/")[2])
def test_the_cause_is_named(binary: str, name: str, runs: dict[tuple[str, str], "Future[Ended]"]) -> None:
    ended, scenario = runs[binary, name].result(), SCENARIOS[name]
    ended.assert_tidy()
    folder = RunFolder(ended.folder)
    rows = folder.disconnects() if scenario.opens else list(folder.iter_failures())
    assert rows, ended.err
    seen = Counter((str(row.cause), str(row.confidence)) for row in rows)
    assert seen[scenario.cause, "certain"] == sum(seen.values()) - seen["unfinished", ""], (
        seen,
        [row.evidence for row in rows[:3]],
    )
    attribution = folder.attribution()
    assert attribution is not None
    assert attribution.completeness.dropped == 0


def test_other_releases_are_put_to_the_test_too() -> None:
    if len(BINARIES) == 1:
        pytest.skip("no other HAProxy: set WSLOAD_TEST_HAPROXY to the paths of some, separated by :")
    assert len({release_of(binary) for binary in BINARIES}) == len(BINARIES)
