"""What goes wrong while a run is under way, each time with real processes.

After each: the exit code as designed, no process, socket or temporary file left, and a folder that
``wsload report`` takes.
"""

import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.invoke import invoke
from tests.e2e.command import Command, Ended, run_arguments, start, until
from tests.e2e.scenarios import scenario
from wsload.analysis.folder import RunFolder, stored_profile
from wsload.errors import ExitCode
from wsload.record import layout
from wsload.record.outcome import Cause, Doubt, Phase, Validity, Verdict
from wsload.run.session import finish

pytestmark = pytest.mark.e2e

LONG = "30s"
"""A hold that no test waits for."""


def in_hold(trouble: Callable[[Command], None], **values: str) -> Callable[[Path], Ended]:
    """A run that meets ``trouble`` once all its tunnels are open for a while."""

    def play(folder: Path) -> Ended:
        command = start(folder, **({"load__hold": LONG} | values))
        command.reach(Phase.HOLD, 3)
        trouble(command)
        return command.end()

    return play


def kill(*words: str) -> Callable[[Command], None]:
    return lambda command: command.child(*words).kill()


def send(number: int) -> Callable[[Command], None]:
    return lambda command: command.signal(number)


def counted(ended: Ended, cause: Cause) -> int:
    return sum(causes.get(cause, 0) for causes in ended.summary.disconnects.values())


def unexpected(ended: Ended) -> int:
    """Ends that neither the plan nor our own loss explains."""
    ends = (item for causes in ended.summary.disconnects.values() for item in causes.items())
    return sum(count for cause, count in ends if cause not in (Cause.PLANNED, Cause.GENERATOR_LOST))


def rows(ended: Ended, cause: Cause) -> int:
    return sum(row.cause is cause for row in RunFolder(ended.folder).iter_disconnects())


def assert_reportable(ended: Ended) -> None:
    """``wsload report`` makes the same summary again, from the folder alone."""
    before = (ended.folder / layout.SUMMARY).read_bytes()
    finish(ended.folder, stored_profile(ended.folder))
    assert (ended.folder / layout.SUMMARY).read_bytes() == before


def ctrl_c_in_the_ramp(folder: Path) -> Ended:
    command = start(folder, load__tunnels="600", load__ramp="20s", load__hold=LONG)
    command.reach(Phase.OPEN, 4)
    command.signal(signal.SIGINT)
    return command.end()


@scenario(ctrl_c_in_the_ramp)
def test_ctrl_c_in_the_ramp_closes_what_is_open_and_reports(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    summary = ended.summary
    assert summary.partial
    assert 0 < summary.tunnels.opened < 600
    assert counted(ended, Cause.PLANNED) == summary.tunnels.opened
    assert {line.phase for line in RunFolder(ended.folder).intervals()} == {Phase.OPEN, Phase.DRAIN}
    assert "the run was cut short at" in ended.reasons
    assert_reportable(ended)


@scenario(in_hold(send(signal.SIGINT)))
def test_ctrl_c_in_the_hold_drains_and_reports(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    summary = ended.summary
    assert summary.partial
    assert (summary.verdict.validity, summary.tunnels.held) == (Validity.SUSPECT, 120)
    assert counted(ended, Cause.PLANNED) == 120
    assert [action.detail for action in ended.actions("interrupted")] == [{"signal": "SIGINT", "number": 1}]
    assert "tunnels" in ended.out
    assert str(ended.folder) in ended.out
    assert_reportable(ended)


def ctrl_c_in_the_drain(folder: Path) -> Ended:
    command = start(folder, load__drain="2s")
    command.reach(Phase.DRAIN, 2)
    command.signal(signal.SIGINT)
    return command.end()


@scenario(ctrl_c_in_the_drain)
def test_ctrl_c_in_the_drain_lets_it_end(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert ended.summary.tunnels.held == 120
    assert counted(ended, Cause.PLANNED) == 120
    assert_reportable(ended)


def ctrl_c_twice(folder: Path) -> Ended:
    command = start(folder, load__hold=LONG, load__drain=LONG)
    command.reach(Phase.HOLD, 3)
    command.signal(signal.SIGINT)
    command.reach(Phase.DRAIN, 2)
    command.signal(signal.SIGINT)
    return command.end()


@scenario(ctrl_c_twice)
def test_a_second_ctrl_c_stops_at_once_and_still_reports(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert ended.summary.partial
    assert ended.summary.duration_s < 20
    assert [action.detail["number"] for action in ended.actions("interrupted")] == [1, 2]
    assert counted(ended, Cause.PLANNED) < 120
    assert_reportable(ended)


@scenario(in_hold(send(signal.SIGTERM)))
def test_sigterm_drains_and_reports(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert counted(ended, Cause.PLANNED) == 120
    assert ended.actions("interrupted")[0].detail["signal"] == "SIGTERM"


def ctrl_c_while_starting(folder: Path) -> Ended:
    command = start(folder)
    command.child("wsload.backend")
    command.signal(signal.SIGINT)
    return command.end()


@scenario(ctrl_c_while_starting)
def test_ctrl_c_before_the_first_tunnel_leaves_no_folder(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert ended.err == "wsload: interrupted before the first tunnel; nothing was measured\n"
    assert not ended.folder.exists()


def ctrl_c_twice_at_go(folder: Path) -> Ended:
    command = start(folder, load__hold=LONG)
    until((folder / layout.ACTIONS).exists, "the workers")
    command.children()
    command.signal(signal.SIGINT)
    until(lambda: b"interrupted" in (folder / layout.ACTIONS).read_bytes(), "the first signal's note")
    command.signal(signal.SIGINT)
    return command.end()


@scenario(ctrl_c_twice_at_go)
def test_a_run_cut_before_its_first_interval_is_a_valid_folder(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert ended.summary.partial
    assert ended.summary.tunnels.held == 0
    assert_reportable(ended)


@scenario(in_hold(kill("wsload.driver"), load__hold="3s", load__workers="2"))
def test_the_run_goes_on_without_a_killed_worker_and_is_not_valid(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    summary = ended.summary
    assert not summary.partial
    assert summary.verdict.validity == Validity.INVALID
    assert "driver worker 0" in ended.reasons
    assert "(status -9)" in ended.reasons
    lost = [span for span in summary.doubts if Doubt.WORKER_LOST in span.doubts]
    # From its loss to the hold's end; a busy machine may add other doubts, each of which begins a new span.
    assert [span.from_s for span in lost[1:]] == [span.to_s for span in lost[:-1]]
    assert lost[-1].to_s >= 3.3
    assert {span.validity for span in lost} == {Validity.INVALID}
    assert summary.tunnels.held == 60
    assert counted(ended, Cause.GENERATOR_LOST) == rows(ended, Cause.GENERATOR_LOST) == 60
    assert counted(ended, Cause.PLANNED) == 60
    assert sum(summary.counters["disconnect_unexpected"].values()) == 60
    assert_reportable(ended)


@scenario(in_hold(kill("wsload.driver")))
def test_a_run_whose_only_worker_is_killed_ends_and_counts_its_tunnels(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert counted(ended, Cause.GENERATOR_LOST) == 120
    assert sum(ended.summary.counters["disconnect_unexpected"].values()) == 120
    assert_reportable(ended)


@scenario(
    in_hold(lambda command: command.child("wsload.driver").suspend(), load__hold="3s", load__workers="2")
)
def test_a_worker_that_is_stopped_for_good_does_not_keep_the_run_from_ending(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert len(ended.actions("gave_up")) == 1
    assert "driver worker 0 fell silent and was killed" in ended.reasons
    assert counted(ended, Cause.GENERATOR_LOST) == counted(ended, Cause.PLANNED) == 60
    assert_reportable(ended)


@scenario(in_hold(kill("haproxy", "-db")))
def test_a_run_ends_when_haproxy_is_killed(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert "HAProxy ended unasked with status -9" in ended.reasons
    assert unexpected(ended) == 120
    assert_reportable(ended)


@scenario(in_hold(kill("wsload.backend")))
def test_a_run_ends_when_the_backend_is_killed(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert "the backend ended unasked with status -9" in ended.reasons
    assert unexpected(ended) == 120
    assert_reportable(ended)


@scenario(in_hold(kill("haproxy", "-db", "haproxy-2.cfg"), haproxy__processes="2", haproxy__maxconn="200"))
def test_half_of_two_haproxies_drains_when_the_other_is_killed(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert ended.actions("haproxy_exited")[0].detail["index"] == 1
    assert unexpected(ended) == 60
    assert counted(ended, Cause.PLANNED) == 60


@scenario(in_hold(send(signal.SIGKILL)))
def test_nothing_outlives_a_killed_wsload_and_its_folder_can_be_reported(ended: Ended) -> None:
    assert ended.code == -signal.SIGKILL
    assert not (ended.folder / layout.SUMMARY).exists()
    result = finish(ended.folder, stored_profile(ended.folder))
    assert result.summary.partial
    assert result.summary.tunnels.opened == 120
    assert result.summary.verdict.slo != Verdict.NONE


@scenario(in_hold(lambda command: command.child("haproxy", "-db").suspend(), load__hold="3s"))
def test_a_stopped_haproxy_is_killed_at_the_end(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert "had no reply" in ended.reasons
    assert_reportable(ended)


def file_size_limited(folder: Path) -> Ended:
    """A write beyond the limit fails as on a full disk, but for the error's name (EFBIG); root or not."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))

    return Command(run_arguments(folder, load__hold=LONG), folder, limit).end()


@scenario(file_size_limited)
def test_a_run_stops_when_it_can_write_no_more(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    (line,) = ended.err.splitlines()
    assert "cannot be written: File too large; make room" in line
    assert line.endswith(f"wsload report {ended.folder}")
    result = finish(ended.folder, stored_profile(ended.folder))
    assert result.summary.partial
    assert result.summary.tunnels.opened == 120


def disk_full(folder: Path) -> Ended:
    """On a file system of 48 KiB; what was written there is then copied to ``folder``."""
    disk = folder.parent / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48k", "none", disk], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode()}")
    try:
        arguments = run_arguments(folder, load__hold=LONG, load__interval="100ms")
        arguments[arguments.index(str(folder))] = str(disk / "run")
        ended = Command(arguments, folder).end()
        shutil.copytree(disk / "run", folder)
    finally:
        subprocess.run(["umount", disk], check=True)
    return ended


@scenario(disk_full)
def test_a_full_disk_stops_the_run_and_keeps_what_is_written(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert "No space left on device; make room" in ended.err
    result = finish(ended.folder, stored_profile(ended.folder))
    assert result.summary.partial
    assert result.summary.tunnels.opened > 0


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


REFUSED_AT_START = {
    "HAProxy is missing": ({"haproxy.binary": "nope"}, 'haproxy.binary: no program "nope" found; type "sudo'),
    "HAProxy rejects its configuration": ({"haproxy.threads": "9999"}, "HAProxy rejects it: "),
    "HAProxy's port is taken": ({"haproxy.port": "PORT"}, "haproxy.port: PORT is taken: "),
    "the backend's port is taken": (
        {"backend.port": "PORT"},
        "backend.port: cannot listen on 127.0.0.1:PORT",
    ),
}


@pytest.mark.parametrize("trouble", REFUSED_AT_START)
def test_what_cannot_start_is_one_line_and_nothing_runs(
    trouble: str, taken_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values, expected = REFUSED_AT_START[trouble]
    values = {key: value.replace("PORT", str(taken_port)) for key, value in values.items()}
    folder = tmp_path / "run"
    before = psutil.Process().children()
    said = invoke(capsys, *run_arguments(folder, **values))
    assert said.code == ExitCode.INVALID_CONFIG
    (line,) = said.err.splitlines()
    assert expected.replace("PORT", str(taken_port)) in line
    assert psutil.Process().children() == before
    kept = trouble == "HAProxy rejects its configuration"  # its words name lines of it
    assert folder.exists() == kept
    assert not kept or (folder / layout.HAPROXY_CFG).is_file()
