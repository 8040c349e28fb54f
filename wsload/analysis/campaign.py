"""A campaign read back from its folder: each cell's result, the axes they lie on, and where cuts begin.

Reads ``capacity.csv`` and each cell's run folder; knows nothing of how cells were run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from wsload.analysis.capacity_file import axes_of, grid_rows
from wsload.analysis.folder import RunFolder
from wsload.analysis.host import host_words
from wsload.errors import FolderError
from wsload.record import layout
from wsload.record.outcome import NOT_CUTS
from wsload.record.summary import CapacityResult
from wsload.units import NS_PER_S, UnitError, parse_count, parse_duration_ns

CUT_SHARE = 0.01
"""A cohort counts as cut where more than this share of its tunnels was."""


@dataclass(frozen=True)
class CellResult:
    """One run of a campaign. ``axes`` is key -> value as typed; ``run`` the run folder's name."""

    axes: Mapping[str, str]
    planned: int
    opened: int
    held: int
    held_by_cohort: Mapping[str, int]
    planned_by_cohort: Mapping[str, int]
    peak_slots: int
    disconnect_unexpected: int
    slo: str
    validity: str
    run: str
    maxconn: int
    hold_s: float
    disconnects: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Cohort -> cause -> count."""
    metrics: Mapping[str, Mapping[str, Mapping[str, Any]]] = field(default_factory=dict)
    """Metric -> cohort -> statistics in ms."""
    capacity: CapacityResult | None = None
    """What its search came to; None where it does not search."""


@dataclass(frozen=True)
class CampaignInfo:
    """What all cells have in common, for titles. Numbers are of the first cell."""

    title: str
    profile: str
    axes: tuple[str, ...]
    tunnels: int
    ramp_s: float
    hold_s: float
    via: str
    timers_ms: Mapping[str, int]
    haproxy_version: str
    host: str
    """Who shares how many cores; empty where the folder does not say."""
    failed: tuple[Mapping[str, str], ...] = ()
    """The axes of cells without a result."""


class AxisKind(StrEnum):
    """What an axis's values are."""

    DURATION = "duration"
    NUMBER = "number"
    WORD = "word"


@dataclass(frozen=True)
class Point:
    """All repeats at one value of an axis. ``x`` is seconds, a number, or a position for words."""

    x: float
    text: str
    cells: tuple[CellResult, ...]


@dataclass(frozen=True)
class CutRegion:
    """Where a swept timer cuts tunnels. ``cohorts`` maps each cohort that is cut, in the profile's order,
    to the largest value on the axis that does it."""

    cohorts: Mapping[str, float]

    @property
    def up_to(self) -> float:
        """The largest value that cuts any cohort."""
        return max(self.cohorts.values())


def read_campaign(folder: Path) -> tuple[CampaignInfo, list[CellResult]]:
    """A campaign's folder, whole.

    Raises:
        FolderError: there is no ``capacity.csv``, or no cell has a result.
    """
    cells = cell_results(folder)
    runs = {cell.run for cell in cells}
    rows = grid_rows(folder)
    failed = tuple(axes_of(row) for row in rows if row["run"] not in runs)
    if not cells:
        raise FolderError(f"{folder}: none of its {len(rows)} cells has a result; run the campaign again")
    first = RunFolder(folder / cells[0].run)
    info = first.info
    summary = first.summary()
    return (
        CampaignInfo(
            title=folder.name,
            profile=info.title,
            axes=tuple(cells[0].axes),
            tunnels=info.tunnels,
            ramp_s=info.ramp_s,
            hold_s=info.hold_s,
            via=info.via,
            timers_ms=info.timers_ms,
            haproxy_version=str(summary.haproxy.get("version", "")) if summary else "",
            host=host_words(first.environment()),
            failed=failed,
        ),
        cells,
    )


def cell_results(campaign_folder: Path) -> list[CellResult]:
    """The cells that ran to their end, in the order of ``capacity.csv``; others are left out.

    Raises :class:`FolderError` when there is no ``capacity.csv``.
    """
    cells = []
    for row in grid_rows(campaign_folder):
        path = campaign_folder / row["run"]
        if not (row["run"] and (path / layout.SUMMARY).is_file()):
            continue
        run = RunFolder(path)
        summary, info = run.summary(), run.info
        if summary is None or summary.partial:
            continue
        cells.append(
            CellResult(
                axes=axes_of(row),
                planned=summary.tunnels.planned,
                opened=summary.tunnels.opened,
                held=summary.tunnels.held,
                held_by_cohort=summary.tunnels.held_by_cohort,
                planned_by_cohort=summary.tunnels.planned_by_cohort,
                peak_slots=int(row["peak_slots"] or 0),
                disconnect_unexpected=int(row["disconnect_unexpected"] or 0),
                slo=summary.verdict.slo,
                validity=summary.verdict.validity,
                run=row["run"],
                maxconn=info.maxconn,
                hold_s=info.hold_s,
                disconnects=summary.disconnects,
                metrics=summary.metrics,
                capacity=summary.capacity,
            )
        )
    return cells


def axis_kind(values: Sequence[str]) -> AxisKind:
    """Durations or numbers where every value is one and above 0 (they go on log scales), else words."""
    for kind, parse in _PARSERS.items():
        try:
            if values and all(parse(value) > 0 for value in values):
                return kind
        except UnitError:
            continue
    return AxisKind.WORD


def points(cells: Sequence[CellResult], axis: str) -> list[Point]:
    """Cells grouped by their value on ``axis``, ascending (words: in order of appearance)."""
    texts = list(dict.fromkeys(cell.axes[axis] for cell in cells))
    kind = axis_kind(texts)
    parse: Callable[[str], float] = texts.index if kind is AxisKind.WORD else _PARSERS[kind]
    grouped: dict[float, list[CellResult]] = {}
    for cell in cells:
        grouped.setdefault(parse(cell.axes[axis]), []).append(cell)
    return [Point(x, group[0].axes[axis], tuple(group)) for x, group in sorted(grouped.items())]


def is_timer(axis: str) -> bool:
    """Whether a grid key is a timeout, so that it can cut tunnels."""
    return axis.startswith("haproxy.timeouts.") or axis == "backend.idle_close"


def axis_title(axis: str) -> str:
    """A grid key in HAProxy's words: ``haproxy.timeouts.tunnel`` -> ``timeout tunnel``.

    A cohort's says whose it is: ``cohort.pinged.every`` -> ``ping interval of pinged``.
    """
    section, _, name = axis.rpartition(".")
    if section == "haproxy.timeouts":
        return f"timeout {name}"
    table, _, cohort = section.partition(".")
    if table == "cohort" and cohort:
        return f"{'ping interval' if name == 'every' else name.replace('_', ' ')} of {cohort}"
    return {"backend.idle_close": "backend idle close"}.get(axis, name.replace("_", " "))


def cohort_names(cells: Sequence[CellResult]) -> list[str]:
    """All cohorts, in the order of the profile."""
    return list(dict.fromkeys(name for cell in cells for name in cell.planned_by_cohort))


def cut_share(cell: CellResult, cohort: str) -> float:
    """The share of a cohort's planned tunnels that was open and then cut before the hold's end.

    Tunnels that never opened are no cut, nor are those the generator lost.
    """
    planned = cell.planned_by_cohort.get(cohort, 0)
    if not planned:
        return 0.0
    causes = cell.disconnects.get(cohort, {})
    ended = sum(count for cause, count in causes.items() if cause not in NOT_CUTS)
    return min(ended, planned - cell.held_by_cohort.get(cohort, 0)) / planned


def cut_region(cells: Sequence[CellResult], axis: str) -> CutRegion | None:
    """Up to which value of ``axis`` each cohort loses over :data:`CUT_SHARE` (in any repeat).

    None where no cohort did, or where the axis is no timer.
    """
    if not is_timer(axis):
        return None
    cut: dict[str, float] = {}
    for name in cohort_names(cells):
        for point in points(cells, axis):
            if any(cut_share(cell, name) > CUT_SHARE for cell in point.cells):
                cut[name] = point.x
    return CutRegion(cut) if cut else None


def _seconds(text: str) -> float:
    return parse_duration_ns(text) / NS_PER_S


_PARSERS: dict[AxisKind, Callable[[str], float]] = {
    AxisKind.DURATION: _seconds,
    AxisKind.NUMBER: parse_count,
}
