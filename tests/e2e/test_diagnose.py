"""``wsload diagnose`` of runs against a HAProxy that somebody else started, with its stock log formats."""

import random
import re
import shutil
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from tests.e2e.command import Command, Ended, start, until
from tests.e2e.ports import ports_in_a_row
from wsload.analysis.folder import RunFolder, stored_profile
from wsload.cli.diagnose import command as diagnose
from wsload.errors import FolderError, ProfileError
from wsload.record import layout
from wsload.record.outcome import Cause, Confidence
from wsload.run.session import finish

pytestmark = pytest.mark.e2e

PROFILE = """
[[cohort]]
name = "idle"
share = 2

[[cohort]]
name = "chatty"
share = 1
traffic = "chatty"
rate = "5/s"
"""
IDLE, CHATTY = 40, 20
MODES = ("httplog", "tcplog")
CONFIG = """
global
    log 127.0.0.1:{log_port} local0

defaults
    log global
    timeout connect 5s
    timeout client 2s
    timeout server 30s

listen httplog
    mode http
    option httplog
    bind 127.0.0.1:{http_port}
    server s1 {backend}

listen tcplog
    mode tcp
    option tcplog
    bind 127.0.0.1:{tcp_port}
    server s1 {backend}
"""
DATE = "%d/%b/%Y:%H:%M:%S"
TIMERS = ("--timeout", "client=2s", "--timeout", "server=30s")


@dataclass(frozen=True)
class Driven:
    """What was there after two runs, one a mode; nothing here is to be changed."""

    base: Path
    ended: dict[str, Ended]
    log: Path


class SyslogFile(threading.Thread):
    """What a syslog daemon does with UDP: each datagram becomes a line of a file."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port: int = self._socket.getsockname()[1]
        self._path = path
        self._over = threading.Event()

    def run(self) -> None:
        with self._path.open("ab") as file, self._socket:
            while not self._over.is_set():
                try:
                    file.write(self._socket.recv(65536).rstrip(b"\n") + b"\n")
                    file.flush()
                except TimeoutError:
                    continue

    def stop(self) -> None:
        self._over.set()
        self.join()


@contextmanager
def backend(base: Path) -> Iterator[str]:
    """The address of ``wsload backend`` by itself."""
    command = Command(["backend", "--listen", "127.0.0.1:0"], base / "backend")
    try:
        found = until(lambda: re.search(r"ws://([\d.:]+)", (base / "backend.out").read_text()), "backend")
        yield found[1]
    finally:
        command.signal(2)
        command.end()


@contextmanager
def haproxy(base: Path, log_port: int, backend_address: str) -> Iterator[dict[str, int]]:
    """Mode -> the port on which a HAProxy of our own listens."""
    first = ports_in_a_row(2)
    ports = (first, first + 1)
    path = base / "external.cfg"
    text = CONFIG.format(log_port=log_port, http_port=ports[0], tcp_port=ports[1], backend=backend_address)
    path.write_text(text)
    process = subprocess.Popen(["haproxy", "-db", "-f", str(path)], stderr=subprocess.DEVNULL)
    try:
        until(lambda: all(is_open(port) for port in ports), "HAProxy")
        yield dict(zip(MODES, ports, strict=True))
    finally:
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> Driven:
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    base = tmp_path_factory.mktemp("external")
    log = base / "haproxy.log"
    syslog = SyslogFile(log)
    syslog.start()
    try:
        with backend(base) as address, haproxy(base, syslog.port, address) as ports:
            values = {"load__tunnels": str(IDLE + CHATTY), "load__hold": "2500ms", "target__via": "url"}
            runs = {
                mode: start(base / mode, profile=PROFILE, target__url=f"ws://127.0.0.1:{port}/ws", **values)
                for mode, port in ports.items()
            }
            ended = {mode: run.end() for mode, run in runs.items()}
            until(lambda: logged(log) >= ports_of(ended.values()), "a line of every tunnel")
    finally:
        syslog.stop()
    return Driven(base, ended, log)


def logged(log: Path) -> set[int]:
    return {int(port) for port in re.findall(r":(\d+) \[", log.read_text())}


def ports_of(runs: Iterable[Ended]) -> set[int]:
    rows = (row for run in runs for row in RunFolder(run.folder).iter_disconnects())
    return {row.local_port for row in rows if row.local_port}


@pytest.fixture(params=MODES)
def folder(driven: Driven, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a run's folder, to be diagnosed."""
    mode: str = request.param
    driven.ended[mode].assert_tidy()
    copy = tmp_path / mode
    shutil.copytree(driven.ended[mode].folder, copy)
    return copy


def told(*arguments: str | Path, plots: bool = False) -> str:
    """What the command prints."""
    given = [str(argument) for argument in arguments] + ([] if plots else ["--no-plots"])
    result = CliRunner().invoke(diagnose, given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def verdicts(folder: Path, cohort: str = "idle") -> Counter[tuple[Cause, Confidence]]:
    rows = RunFolder(folder).iter_disconnects()
    return Counter((row.cause, row.confidence) for row in rows if row.cohort == cohort)


def object_of(*arguments: str | Path) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(told(*arguments, "--json"))
    return found


def test_without_the_log_nobody_is_accused_for_certain(folder: Path) -> None:
    text = told(folder)
    assert {confidence for _, confidence in verdicts(folder)} <= {Confidence.LIKELY, Confidence.GUESS}
    assert not {cause for cause, _ in verdicts(folder)} & {
        Cause.HAPROXY_CLIENT_TIMEOUT,
        Cause.HAPROXY_SERVER_TIMEOUT,
        Cause.HAPROXY_TUNNEL_TIMEOUT,
    }
    assert "no log of HAProxy's" in text
    assert "--haproxy-log FILE" in text


def test_the_log_alone_makes_it_a_guess_and_asks_for_the_timers(driven: Driven, folder: Path) -> None:
    text = told(folder, "--haproxy-log", driven.log)
    assert verdicts(folder) == {(Cause.HAPROXY_CLIENT_TIMEOUT, Confidence.GUESS): IDLE}
    assert {cause for cause, _ in verdicts(folder, "chatty")} == {Cause.PLANNED}
    assert "--timeout client=30s --timeout tunnel=1h" in " ".join(text.split())


def test_the_log_and_the_timers_name_the_client_timeout(driven: Driven, folder: Path) -> None:
    text = " ".join(told(folder, "--haproxy-log", driven.log, *TIMERS).split())
    assert verdicts(folder) == {(Cause.HAPROXY_CLIENT_TIMEOUT, Confidence.CERTAIN): IDLE}
    assert "`timeout client 2s`, because no `timeout tunnel` is set" in text
    assert "write `timeout tunnel 1h` in the backend; until then send a ping at least every 1s" in text
    assert f"every one of {IDLE + CHATTY} ends joined with HAProxy's log line" in text
    assert Cause.HAPROXY_CLIENT_TIMEOUT in (folder / layout.SUMMARY).read_text()


def test_the_picture_is_drawn_from_what_the_folder_keeps(driven: Driven, folder: Path) -> None:
    told(folder, "--haproxy-log", driven.log, *TIMERS)
    assert "`timeout client 2s`" in told(folder, plots=True)
    drawn = {path.name for path in (folder / layout.PLOTS).iterdir()}
    assert drawn == {"diagnosis.png", "diagnosis.svg"}


def test_a_later_report_knows_the_log_even_where_it_is_gone(driven: Driven, folder: Path) -> None:
    log = folder.parent / "copy.log"
    shutil.copy(driven.log, log)
    told(folder, "--haproxy-log", log, *TIMERS)
    known = verdicts(folder)
    finish(folder, stored_profile(folder))
    assert verdicts(folder) == known
    log.unlink()
    finish(folder, stored_profile(folder))
    assert verdicts(folder) == known
    with pytest.raises(FolderError, match=r"copy\.log: no such file; name HAProxy's log with --haproxy-log"):
        told(folder, "--timeout", "client=3s")


def test_a_messy_log_costs_confidence_and_never_invents_a_cause(driven: Driven, folder: Path) -> None:
    messy = folder.parent / "messy.log"
    torn_port = messed(driven.log, messy, RunFolder(folder).disconnects()[0].local_port or 0)
    found = object_of(folder, "--haproxy-log", messy, *TIMERS)
    by_port = {row.local_port: row for row in RunFolder(folder).iter_disconnects() if row.cohort == "idle"}
    torn = by_port.pop(torn_port)
    assert (torn.termination, torn.confidence) == ("", Confidence.GUESS)
    assert {(row.cause, row.confidence, row.termination[:2]) for row in by_port.values()} == {
        (Cause.HAPROXY_CLIENT_TIMEOUT, Confidence.CERTAIN, "cD")
    }
    assert found["schema"] == "wsload.diagnosis/1"
    assert not found["whole"]
    assert found["completeness"]["without_line"] == 1
    assert found["completeness"]["unread"] == 3
    assert len(found["unread_examples"]) == 3


def messed(log: Path, messy: Path, torn_port: int) -> int:
    """The log out of order, a line torn, foreign lines in it, the same ports in use half an hour before."""
    lines = log.read_text().splitlines()
    torn = next(line for line in lines if f":{torn_port} [" in line)
    lines.remove(torn)
    before = [moved(line, timedelta(minutes=-30)) for line in (*lines, torn)]
    lines += [re.sub(r" (cD|sD|CD|--)(-- | )", r" SD\2", line, count=1) for line in before]
    lines += [
        torn[: torn.index("] ") - 5],
        '10.0.0.9 - - [22/Nov/2026:14:45:03 +0000] "GET / HTTP/1.1" 200 5',
    ]
    lines += ["<38>Nov 22 14:45:03 lb1 sshd[1]: Accepted publickey for root from 10.0.0.9 port 5 ssh2"]
    random.Random(3).shuffle(lines)
    messy.write_text("".join(f"{line}\n" for line in lines))
    return torn_port


def moved(text: str, by: timedelta) -> str:
    """Lines with their dates at another time."""

    def date(found: re.Match[str]) -> str:
        return f"[{datetime.strptime(found[1], DATE) + by:{DATE}}."  # noqa: DTZ007 - HAProxy writes no zone

    return re.sub(r"\[(\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d)\.", date, text)


def test_a_log_of_another_time_zone_says_how_far_it_is_off(driven: Driven, folder: Path) -> None:
    shifted = folder.parent / "shifted.log"
    shifted.write_text(moved(driven.log.read_text(), timedelta(hours=2)))
    said = object_of(folder, "--haproxy-log", shifted, *TIMERS)
    assert not said["whole"]
    (hint,) = [note["text"] for note in said["notes"] if "--log-ahead=" in note["text"]]
    ahead = hint.rpartition("--log-ahead=")[2]
    told(folder, f"--log-ahead={ahead}")
    assert verdicts(folder) == {(Cause.HAPROXY_CLIENT_TIMEOUT, Confidence.CERTAIN): IDLE}


def test_a_log_of_other_clients_and_one_that_is_none_say_so(driven: Driven, folder: Path) -> None:
    other = folder.parent / "other.log"
    other.write_text(driven.log.read_text().replace(" 127.0.", " 192.0."))
    notes = " ".join(note["text"] for note in object_of(folder, "--haproxy-log", other)["notes"])
    assert "none of the run's: is there a NAT or another proxy in front" in notes
    other.write_text("not\na\nlog\n")
    notes = " ".join(note["text"] for note in object_of(folder, "--haproxy-log", other)["notes"])
    assert "no line could be read as an end: is it HAProxy's log?" in notes


def test_timers_are_checked(folder: Path) -> None:
    with pytest.raises(
        ProfileError, match='--timeout: "idle=2s" names no timer; write NAME=TIME with one of'
    ):
        told(folder, "--timeout", "idle=2s")
    with pytest.raises(ProfileError, match=r"--timeout: client: .* has no unit"):
        told(folder, "--timeout", "client=2")
