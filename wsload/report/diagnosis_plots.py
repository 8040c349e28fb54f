"""The diagnosis as a picture: what the client saw against what HAProxy logged, each cell by cause.

Import lazily from the CLI: this module imports matplotlib.
"""

import textwrap
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from wsload.analysis.advice import CAUSE_WORDS
from wsload.analysis.diagnosis import Cell, Diagnosis
from wsload.analysis.folder import RunFolder
from wsload.record import layout
from wsload.record.outcome import Cause, Confidence
from wsload.report.doubt_captions import counted_words, doubts_of
from wsload.report.plots import run_caption
from wsload.report.style import (
    INK,
    QUIET_INK,
    Caption,
    Look,
    house_style,
    look_of,
    new_figure,
    remark,
    save,
    say,
)
from wsload.units import format_count

MOST_ROWS, MOST_COLUMNS = 10, 6
OTHER = "other"
_LABELS_IN, _MARGIN_IN, _PAD_IN = 1.75, 0.22, 0.1
_HEAD_IN, _HEAD_TOP_IN, _LINE_IN, _BAR_IN = 0.76, 0.25, 0.155, 0.13
_SHORTEST_IN = 0.05
"""Of a bar, so that one tunnel shows."""
_CHARS_PER_IN = 15.0
"""Of text at 8.5 points."""
_GRID, _HEAD_FILL = "#c9c9c9", "#f3f3f3"
_PLANNED = Look("#b8b8b8", "-", "o", "")
_LOOKS: Mapping[Cause, Look] = {Cause.PLANNED: _PLANNED} | {
    cause: look_of(number)
    for number, cause in enumerate(cause for cause in Cause if cause is not Cause.PLANNED)
}
"""As in the plot of disconnects by idle time."""
_STATE_WORDS = {
    "cD": "client-side timer",
    "sD": "server-side timer",
    "CD": "client-side reset",
    "SD": "server-side reset",
    "--": "clean close",
    "": "no log line",
}
"""The first two flags, of the configuration manual, section 8.5."""
_KILLED_WORDS = {"K": "killed", "D": "server down"}


@dataclass(frozen=True)
class _Entry:
    """One cause in one cell."""

    cause: Cause
    count: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Grid:
    """Names of rows and columns with their totals, and what stands in each cell."""

    rows: Mapping[str, int]
    columns: Mapping[str, int]
    cells: Mapping[tuple[str, str], Sequence[_Entry]]

    @property
    def largest(self) -> int:
        return max(entry.count for entries in self.cells.values() for entry in entries)

    def height_in(self, row: str) -> float:
        """Of a row: its fullest cell's."""
        heights = [_entries_in(self.cells.get((row, column), ())) for column in self.columns]
        return max(*heights, _LINE_IN * (len(_row_label(row)) + 1)) + 2 * _PAD_IN


def write_diagnosis_plots(folder: RunFolder, diagnosis: Diagnosis) -> list[Path]:
    """Draw ``plots/diagnosis.png`` and ``.svg`` into the run's folder; returns the files written."""
    with house_style():
        caption = replace(run_caption(folder), doubts=counted_words(doubts_of(folder)))
        figure = _matrix_figure(diagnosis, caption)
        return save(figure, folder.path / layout.PLOTS, "diagnosis")


def _matrix_figure(diagnosis: Diagnosis, caption: Caption) -> Figure:
    title = "Who closed the tunnels: what clients saw, what HAProxy logged"
    if not diagnosis.matrix:
        figure, (axes,) = new_figure(title, caption, panel_heights_in=(1.2,), legend=False)
        say(axes, "no tunnel ended in this run")
        axes.set_xticks([])
        return figure
    width_in = 10.0 - 2 * _MARGIN_IN
    grid = _grid(diagnosis.matrix, width_in)
    height_in = _HEAD_IN + sum(grid.height_in(row) for row in grid.rows)
    figure, (axes,) = new_figure(title, caption, panel_heights_in=(height_in,), legend=False)
    box = axes.get_position()
    axes.set_position((_MARGIN_IN / 10.0, box.y0, width_in / 10.0, box.height))
    axes.set_axis_off()
    axes.set_xlim(0, width_in)
    axes.set_ylim(height_in, 0)  # inches, from the top
    _draw(axes, grid, width_in)
    remark(figure, "bars to one scale; a verdict that is not certain says so")
    return figure


def _grid(cells: Sequence[Cell], width_in: float) -> _Grid:
    rows, columns = Counter[str](), Counter[str]()
    for cell in cells:
        rows[cell.client_saw] += cell.count
        columns[cell.termination] += cell.count
    shown_rows, shown_columns = _most(rows, MOST_ROWS), _most(columns, MOST_COLUMNS)
    counts: dict[tuple[str, str], dict[Cause, Counter[Confidence]]] = defaultdict(
        lambda: defaultdict(Counter)
    )
    for cell in cells:
        row = cell.client_saw if cell.client_saw in shown_rows else OTHER
        column = cell.termination if cell.termination in shown_columns else OTHER
        counts[row, column][cell.cause].update(cell.confidence)
    chars = int((((width_in - _LABELS_IN) / len(shown_columns)) - 2 * _PAD_IN) * _CHARS_PER_IN)
    return _Grid(
        rows=shown_rows,
        columns=shown_columns,
        cells={place: _entries(by_cause, chars) for place, by_cause in counts.items()},
    )


def _most(counts: Counter[str], most: int) -> dict[str, int]:
    """The most frequent, in order; what is beyond ``most`` is one ``other``, and no log line comes last."""
    ordered = sorted(counts.items(), key=lambda item: (item[0] == "", -item[1], item[0]))
    if len(ordered) <= most:
        return dict(ordered)
    ranked = sorted(ordered, key=lambda item: -item[1])[: most - 1]
    shown = {name: count for name, count in ordered if (name, count) in ranked}
    return {**shown, OTHER: counts.total() - sum(shown.values())}


def _entries(by_cause: Mapping[Cause, Counter[Confidence]], chars: int) -> list[_Entry]:
    entries = []
    for cause, confidence in by_cause.items():
        unsure = [name for name in (Confidence.LIKELY, Confidence.GUESS) if confidence[name]]
        words = CAUSE_WORDS[cause] + (f" ({', '.join(unsure)})" if unsure else "")
        entries.append(_Entry(cause, confidence.total(), tuple(textwrap.wrap(words, max(chars, 10)))))
    return sorted(entries, key=lambda entry: (-entry.count, entry.cause))


def _entries_in(entries: Sequence[_Entry]) -> float:
    """Height of a cell's content."""
    each_in = [_BAR_IN + _LINE_IN * (1 + len(entry.lines)) for entry in entries]
    return sum(each_in) + _PAD_IN * max(len(entries) - 1, 0)


def _row_label(row: str) -> list[str]:
    return textwrap.wrap(row, int((_LABELS_IN - _PAD_IN) * _CHARS_PER_IN) - 2)


def _state_words(state: str) -> str:
    return _KILLED_WORDS.get(state[:1]) or _STATE_WORDS.get(state[:2], "")


def _draw(axes: Axes, grid: _Grid, width_in: float) -> None:
    column_in = (width_in - _LABELS_IN) / len(grid.columns)
    left_in = {column: _LABELS_IN + number * column_in for number, column in enumerate(grid.columns)}
    axes.add_patch(Rectangle((0, 0), width_in, _HEAD_IN, facecolor=_HEAD_FILL, edgecolor="none"))
    _text(axes, _PAD_IN, _HEAD_IN - 0.16, "the client saw", color=QUIET_INK)
    _text(axes, _LABELS_IN + _PAD_IN, 0.15, "HAProxy's termination state", color=QUIET_INK)
    for column, x_in in left_in.items():
        name = column or "none"
        _text(
            axes,
            x_in + _PAD_IN,
            0.4,
            f"{name}  ({format_count(grid.columns[column])})",
            weight="bold",
            size=10,
        )
        _text(axes, x_in + _PAD_IN, _HEAD_IN - 0.16, _state_words(column))
    y_in = _HEAD_IN
    for row, count in grid.rows.items():
        _line(axes, (0, width_in), (y_in, y_in))
        lines = [*_row_label(row), f"({format_count(count)})"]
        for number, line in enumerate(lines):
            weight = "bold" if number < len(lines) - 1 else "normal"
            _text(axes, _PAD_IN, y_in + _PAD_IN + _LINE_IN * (number + 0.5), line, weight=weight, size=9)
        for column, x_in in left_in.items():
            _draw_cell(axes, grid, (row, column), (x_in + _PAD_IN, y_in + _PAD_IN), column_in - 2 * _PAD_IN)
        y_in += grid.height_in(row)
    _line(axes, (0, width_in), (y_in, y_in))
    for x_in in left_in.values():
        _line(axes, (x_in, x_in), (_HEAD_TOP_IN, y_in))


def _draw_cell(
    axes: Axes, grid: _Grid, place: tuple[str, str], corner_in: tuple[float, float], width_in: float
) -> None:
    x_in, y_in = corner_in
    for entry in grid.cells.get(place, ()):
        look = _LOOKS[entry.cause]
        bar_in = max(width_in * entry.count / grid.largest, _SHORTEST_IN)
        axes.add_patch(
            Rectangle(
                (x_in, y_in),
                bar_in,
                _BAR_IN,
                facecolor=look.color,
                hatch=look.hatch,
                edgecolor="white",
                linewidth=0.4,
            )
        )
        y_in += _BAR_IN + _LINE_IN
        _text(axes, x_in, y_in - _LINE_IN * 0.4, format_count(entry.count), weight="bold", size=9)
        for line in entry.lines:
            _text(axes, x_in, y_in + _LINE_IN * 0.6, line)
            y_in += _LINE_IN
        y_in += _PAD_IN


def _text(
    axes: Axes,
    x_in: float,
    y_in: float,
    text: str,
    *,
    weight: str = "normal",
    size: float = 8.5,
    color: str = INK,
) -> None:
    axes.text(x_in, y_in, text, fontsize=size, fontweight=weight, color=color, ha="left", va="center")


def _line(axes: Axes, x_in: tuple[float, float], y_in: tuple[float, float]) -> None:
    axes.plot(x_in, y_in, color=_GRID, linewidth=0.8, clip_on=False, label="_grid")
