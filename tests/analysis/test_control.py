"""A control arm read back from a campaign's folder."""

import csv
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.made_folder import Ends, make_folder
from wsload.analysis.campaign import read_campaign
from wsload.analysis.capacity_file import CAPACITY_FACTS, CONTROL_FACTS, is_control
from wsload.analysis.control import control_arms, control_facts
from wsload.analysis.folder import RunFolder
from wsload.analysis.knee import knee_of
from wsload.record import layout
from wsload.record.outcome import Cause
from wsload.record.summary import Plateau
from wsload.report.html import write_campaign_html
from wsload.report.text import campaign_table

AXES = ("haproxy.timeouts.tunnel", "load.hold")
CUT = Ends("idle", 50, 1.0, 1.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)


def campaign(folder: Path, rows: list[tuple[str, str, str]]) -> Path:
    """``capacity.csv`` with rows of tunnel, hold and run, whose folders are there."""
    with (folder / layout.CAPACITY).open("w", newline="") as file:
        writer = csv.DictWriter(file, [*AXES, *CAPACITY_FACTS, *CONTROL_FACTS], restval="")
        writer.writeheader()
        for tunnel, hold, run in rows:
            facts = {"planned": 100, "opened": 100, "held": 100, "validity": "valid", "run": run}
            writer.writerow(dict(zip(AXES, (tunnel, hold), strict=True)) | facts)
    return folder


def made(folder: Path, *, via: str = "haproxy", ends: tuple[Ends, ...] = (), latency_ms: float = 2.0) -> None:
    """A run's folder; its echoes took ``latency_ms``."""
    make_folder(folder, via=via, ends=ends)
    summary = RunFolder(folder).summary()
    assert summary is not None
    summary.metrics["echo_corrected"]["all"] = {"p50": latency_ms, "p99": latency_ms}
    (folder / layout.SUMMARY).write_bytes(msgspec.json.encode(summary))


def beside(folder: Path, *others: str) -> None:
    info = RunFolder(folder).info
    info.beside = list(others)
    (folder / layout.PLAN).write_bytes(msgspec.json.encode(info))


@pytest.fixture
def swept(tmp_path: Path) -> Path:
    """Two cells and a control; the shorter timer cuts half of the idle tunnels."""
    made(tmp_path / "tunnel=1s", ends=(CUT,), latency_ms=3.0)
    made(tmp_path / "tunnel=9s", latency_ms=5.0)
    made(tmp_path / "control", via="direct", latency_ms=2.0)
    return campaign(tmp_path, [("1s", "", "tunnel=1s"), ("9s", "", "tunnel=9s"), ("", "", "control")])


def test_a_control_is_set_against_all_cells(swept: Path) -> None:
    (arm,) = control_arms(swept)
    assert (arm.control.run, [cell.run for cell in arm.cells]) == ("control", ["tunnel=1s", "tunnel=9s"])
    assert (arm.at_once, arm.level) == (False, None)
    assert [cell.cuts for cell in arm.cells] == [{"haproxy_tunnel_timeout": 50}, {}]
    assert arm.causes() == ["haproxy_tunnel_timeout"]
    added = {each.figure: each for each in arm.added()}
    figure = added["echo", "p50"]
    assert (figure.without_ms, figure.with_ms, figure.least_ms, figure.most_ms) == (2.0, 4.0, 3.0, 5.0)
    assert figure.stands_out


def test_only_cells_that_ran_beside_it_are_compared_where_there_are_any(swept: Path) -> None:
    beside(swept / "control", "tunnel=9s")
    (arm,) = control_arms(swept)
    assert ([cell.run for cell in arm.cells], arm.at_once) == (["tunnel=9s"], True)


def test_each_control_has_the_cells_of_its_own_values(tmp_path: Path) -> None:
    rows = [("1s", hold, f"tunnel=1s,hold={hold}") for hold in ("5s", "10s")]
    rows += [("", hold, f"control,hold={hold}") for hold in ("5s", "10s")]
    for _, _, run in rows:
        made(tmp_path / run, via="direct" if is_control(run) else "haproxy")
    arms = control_arms(campaign(tmp_path, rows))
    assert [(arm.control.run, [cell.run for cell in arm.cells]) for arm in arms] == [
        ("control,hold=5s", ["tunnel=1s,hold=5s"]),
        ("control,hold=10s", ["tunnel=1s,hold=10s"]),
    ]


def test_a_control_that_was_cut_short_says_nothing(swept: Path) -> None:
    (swept / "control" / layout.SUMMARY).unlink()
    assert control_arms(swept) == []


def test_a_control_is_no_point_of_the_grid(swept: Path) -> None:
    info, cells = read_campaign(swept)
    assert [cell.run for cell in cells] == ["tunnel=1s", "tunnel=9s"]
    assert info.failed == ()
    assert set(cells[0].axes) == set(AXES)


def test_what_it_is_compared_by_stands_in_columns_that_the_table_leaves_out(swept: Path) -> None:
    (arm,) = control_arms(swept)
    facts = control_facts(arm.cells[0])
    assert facts == {"echo_p50_ms": 3.0, "echo_p99_ms": 3.0, "cuts": "haproxy_tunnel_timeout=50"}
    assert set(facts) <= set(CONTROL_FACTS)
    rows = [{"run": "control", "validity": "valid", "cuts": "x=1"}]
    assert "cuts" not in campaign_table(rows)


def test_the_page_says_what_haproxy_adds(swept: Path) -> None:
    page = write_campaign_html(swept, "sweep").read_text()
    assert "What HAProxy adds" in page
    assert "p50 2ms more with HAProxy (2ms without, 4ms with it" in page


def plateau(level: int, **changes: Any) -> Plateau:
    facts: dict[str, Any] = {
        "opened_s": 0.0,
        "judged_s": 5.0,
        "end_s": 9.0,
        "live": float(level),
        "passed": True,
    }
    return Plateau(level=level, **(facts | changes))


def searched(folder: Path, *plateaus: Plateau, via: str = "haproxy", ends: tuple[Ends, ...] = ()) -> None:
    """A run's folder whose search came to these levels."""
    made(folder, via=via, ends=ends)
    summary = RunFolder(folder).summary()
    assert summary is not None
    summary.capacity = knee_of(plateaus)
    (folder / layout.SUMMARY).write_bytes(msgspec.json.encode(summary))


def test_searches_are_compared_at_the_highest_level_that_both_held(tmp_path: Path) -> None:
    early = Ends("idle", 5, 1.0, 1.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)  # before the judged part
    late = Ends("chatty", 6, 6.0, 6.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)
    levels = [plateau(100), plateau(150, live=140.4, failed=2), plateau(200, passed=False)]
    searched(tmp_path / "tunnel=1s", *levels, ends=(early, late))
    searched(tmp_path / "tunnel=9s", plateau(100), plateau(200, passed=False))
    searched(tmp_path / "control", plateau(100), plateau(150), plateau(200), via="direct")
    rows = [("1s", "", "tunnel=1s"), ("9s", "", "tunnel=9s"), ("", "", "control")]
    (arm,) = control_arms(campaign(tmp_path, rows))
    assert arm.level == 150
    (cell,) = arm.cells  # the other did not offer the level
    assert (cell.run, cell.tunnels, cell.failed, cell.judged_s) == ("tunnel=1s", 140, 2, 4.0)
    in_time = [row for row in RunFolder(tmp_path / "tunnel=1s").disconnects() if 5 < row.t_s <= 9]
    assert 0 < len(in_time) <= 6
    assert cell.cuts == {"haproxy_tunnel_timeout": len(in_time)}
    assert cell.cut_rate("haproxy_tunnel_timeout") == pytest.approx(len(in_time) / 140 / 4)
    assert set(cell.latency_ms) >= {("echo", "p50"), ("handshake", "p99")}


def test_where_no_level_was_held_by_both_the_lowest_is_compared(tmp_path: Path) -> None:
    searched(tmp_path / "tunnel=1s", plateau(100, passed=False), plateau(200, passed=False))
    searched(tmp_path / "control", plateau(100), plateau(200), via="direct")
    (arm,) = control_arms(campaign(tmp_path, [("1s", "", "tunnel=1s"), ("", "", "control")]))
    assert arm.level == 100
