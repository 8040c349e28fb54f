"""Campaigns whose cells run at once in one HAProxy process, with a control beside them."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.invoke import invoke
from tests.e2e.command import SMALL, Command, Ended, until
from tests.e2e.scenarios import scenario
from wsload.analysis.folder import RunFolder
from wsload.errors import ExitCode
from wsload.record import layout
from wsload.record.outcome import Validity
from wsload.record.summary import Summary

pytestmark = pytest.mark.e2e

AXIS = "haproxy.timeouts.tunnel"
CUT, KEPT, LONG = "tunnel=1s", "tunnel=10s", "tunnel=20s"
RUNS = (CUT, KEPT, LONG, "control")
COHORTS = """
[[cohort]]
name = "idle"
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = "10/s"
[slo]
disconnect_unexpected = ["rate<0.1%"]
"""


def command(folder: Path, **values: str) -> Command:
    profile = folder.parent / f"{folder.name}-profile.toml"
    profile.write_text(COHORTS)
    quick = SMALL | {"load.tunnels": "60", "load.hold": "2500ms"} | values
    settings = "\n".join(f'"{key}" = {json.dumps(value)}' for key, value in quick.items())
    campaign = folder.parent / f"{folder.name}.toml"
    campaign.write_text(
        f'title = "sweep"\nprofile = "{profile.name}"\nparallel = true\ncontrol = true\n'
        f'[set]\n{settings}\n[grid]\n"{AXIS}" = ["1s", "10s", "20s"]\n'
    )
    return Command(["campaign", str(campaign), "--out", str(folder), "--no-plots"], folder)


def measuring(running: Command) -> None:
    """Wait until every run records its hold."""
    for run in RUNS:
        until(lambda run=run: _lines(running.folder / run / layout.SNAPSHOTS) > 3, run)  # type: ignore[misc]
    running.children()


def _lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def summary(ended: Ended, run: str) -> Summary:
    found = RunFolder(ended.folder / run).summary()
    assert found is not None
    return found


def capacity(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / layout.CAPACITY).open() as file:
        return {row["run"]: row for row in csv.DictReader(file)}


@scenario(lambda folder: command(folder).end())
def test_cells_at_once_are_each_cut_by_their_own_timer_and_the_control_by_none(
    ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended.code == ExitCode.PASSED, ended.err
    assert ended.err == "parallel: 3 cells at once in one HAProxy process\n"
    identity = json.loads((ended.folder / layout.CAMPAIGN_JSON).read_text())
    assert identity["notes"] == [ended.err.strip()]
    infos = {run: RunFolder(ended.folder / run).info for run in RUNS}
    assert {run: info.haproxy_sharers for run, info in infos.items()} == dict.fromkeys(RUNS[:3], 3) | {
        "control": 0
    }
    assert all(set(info.beside) == set(RUNS) - {run} for run, info in infos.items())
    starts_s = [info.started_unix_s for info in infos.values()]
    assert max(starts_s) - min(starts_s) < infos[CUT].hold_s  # all were under way together
    pids = {row["pid"] for run in RUNS[:3] for row in RunFolder(ended.folder / run).iter_haproxy_stats()}
    assert len(pids) == 1

    rows = capacity(ended.folder)
    assert [rows[run]["held"] for run in (KEPT, LONG, "control")] == ["60"] * 3
    assert int(rows[CUT]["held"]) <= 30
    assert Validity.INVALID not in {row["validity"] for row in rows.values()}
    assert summary(ended, CUT).disconnects["idle"] == {"haproxy_tunnel_timeout": 30}
    assert summary(ended, LONG).disconnects["idle"] == {"planned": 30}
    for run in RUNS[:3]:
        evidence = summary(ended, run).evidence
        assert evidence is not None
        assert (evidence.matched, evidence.without_line, evidence.without_end) == (60, 0, 0)
        assert summary(ended, run).haproxy["shared_by"] == 3
        text = (ended.folder / run / layout.HAPROXY_CFG).read_text()
        assert [name for name in RUNS[:3] if f"# ---- {name} ----" in text] == list(RUNS[:3])

    assert rows["control"][AXIS] == ""
    assert rows["control"]["cuts"] == ""
    assert rows[CUT]["cuts"].startswith("haproxy_tunnel_timeout=")
    assert all(float(row[f"{what}_p99_ms"]) > 0 for row in rows.values() for what in ("echo", "handshake"))
    assert "it and the 3 cells ran at the same time" in ended.out
    assert "Cuts that HAProxy adds: HAProxy tunnel timeout, none without it, 0 of 60" in ended.out
    said = invoke(capsys, "report", str(ended.folder), "--no-plots")
    assert said.code == ExitCode.PASSED
    sentences = [line for line in ended.out.splitlines() if line.startswith("→")]
    assert [line for line in said.out.splitlines() if line.startswith("→")] == sentences


def interrupted_and_resumed(folder: Path) -> Ended:
    running = command(folder, **{"load.hold": "20s"})
    measuring(running)
    running.signal(signal.SIGINT)
    cut = running.end()
    cut.assert_tidy()
    assert cut.code == ExitCode.INTERRUPTED, cut.err
    assert all(summary(cut, run).partial for run in RUNS)
    assert {row["validity"] for row in capacity(folder).values()} == {Validity.INVALID}
    return cut


@scenario(interrupted_and_resumed)
def test_the_first_signal_drains_all_cells_and_each_leaves_a_partial_result(ended: Ended) -> None:
    for run in (KEPT, LONG, "control"):
        assert summary(ended, run).disconnects["chatty"] == {"planned": 30}


def stopped_at_once(folder: Path) -> Ended:
    running = command(folder, **{"load.hold": "20s", "load.drain": "15s"})
    measuring(running)
    running.signal(signal.SIGTERM)
    until(lambda: all(_interruptions(folder / run) for run in RUNS), "the first signal")
    running.signal(signal.SIGTERM)
    return running.end()


def _interruptions(folder: Path) -> int:
    path = folder / layout.ACTIONS
    return path.read_text().count('"interrupted"') if path.exists() else 0


@scenario(stopped_at_once)
def test_the_second_signal_stops_all_cells(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED, ended.err
    assert all(_interruptions(ended.folder / run) >= 1 for run in RUNS)


def cut_while_starting(folder: Path) -> Ended:
    running = command(folder)
    running.child("wsload.backend")
    running.signal(signal.SIGTERM)
    return running.end()


@scenario(cut_while_starting)
def test_a_batch_cut_before_its_first_tunnel_leaves_no_cell(ended: Ended) -> None:
    assert ended.code == ExitCode.INTERRUPTED, ended.err
    assert [path for path in ended.folder.iterdir() if path.is_dir()] == []
    assert capacity(ended.folder) == {}


@scenario(lambda folder: command(folder, **{"haproxy.threads": "9999"}).end())
def test_a_configuration_that_haproxy_rejects_fails_all_cells_but_the_control(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    for run in RUNS[:3]:
        assert "HAProxy rejects it" in (ended.folder / run / "error.txt").read_text()
    assert capacity(ended.folder)["control"]["validity"] != Validity.INVALID


def without_haproxy(folder: Path) -> Ended:
    running = command(folder, **{"load.hold": "20s"})
    measuring(running)
    os.kill(running.child("haproxy", "-db").pid, signal.SIGKILL)
    until(
        lambda: all((folder / run / layout.ACTIONS).read_text().count("haproxy_exited") for run in RUNS[:3]),
        "its end on record",
    )
    until(lambda: all(_lines(folder / run / layout.DISCONNECTS) > 60 for run in RUNS[:3]), "all ends")
    running.signal(signal.SIGINT)  # the control would go on to its end
    return running.end()


@scenario(without_haproxy)
def test_all_cells_notice_that_their_haproxy_died_and_the_control_goes_on(ended: Ended) -> None:
    for run in RUNS[:3]:
        reasons = "; ".join(summary(ended, run).verdict.reasons)
        assert "HAProxy ended unasked with status -9" in reasons, run
    assert "ended unasked" not in "; ".join(summary(ended, "control").verdict.reasons)
    causes = summary(ended, KEPT).disconnects["chatty"]
    assert causes == {"haproxy_killed": 30}


def one_cell_fails(folder: Path) -> Ended:
    running = command(folder, **{"load.hold": "5s"})
    measuring(running)
    os.kill(running.child("wsload.driver").pid, signal.SIGKILL)
    return running.end()


@scenario(one_cell_fails)
def test_a_cell_that_fails_does_not_take_the_others_with_it(ended: Ended) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    validities = [summary(ended, run).verdict.validity for run in RUNS]
    assert validities.count(Validity.INVALID) == 1


def goes_on(folder: Path) -> Ended:
    first = command(folder).end()
    assert first.code == ExitCode.PASSED, first.err
    (folder / KEPT / layout.SUMMARY).unlink()
    before = (folder / LONG / layout.SUMMARY).stat().st_mtime_ns
    again = command(folder).end()
    assert (folder / LONG / layout.SUMMARY).stat().st_mtime_ns == before
    return again


@scenario(goes_on)
def test_only_cells_without_a_result_are_run_again(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED, ended.err
    assert ended.err == "parallel: one cell, nothing to run beside it\n"
    assert RunFolder(ended.folder / KEPT).info.haproxy_sharers == 1
    assert (ended.folder / f"{KEPT}.cut-1").is_dir()
