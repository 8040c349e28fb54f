"""Campaigns by the command line: every cell a real run."""

import csv
import json
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.cli.invoke import invoke
from tests.e2e.command import MIXED, SMALL, Command, Ended, until
from tests.e2e.scenarios import scenario
from wsload.analysis.capacity_file import CAPACITY_FACTS
from wsload.errors import ExitCode
from wsload.record import layout
from wsload.record.outcome import Validity

pytestmark = pytest.mark.e2e

AXIS = "haproxy.timeouts.tunnel"


def write(folder: Path, axis: str, values: list[str]) -> Path:
    """A campaign's file and its profile, beside ``folder``."""
    profile = folder.parent / f"{folder.name}-profile.toml"
    profile.write_text(MIXED)
    campaign = folder.parent / f"{folder.name}.toml"
    quick = SMALL | {"load.hold": "1500ms"}
    settings = "\n".join(f'"{key}" = {json.dumps(value)}' for key, value in quick.items())
    campaign.write_text(
        f'title = "sweep"\nprofile = "{profile.name}"\n[set]\n{settings}\n'
        f'[grid]\n"{axis}" = {json.dumps(values)}\n'
    )
    return campaign


def command(folder: Path, campaign: Path, *arguments: str) -> Command:
    return Command(["campaign", str(campaign), "--out", str(folder), "--no-plots", *arguments], folder)


def sweep(axis: str, *values: str) -> Callable[[Path], Ended]:
    return lambda folder: command(folder, write(folder, axis, list(values))).end()


def capacity(folder: Path) -> list[dict[str, str]]:
    with (folder / layout.CAPACITY).open() as file:
        return list(csv.DictReader(file))


def fingerprint(folder: Path) -> Mapping[str, tuple[int, bytes]]:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir()}


@scenario(sweep(AXIS, "500ms", "20s"))
def test_a_campaign_runs_each_cell_and_says_what_each_held(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED, ended.err
    assert ended.err == ""
    cut, kept = capacity(ended.folder)
    assert tuple(cut) == (AXIS, *CAPACITY_FACTS)
    assert (cut[AXIS], kept[AXIS]) == ("500ms", "20s")
    assert (cut["planned"], cut["opened"], kept["planned"], kept["held"]) == ("120", "120", "120", "120")
    assert int(cut["held"]) < 48
    assert (kept["held_share"], kept["disconnect_unexpected"], kept["slo"]) == ("1.0", "0", "passed")
    assert cut["slo"] == "failed"
    assert Validity.INVALID not in (cut["validity"], kept["validity"])
    for row in (cut, kept):
        assert (ended.folder / row["run"] / layout.SUMMARY).is_file()
    assert "500ms" in ended.out
    assert str(ended.folder) in ended.out


def cut_and_resumed(folder: Path) -> Ended:
    campaign = write(folder, AXIS, ["10s", "20s"])
    first = command(folder, campaign)
    second_cell = folder / "tunnel=20s"
    until(lambda: (second_cell / layout.SNAPSHOTS).exists(), "the second cell")
    first.signal(signal.SIGINT)
    cut = first.end()
    cut.assert_tidy()
    assert cut.code == ExitCode.INTERRUPTED
    assert [row["validity"] == Validity.INVALID for row in capacity(folder)] == [False, True]
    before = fingerprint(folder / "tunnel=10s")
    resumed = command(folder, campaign).end()
    assert fingerprint(folder / "tunnel=10s") == before
    return resumed


@scenario(cut_and_resumed)
def test_an_interrupted_campaign_goes_on_where_it_was_cut(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED, ended.err
    assert [row["held"] for row in capacity(ended.folder)] == ["120", "120"]
    cut = json.loads((ended.folder / "tunnel=20s.cut-1" / layout.SUMMARY).read_text())
    assert cut["partial"]


@scenario(sweep("haproxy.threads", "9999", "1"))
def test_a_cell_that_fails_does_not_stop_the_rest(ended: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended.code == ExitCode.INVALID_RESULT
    assert ended.err.startswith("wsload: threads=9999: ")
    assert "HAProxy rejects it" in ended.err
    failed, ran = capacity(ended.folder)
    assert (failed["held"], failed["validity"]) == ("", Validity.INVALID)
    assert ran["held"] == "120"
    assert "HAProxy rejects it" in (ended.folder / "threads=9999" / "error.txt").read_text()
    assert invoke(capsys, "report", str(ended.folder), "--no-plots").code == ExitCode.PASSED


def cut_while_starting(folder: Path) -> Ended:
    running = command(folder, write(folder, AXIS, ["10s", "20s"]))
    running.child("wsload.backend")
    running.signal(signal.SIGTERM)
    return running.end()


@scenario(cut_while_starting)
def test_a_campaign_cut_before_its_first_tunnel_has_no_cell(
    ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended.code == ExitCode.INTERRUPTED
    assert "interrupted before the first tunnel" in ended.err
    assert [path for path in ended.folder.iterdir() if path.is_dir()] == []
    assert capacity(ended.folder) == []
    assert invoke(capsys, "report", str(ended.folder), "--no-plots").code == ExitCode.PASSED


@scenario(sweep(AXIS, "20s"))
def test_a_campaigns_views_come_from_its_folder_alone(
    ended: Ended, capsys: pytest.CaptureFixture[str]
) -> None:
    said = invoke(capsys, "report", str(ended.folder))
    assert (said.code, said.err) == (ExitCode.PASSED, "")
    assert (ended.folder / layout.PLOTS / "capacity.png").is_file()
    assert (ended.folder / layout.REPORT).is_file()
    assert (ended.folder / "tunnel=20s" / layout.REPORT).is_file()
    said = invoke(capsys, "report", str(ended.folder), "--json", "--no-plots")
    assert json.loads(said.out) == capacity(ended.folder)
    ended.assert_tidy()
