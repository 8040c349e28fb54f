"""The knee, read from a run's folder."""

import csv
from pathlib import Path

import msgspec
import pytest

from tests.analysis.made_plateaus import FAILED_ROW, plateau
from tests.made_folder import make_folder
from wsload.analysis.folder import PLATEAU, RunFolder
from wsload.analysis.knee import read_knee
from wsload.profile.load import parse_profile
from wsload.profile.model import Profile
from wsload.record import layout
from wsload.record.layout import ActionLine
from wsload.record.outcome import Limit
from wsload.record.summary import Plateau

SEARCH = """
[capacity]
from = 50
to = 150
[slo]
handshake_failed = ["rate<1%"]
"""


def profile(*overrides: str) -> Profile:
    return parse_profile(SEARCH, "p.toml", overrides)


def searched(path: Path, *plateaus: Plateau) -> Path:
    """A folder of a run in which these levels were tried."""
    actions = [ActionLine(each.end_s, PLATEAU, msgspec.to_builtins(each)) for each in plateaus]
    return make_folder(path, actions=actions)


PLATEAUS = (
    plateau(50, opened_s=0, end_s=4.5),
    plateau(150, passed=False, opened_s=5, end_s=8, slo_rows=[FAILED_ROW], peak_slots=900),
)


def refuse_memory(path: Path, from_s: float, times: int) -> None:
    """HAProxy says nothing for two seconds, and then that it was refused memory."""
    with (path / layout.HAPROXY_STATS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (path / layout.HAPROXY_STATS).open("w", newline="") as file:
        writer = csv.DictWriter(file, layout.HAPROXY_STATS_COLUMNS)
        writer.writeheader()
        for row in rows:
            t_s = float(row["t_s"])
            if not from_s <= t_s < from_s + 2:
                writer.writerow(row | {"pool_failed": times if t_s >= from_s else 0})


def test_a_run_without_a_search_or_without_a_plateau_has_no_knee(tmp_path: Path) -> None:
    folder = RunFolder(searched(tmp_path / "a"))
    assert read_knee(folder, profile()) is None
    tried = RunFolder(searched(tmp_path / "b", *PLATEAUS))
    assert read_knee(tried, parse_profile("", "p.toml")) is None


def test_the_knee_says_how_levels_were_held_and_what_bound(tmp_path: Path) -> None:
    found = read_knee(RunFolder(searched(tmp_path, *PLATEAUS)), profile())
    assert found is not None
    assert (found.level, found.first_failed, found.limit) == (50, 150, Limit.UNKNOWN)
    assert found.held.startswith("held 1h15s: 1h until the idle timer has fired for all, 10s for who waits")
    assert [each.allocations_failed for each in found.plateaus] == [0, 0]


def test_a_haproxy_that_was_refused_memory_says_so_only_afterwards(tmp_path: Path) -> None:
    path = searched(tmp_path, *PLATEAUS)
    refuse_memory(path, 6.5, 439)
    found = read_knee(RunFolder(path), profile())
    assert found is not None
    assert [each.allocations_failed for each in found.plateaus] == [0, 439]
    assert (found.limit, found.evidence) == (Limit.MEMORY, "HAProxy was refused memory 439 times")


@pytest.mark.parametrize(
    ("setting", "limit"),
    [("haproxy.maxconn=1000", Limit.MAXCONN), ("haproxy.nofile=2030", Limit.DESCRIPTORS)],
)
def test_a_maxconn_that_haproxy_worked_out_itself_is_its_descriptors(
    tmp_path: Path, setting: str, limit: Limit
) -> None:
    full = plateau(150, passed=False, opened_s=5, end_s=8, peak_slots=1000)
    found = read_knee(RunFolder(searched(tmp_path, PLATEAUS[0], full)), profile(setting))
    assert found is not None
    assert found.limit == limit
