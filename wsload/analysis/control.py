"""A campaign's control arm: the same load without HAProxy, beside the cells that had it.

Of a search for capacity the arms are compared at one level of tunnels, as levels differ between cells: the
highest that the control and a cell both held, or else the lowest, which every search offers. Whole runs are
compared of plain cells.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wsload.analysis.capacity_file import axes_of, is_control, read_capacity
from wsload.analysis.folder import Merged, RunFolder, add_interval
from wsload.analysis.plateau import SLACK_S
from wsload.analysis.summary import ALL
from wsload.record.histogram import Histogram
from wsload.record.outcome import NOT_CUTS, PlanAct, Validity
from wsload.record.summary import Plateau, Summary
from wsload.units import NS_PER_MS

METRICS = {"echo": "echo_corrected", "handshake": "handshake", "ping": "ping_rtt"}
"""What is compared -> the histogram."""
STATISTICS = {"p50": 50.0, "p99": 99.0}

Figure = tuple[str, str]
"""A key of :data:`METRICS` and one of :data:`STATISTICS`."""


@dataclass(frozen=True)
class Side:
    """One run, as far as it is compared."""

    run: str
    axes: Mapping[str, str]
    validity: str
    tunnels: int
    """Opened; at a level of a search, live on average."""
    failed: int
    """Openings."""
    latency_ms: Mapping[Figure, float]
    cuts: Mapping[str, int]
    """Cause -> tunnels that it ended against the plan; at a level, in its judged part."""
    judged_s: float | None = None
    """How long that was; None: this is a whole run."""

    def cut_rate(self, cause: str) -> float:
        """Of a whole run, the share of its tunnels; at a level, cuts per live tunnel and second."""
        return self.cuts.get(cause, 0) / max(self.tunnels, 1) / (self.judged_s or 1.0)


@dataclass(frozen=True)
class Added:
    """One figure without HAProxy and with it; ``with_ms`` is the median of the cells."""

    figure: Figure
    without_ms: float
    with_ms: float
    least_ms: float
    most_ms: float

    @property
    def stands_out(self) -> bool:
        """Whether the control lies outside of what the cells themselves spread over."""
        return not self.least_ms <= self.without_ms <= self.most_ms


@dataclass(frozen=True)
class ControlArm:
    """A control, and the cells that it is compared with."""

    control: Side
    cells: tuple[Side, ...]
    at_once: bool
    """They ran at the same time as the control; else after one another, on a host that was otherwise idle."""
    level: int | None
    """Of a search, the tunnels offered where they are compared; None: whole runs are."""

    def added(self) -> Iterator[Added]:
        """Every figure that both sides have."""
        for figure, without_ms in self.control.latency_ms.items():
            values = sorted(cell.latency_ms[figure] for cell in self.cells if figure in cell.latency_ms)
            if values:
                middle = (values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2
                yield Added(figure, without_ms, middle, values[0], values[-1])

    def causes(self) -> list[str]:
        """Every cause that cut a tunnel on either side, the most frequent first."""
        counts: Counter[str] = Counter()
        for side in (self.control, *self.cells):
            counts.update(side.cuts)
        return [cause for cause, _ in counts.most_common()]


def control_arms(campaign_folder: Path) -> list[ControlArm]:
    """Each control of a campaign that ran to its end, with the cells that differ from it in HAProxy alone.

    Where some of these ran at the same time as the control, they alone are compared: others had the host to
    themselves. Cells whose result is not valid are left out. Raises FolderError where there is no
    ``capacity.csv``.
    """
    rows = [row for row in read_capacity(campaign_folder) if row["run"]]
    whole = [run for row in rows if (run := _read(campaign_folder, row)) is not None]
    arms = []
    for control in whole:
        if not is_control(control.name):
            continue
        given = {axis: value for axis, value in control.axes.items() if value}
        alike = [
            each
            for each in whole
            if not is_control(each.name)
            and given.items() <= each.axes.items()
            and each.summary.verdict.validity != Validity.INVALID
        ]
        beside = [each for each in alike if each.name in control.folder.info.beside]
        arm = _arm(control, beside or alike, at_once=bool(beside))
        if arm.cells:
            arms.append(arm)
    return arms


def control_facts(side: Side) -> dict[str, object]:
    """The columns that ``capacity.csv`` has of a run that is compared with the control, or is it."""
    latencies = {f"{name}_{key}_ms": value for (name, key), value in side.latency_ms.items()}
    cuts = " ".join(f"{cause}={count}" for cause, count in sorted(side.cuts.items()))
    return {**latencies, "cuts": cuts}


@dataclass(frozen=True)
class _Run:
    name: str
    axes: Mapping[str, str]
    folder: RunFolder
    summary: Summary


def _read(campaign_folder: Path, row: Mapping[str, str]) -> _Run | None:
    """None where it did not run to its end."""
    if row["validity"] == Validity.INVALID and not row["opened"]:
        return None
    folder = RunFolder(campaign_folder / row["run"])
    summary = folder.summary()
    if summary is None or summary.partial:
        return None
    return _Run(row["run"], axes_of(row), folder, summary)


def _arm(control: _Run, cells: Sequence[_Run], *, at_once: bool) -> ControlArm:
    level = _common_level(control.summary, [cell.summary for cell in cells])
    sides = [side for cell in cells if (side := _side(cell, level)) is not None]
    mine = _side(control, level)
    assert mine is not None  # the level is one of its own
    return ControlArm(mine, tuple(sides), at_once, level)


def _common_level(control: Summary, cells: Sequence[Summary]) -> int | None:
    if control.capacity is None:
        return None
    held = {plateau.level for plateau in control.capacity.plateaus if plateau.passed}
    by_cells = {
        plateau.level
        for cell in cells
        if cell.capacity is not None
        for plateau in cell.capacity.plateaus
        if plateau.passed
    }
    return max(held & by_cells, default=min(plateau.level for plateau in control.capacity.plateaus))


def _side(run: _Run, level: int | None) -> Side | None:
    """None where a search did not offer the level, or a cell did not hold it though others did."""
    if level is None:
        return _whole(run)
    plateaus = run.summary.capacity.plateaus if run.summary.capacity is not None else []
    at_level = [plateau for plateau in plateaus if plateau.level == level]
    return _at(run, at_level[-1]) if at_level else None


def _whole(run: _Run) -> Side:
    summary = run.summary
    cuts: Counter[str] = Counter()
    for by_cause in summary.disconnects.values():
        cuts.update({cause: count for cause, count in by_cause.items() if cause not in NOT_CUTS})
    found = {
        (name, key): summary.metrics.get(metric, {}).get(ALL, {}).get(key)
        for name, metric in METRICS.items()
        for key in STATISTICS
    }
    latency_ms = {figure: float(value) for figure, value in found.items() if value is not None}
    opened, failed = summary.tunnels.opened, summary.tunnels.failed
    return Side(run.name, run.axes, summary.verdict.validity, opened, failed, latency_ms, cuts)


def _at(run: _Run, plateau: Plateau) -> Side:
    """Arrivals are of the whole plateau, all else of its judged part."""
    arrivals: Merged = {}
    judged: Merged = {}
    for line in run.folder.intervals():
        if plateau.opened_s + SLACK_S < line.t_s <= plateau.end_s + SLACK_S:
            add_interval(arrivals, line)
            if line.t_s > plateau.judged_s + SLACK_S:
                add_interval(judged, line)
    latency_ms = {}
    for name, metric in METRICS.items():
        histogram = _all_of(arrivals if metric == "handshake" else judged, metric)
        if histogram.total():
            for key, percentile in STATISTICS.items():
                latency_ms[name, key] = round(histogram.percentile_ns(percentile) / NS_PER_MS, 6)
    cuts = Counter(
        str(row.cause)
        for row in run.folder.iter_disconnects()
        if plateau.judged_s < row.t_s <= plateau.end_s
        and row.plan in (PlanAct.NOTHING, PlanAct.STALL)
        and row.cause not in NOT_CUTS
    )
    live, validity = round(plateau.live), run.summary.verdict.validity
    judged_s = plateau.end_s - plateau.judged_s
    return Side(run.name, run.axes, validity, live, plateau.failed, latency_ms, cuts, judged_s)


def _all_of(merged: Merged, metric: str) -> Histogram:
    total = Histogram()
    for phases in merged.values():
        for part in phases.values():
            if metric in part.histograms:
                total.merge(part.histograms[metric])
    return total
