"""Costs and behaviour out of a run's folder, and the runs that are no measure."""

import csv
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.sizing.calibration import Calibration, calibrate
from wsload.analysis.sizing.question import RELEASES
from wsload.errors import FolderError
from wsload.profile.load import load_profile
from wsload.profile.model import Profile
from wsload.record import layout

COHORTS = {"idle": 1200, "chatty": 600, "pinged": 200}
BASE, TUNNEL = 16_000_000, 7_000


def measured(path: Path, *, processes: int = 1, said: dict[str, Any] | None = None, **choices: Any) -> Path:
    """A run whose HAProxy processes grew by ``TUNNEL`` bytes a slot from ``BASE``."""
    make_folder(path, **({"cohorts": COHORTS, "haproxy_processes": processes} | choices))
    if (path / layout.HAPROXY_STATS).is_file():
        with (path / layout.HAPROXY_STATS).open(newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            row["rss_bytes"] = str(BASE + TUNNEL * int(row["slots"]))
        with (path / layout.HAPROXY_STATS).open("w", newline="") as file:
            writer = csv.DictWriter(file, layout.HAPROXY_STATS_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
    if (path / layout.SUMMARY).is_file():
        whole = msgspec.json.decode((path / layout.SUMMARY).read_bytes())
        for name, value in (said or {}).items():
            whole[name] = whole[name] | value if isinstance(value, dict) else value
        (path / layout.SUMMARY).write_bytes(msgspec.json.encode(whole))
    return path


def calibrated(path: Path) -> Calibration:
    return calibrate(RunFolder(path), load_profile(path / layout.PROFILE).profile)


@pytest.mark.parametrize("processes", [1, 2])
def test_memory_per_tunnel_is_what_haproxy_grew_by(processes: int, tmp_path: Path) -> None:
    costs = calibrated(measured(tmp_path / "run", processes=processes)).costs
    assert costs.tunnel_bytes == TUNNEL
    known = RELEASES["2.6"]
    assert costs.base_bytes == pytest.approx(BASE - known.slot_bytes * 1000 // processes, abs=1000)
    assert costs.release == "2.6"
    assert "HAProxy 2.6.12, " in costs.origin


def test_cpu_per_message_is_that_of_the_hold_where_there_were_enough_of_them(tmp_path: Path) -> None:
    hold = {"seconds": 10.0, "counters": {"sent": {"chatty": 60_000}, "received": {"chatty": 60_000}}}
    found = calibrated(measured(tmp_path / "run", said={"hold": hold, "haproxy": {"hold": {"cpu_s": 1.2}}}))
    assert found.costs.message_s == pytest.approx(1e-5)
    assert found.fleet.messages_per_s == pytest.approx(120_000 / 10 / 600)


def test_the_cohorts_and_timers_are_the_fleets(tmp_path: Path) -> None:
    fleet = calibrated(measured(tmp_path / "run")).fleet
    assert fleet.tunnels == 2000
    assert fleet.active_share == pytest.approx(0.3)
    assert fleet.ping_every_ns == 20_000_000_000
    assert fleet.timeouts_ns["tunnel"] == 3600 * 10**9


def test_a_newer_release_takes_what_is_not_measured_from_the_nearest_older_one(tmp_path: Path) -> None:
    costs = calibrated(measured(tmp_path / "run", said={"haproxy": {"version": "3.3.1"}})).costs
    assert costs.release == "3.3"
    assert costs.tls_bytes == RELEASES["3.2"].tls_bytes


def test_a_suspect_run_is_taken_with_its_reason(tmp_path: Path) -> None:
    verdict = {"verdict": {"validity": "suspect", "reasons": ["3 log lines lost"]}}
    (doubt,) = calibrated(measured(tmp_path / "run", said=verdict)).doubts
    assert doubt == "run is suspect: 3 log lines lost"


def test_timers_that_only_some_cohorts_had_are_left_out_with_a_word(tmp_path: Path) -> None:
    own_ms = {"idle": {"tunnel": 30_000}}
    found = calibrated(measured(tmp_path / "run", cohort_timers_ms=own_ms))
    assert found.fleet.timeouts_ns["tunnel"] == 3600 * 10**9
    assert found.doubts == [
        "run: timeout tunnel was 30s for idle alone, which is left out; type --timeout tunnel=30s to take it"
    ]


@pytest.mark.parametrize(
    ("said", "choices", "reason"),
    [
        ({"partial": True}, {}, "the run was cut short"),
        ({"verdict": {"validity": "invalid", "reasons": ["lag p99 80 ms"]}}, {}, "not valid (lag p99 80 ms)"),
        ({"via": "direct"}, {}, "drove no HAProxy of its own"),
        ({"haproxy": {"version": "2.6.12", "shared_by": 3}}, {}, "shared its HAProxy with other cells"),
        ({}, {"cohorts": {"idle": 300}}, "too few to tell what one costs"),
        ({}, {"summary": False}, "has no summary.json"),
    ],
)
def test_a_run_that_is_no_measure_is_refused_with_the_reason(
    said: dict[str, Any], choices: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = measured(tmp_path / "run", said=said, **choices)
    with pytest.raises(FolderError) as refused:
        calibrate(RunFolder(path), Profile(title="made"))
    assert reason in str(refused.value)
    assert str(path) in str(refused.value)
