"""A campaign of two axes as heat maps: a square per cell, the SLO's boundary, and the recommended one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from wsload.analysis.campaign import CellResult, Point, axis_title
from wsload.analysis.knee import plateau_at_limit
from wsload.analysis.measured import TUNNEL_AXIS
from wsload.analysis.recommend import Recommendation
from wsload.record.outcome import Validity, Verdict
from wsload.report.campaign_drawing import SLO_MARKS, worst_slo
from wsload.report.doubt_captions import worst_grade
from wsload.report.marks import draw_square
from wsload.report.style import GREEN, INK, QUIET_INK, VERMILLION, duration_text, figure_of
from wsload.report.value_axis import axis_label
from wsload.units import format_count

Grid = NDArray[np.float64]
_DARK_BELOW = 0.45
"""Of the colour scale: text on darker squares is white."""


def capacity_of(cell: CellResult) -> float:
    """Live tunnels within the SLO; without a search, those held."""
    return cell.capacity.capacity if cell.capacity is not None else float(cell.held)


def held_percent_of(cell: CellResult) -> float:
    """The share of planned tunnels held, in percent."""
    return 100 * cell.held / cell.planned if cell.planned else float("nan")


def cuts_per_hour_of(cell: CellResult) -> float:
    """Of a search: at its highest level where nothing else broke; else over the hold."""
    if cell.capacity is not None:
        plateau = plateau_at_limit(cell.capacity.plateaus)
        return plateau.cuts_per_hour if plateau is not None else float("nan")
    return cell.disconnect_unexpected * 3600 / cell.hold_s if cell.hold_s else float("nan")


@dataclass(frozen=True)
class Squares:
    """What a heat map shows: values of the first axis as rows, of the second as columns."""

    rows: Sequence[Point]
    columns: Sequence[Point]
    names: Sequence[str]
    advice: Recommendation | None = None


def draw_capacity_map(axes: Axes, grid: Squares) -> None:
    """Capacity per cell where they searched, else held share; the value and the SLO's sign in each."""
    rows, columns = grid.rows, grid.columns
    if any(cell.capacity is not None for row in rows for cell in row.cells):
        values = _grid(rows, columns, capacity_of)

        def text(value: float, group: Sequence[CellResult]) -> str:
            return f"{value:,.0f}\n{_sign(group)}"

        top = max(float(np.nanmax(values)), 1.0)
        _squares(axes, values, rows, columns, text, Normalize(0, top), "live tunnels within the SLO")
    else:
        values = _grid(rows, columns, held_percent_of)

        def text(value: float, group: Sequence[CellResult]) -> str:
            return f"{value:.1f}%\n{np.mean([cell.held for cell in group]):,.0f} {_sign(group)}"

        _squares(axes, values, rows, columns, text, Normalize(0, 100), "tunnels held at the end of hold (%)")
    _finish(axes, grid)


def draw_cuts_map(axes: Axes, grid: Squares) -> None:
    """Cuts per hour in each cell, on a log scale."""
    rows, columns = grid.rows, grid.columns
    values = _grid(rows, columns, cuts_per_hour_of)
    cut = values[np.isfinite(values) & (values > 0)]
    low, high = (float(cut.min()), float(cut.max())) if len(cut) else (1.0, 10.0)
    norm = LogNorm(low, max(high, low * 10), clip=True)
    _squares(axes, values, rows, columns, lambda value, _: format_count(value), norm, "cuts per hour")
    _finish(axes, grid)


def _grid(rows: Sequence[Point], columns: Sequence[Point], value: Callable[[CellResult], float]) -> Grid:
    """The mean over repeats; NaN where a cell has no result."""
    groups = [[_group(row, column) for column in columns] for row in rows]
    return np.array(
        [[np.mean([value(cell) for cell in group]) if group else np.nan for group in line] for line in groups]
    )


def _group(row: Point, column: Point) -> list[CellResult]:
    return [cell for cell in row.cells if cell in column.cells]


def _sign(group: Sequence[CellResult]) -> str:
    verdict = worst_slo(group)
    return SLO_MARKS[verdict][0] if verdict is not Verdict.NONE else ""


def _squares(
    axes: Axes,
    values: Grid,
    rows: Sequence[Point],
    columns: Sequence[Point],
    text: Callable[[float, Sequence[CellResult]], str],
    norm: Normalize,
    label: str,
) -> None:
    # On a log scale nothing has no place: it takes the lowest colour.
    shown = np.maximum(values, norm.vmin or 0.0)
    image = axes.imshow(shown, cmap="cividis", norm=norm, aspect="auto", origin="lower")
    figure_of(axes).colorbar(image, ax=axes, pad=0.02).set_label(label)
    for y, row in enumerate(rows):
        for x, column in enumerate(columns):
            group = _group(row, column)
            if group:
                validity = worst_grade(cell.validity for cell in group)
                draw_square(axes, x, y, validity)
                is_dark = validity is not Validity.INVALID and norm(shown[y, x]) < _DARK_BELOW
                color = "white" if is_dark else INK
                words = text(float(values[y, x]), group)
                if validity is not Validity.VALID:
                    words += f"\n{validity}"
                drawn = axes.text(x, y, words, ha="center", va="center", fontsize=9.5, color=color)
                if validity is Validity.INVALID:
                    drawn.set_path_effects([withStroke(linewidth=3, foreground="white")])
            else:
                axes.text(x, y, "no result", ha="center", va="center", fontsize=9, color=QUIET_INK)


def _finish(axes: Axes, grid: Squares) -> None:
    """Axes, the SLO's boundary and the recommended point."""
    rows, columns, names = grid.rows, grid.columns, grid.names
    axes.set_xticks(range(len(columns)), [point.text for point in columns])
    axes.set_yticks(range(len(rows)), [point.text for point in rows])
    axes.set_ylabel(axis_label(names[0], [point.text for point in rows]))
    axes.set_xlabel(axis_label(names[1], [point.text for point in columns]))
    axes.grid(visible=False)
    axes.vlines(np.arange(len(columns) - 1) + 0.5, -0.5, len(rows) - 0.5, color="white", linewidth=2)
    axes.hlines(np.arange(len(rows) - 1) + 0.5, -0.5, len(columns) - 0.5, color="white", linewidth=2)
    passed = np.array([[worst_slo(_group(row, column)) for column in columns] for row in rows])
    if _draw_boundary(axes, passed):
        words = f"boundary of the SLO, {SLO_MARKS[Verdict.PASSED][0]} from {SLO_MARKS[Verdict.FAILED][0]}"
        axes.text(0.0, 1.02, words, transform=axes.transAxes, fontsize=9, color=VERMILLION)
    if grid.advice is not None and grid.advice.timer_s is not None:
        _mark(axes, grid, grid.advice.timer_s, grid.advice.fixed)


def _draw_boundary(axes: Axes, verdicts: NDArray[np.str_]) -> bool:
    """A line between squares that met the SLO and those that did not; whether there is any."""
    beside, above = _differ(verdicts[:, :-1], verdicts[:, 1:]), _differ(verdicts[:-1], verdicts[1:])
    for y, x in np.argwhere(beside):
        axes.vlines(x + 0.5, y - 0.5, y + 0.5, color=VERMILLION, linewidth=3.2, zorder=4)
    for y, x in np.argwhere(above):
        axes.hlines(y + 0.5, x - 0.5, x + 0.5, color=VERMILLION, linewidth=3.2, zorder=4)
    return bool(beside.any() or above.any())


def _differ(one: NDArray[np.str_], other: NDArray[np.str_]) -> NDArray[np.bool_]:
    passed, failed = str(Verdict.PASSED), str(Verdict.FAILED)
    differ: NDArray[np.bool_] = ((one == passed) & (other == failed)) | ((one == failed) & (other == passed))
    return differ


def _mark(axes: Axes, grid: Squares, timer_s: float, fixed: Mapping[str, str]) -> None:
    """A star at the recommended timer, between the squares where it lies between their values."""
    sides = [(grid.rows, grid.names[0]), (grid.columns, grid.names[1])]
    places = []
    for along, name in sides:
        if name == TUNNEL_AXIS:
            logs = np.log([point.x for point in along])
            places.append(float(np.interp(np.log(timer_s), logs, np.arange(len(along)))))
        else:
            places.append(float([point.text for point in along].index(fixed[name])))
    y, x = places
    # Beside the figures, which stand in the squares' middle.
    axes.plot(x + 0.33, y, "*", color=GREEN, markersize=17, markeredgecolor="white", zorder=6)
    axes.set(xlim=(-0.5, len(grid.columns) - 0.5), ylim=(-0.5, len(grid.rows) - 0.5))
    values = {TUNNEL_AXIS: duration_text(timer_s)} | dict(fixed)
    words = ", ".join(f"{axis_title(name)} {values[name]}" for name in grid.names)
    text = axes.text(1.0, 1.02, f"\N{BLACK STAR} recommended: {words}", transform=axes.transAxes)
    text.set(ha="right", fontsize=9, fontweight="bold", color=GREEN)
