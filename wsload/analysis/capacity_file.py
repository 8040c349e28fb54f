"""A campaign's ``capacity.csv``: its columns, and its rows as written."""

import csv
from collections.abc import Mapping
from pathlib import Path

from wsload.analysis.knee import plateau_at_limit
from wsload.errors import FolderError
from wsload.record import layout
from wsload.record.summary import CapacityResult

CAPACITY_FACTS = (
    "planned",
    "opened",
    "held",
    "held_share",
    "disconnect_unexpected",
    "peak_slots",
    "slo",
    "validity",
    "capacity",
    "level",
    "first_failed",
    "limit",
    "live_at_limit",
    "cuts_per_hour",
    "ghosts",
    "run",
)
"""The columns of ``capacity.csv`` after the axes. Of a search, and empty in cells without one, are those from
``capacity`` to ``ghosts``; the last three at the highest level where nothing but cuts broke the SLO."""
CONTROL_FACTS = (
    "echo_p50_ms",
    "echo_p99_ms",
    "handshake_p50_ms",
    "handshake_p99_ms",
    "ping_p50_ms",
    "ping_p99_ms",
    "cuts",
)
"""More columns of ``capacity.csv``, where a campaign has a control: what it is compared by. ``cuts`` is
``CAUSE=COUNT`` for each cause."""
_NO_AXIS = {*CAPACITY_FACTS, *CONTROL_FACTS, "repeat"}


def read_capacity(path: Path) -> list[dict[str, str]]:
    """The rows of a campaign's ``capacity.csv``, as written.

    Raises:
        FolderError: ``path`` is no campaign's folder.
    """
    try:
        with (path / layout.CAPACITY).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise FolderError(
            f"{path}: holds no readable {layout.CAPACITY}, so no campaign; "
            "name the folder that wsload campaign wrote"
        ) from error


def grid_rows(path: Path) -> list[dict[str, str]]:
    """Those of :func:`read_capacity` that are points of the grid."""
    return [row for row in read_capacity(path) if not is_control(row["run"])]


def is_control(run: str) -> bool:
    """Whether a run's folder in a campaign is of its control arm, without HAProxy."""
    return run.partition(",")[0] == layout.CONTROL


def axes_of(row: Mapping[str, str]) -> dict[str, str]:
    """The axes' values in a row of ``capacity.csv``."""
    return {key: value for key, value in row.items() if key not in _NO_AXIS}


def search_facts(found: CapacityResult | None) -> dict[str, object]:
    """The columns of ``capacity.csv`` that are of a search."""
    if found is None:
        return {}
    at_limit = plateau_at_limit(found.plateaus)
    return {
        "capacity": round(found.capacity),
        "level": found.level,
        "first_failed": "" if found.first_failed is None else found.first_failed,
        "limit": found.limit,
        "live_at_limit": round(found.live_at_limit),
        "cuts_per_hour": round(at_limit.cuts_per_hour) if at_limit is not None else "",
        "ghosts": round(at_limit.ghosts) if at_limit is not None else "",
    }
