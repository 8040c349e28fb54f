"""How every plot looks: palette, frame, legends, time marks, and files with the same bytes every time.

Figures are made through matplotlib's objects (``Figure``, never pyplot), so nothing global stays behind
and no display is needed. Distances are laid out in inches by hand: legends stand beside the axes and
marks above them, so neither can cover data. Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/),
always beside a second sign (dash, marker or hatch) that survives a grey printer.
"""

import textwrap
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from matplotlib.transforms import blended_transform_factory

from wsload.units import NS_PER_S, format_duration

INK = "#1a1a1a"
QUIET_INK = "#5f5f5f"
BLACK, BLUE, VERMILLION, GREEN = "#000000", "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"

Dash = Literal["-"] | tuple[float, tuple[float, ...]]

_WIDTH_IN, _LEFT_IN, _RIGHT_IN, _LEGEND_IN = 10.0, 1.0, 0.45, 2.5
_FOOT_IN, _XLABEL_IN, _LINE_IN = 0.36, 0.55, 0.19
LIMIT_DASH: Dash = (0.0, (8.0, 2.0, 1.5, 2.0))
"""Of a limit such as maxconn."""
CUT_FILL, CUT_EDGE = "#ebe5d6", "#8a8478"
"""Where tunnels are cut: the ground, and its border."""
INVALID_FILL, INVALID_EDGE = "#fbe9df", "#e59c6c"
SUSPECT_FILL, SUSPECT_EDGE = "#fdf6e3", "#ecc664"
"""Behind what does not count, or may not: tints of vermillion and orange, as data may have either."""
MARK_ROW_IN = 0.19
"""Height of one row of marks above the axes."""
_DPI = 130
_DOT = " \N{MIDDLE DOT} "
_ALARM = "#A04000"
_SETTING_CHARS = 124
_LEGEND_CHARS = 25

_RC: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.0,
    "axes.labelsize": 10.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": "#808080",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dedede",
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": "#404040",
    "ytick.color": "#404040",
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "legend.handlelength": 2.8,
    "lines.linewidth": 1.9,
    "lines.markersize": 6.0,
    "hatch.linewidth": 0.8,
    "svg.hashsalt": "wsload",
    "svg.fonttype": "path",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True)
class Look:
    """How one cohort, role or cause is drawn everywhere."""

    color: str
    dash: Dash
    marker: str
    hatch: str


LOOKS = (
    Look(BLUE, "-", "o", ""),
    Look(VERMILLION, (0.0, (6.0, 2.0)), "s", "///"),
    Look(GREEN, (0.0, (6.0, 1.5, 1.2, 1.5)), "^", "..."),
    Look(PURPLE, (0.0, (2.6, 1.3)), "D", "xxx"),
    Look(ORANGE, (0.0, (1.1, 1.4)), "v", "\\\\\\"),
    Look(SKY, (0.0, (8.0, 1.5, 1.2, 1.5, 1.2, 1.5)), "P", "++"),
)


def look_of(index: int) -> Look:
    """The look of the ``index``-th of a list; a seventh starts over."""
    return LOOKS[index % len(LOOKS)]


@dataclass(frozen=True)
class Caption:
    """The words around a plot: what it shows, the run's setting, and whether to believe it."""

    setting: tuple[str, ...]
    """Facts, drawn with dots between them."""
    footer: tuple[str, ...]
    warning: str = ""
    """Not empty where the run is partial, suspect or not valid: drawn so that nobody misses it."""
    doubts: str = ""
    """Which intervals do not count in what is drawn, where that has no time axis to mark them on."""


@dataclass(frozen=True)
class Mark:
    """A vertical line at ``x`` with its label."""

    x: float
    label: str


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's defaults, then ours; whatever the user's matplotlibrc says is put back afterwards."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RC)
        yield


def new_figure(
    title: str,
    caption: Caption,
    *,
    panel_heights_in: Sequence[float] = (4.2,),
    mark_rows: int = 0,
    share_x: bool = True,
    legend: bool = True,
    tick_lines: int = 1,
) -> tuple[Figure, list[Axes]]:
    """A figure with panels one below the other, and room for rows of marks above.

    With ``share_x`` all panels use the last one's x axis, and the marks stand above the first alone;
    else each panel has its own. ``tick_lines``: how many lines the x tick labels have.
    """
    count = len(panel_heights_in)
    setting = pack(caption.setting, _SETTING_CHARS)
    warning = textwrap.wrap(caption.warning, _SETTING_CHARS - 12, max_lines=2, placeholder=" ...")
    doubts = textwrap.wrap(caption.doubts, _SETTING_CHARS)
    head_in = 0.62 + _LINE_IN * (len(setting) + len(warning) + len(doubts))
    marks_in = MARK_ROW_IN * mark_rows
    above_in = [0.16 + (0.0 if share_x and panel else marks_in) for panel in range(count)]
    own_x_in = 0.0 if share_x else _XLABEL_IN
    foot_in = _FOOT_IN + _XLABEL_IN + _LINE_IN * (tick_lines - 1) + own_x_in * (count - 1)
    total_in = head_in + sum(above_in) + sum(panel_heights_in) + foot_in
    figure = Figure(figsize=(_WIDTH_IN, total_in))
    left = 0.22 / _WIDTH_IN
    figure.text(left, 1 - 0.36 / total_in, title, fontsize=15, fontweight="bold")
    looks = [(QUIET_INK, "normal")] * len(setting) + [(_ALARM, "bold")] * len(warning)
    looks += [(_ALARM, "normal")] * len(doubts)
    for row, (line, (color, weight)) in enumerate(zip([*setting, *warning, *doubts], looks, strict=True)):
        y = 1 - (0.62 + _LINE_IN * row) / total_in
        figure.text(left, y, line, fontsize=9.5, color=color, fontweight=weight)
    figure.text(left, 0.12 / total_in, _DOT.join(caption.footer), fontsize=8, color=QUIET_INK)
    axes: list[Axes] = []
    top_in = total_in - head_in
    width_in = _WIDTH_IN - _LEFT_IN - (_LEGEND_IN if legend else _RIGHT_IN)
    for panel_in, over_in in zip(panel_heights_in, above_in, strict=True):
        bottom_in = top_in - over_in - panel_in
        box = (_LEFT_IN / _WIDTH_IN, bottom_in / total_in, width_in / _WIDTH_IN, panel_in / total_in)
        panel = figure.add_axes(box, sharex=axes[0] if share_x and axes else None)
        panel.yaxis.set_label_coords(-0.62 / width_in, 0.5)
        axes.append(panel)
        top_in = bottom_in - own_x_in
    for upper in axes[:-1] if share_x else []:
        upper.tick_params(labelbottom=False)
    return figure, axes


def pack(parts: Sequence[str], width: int) -> list[str]:
    """The parts that are not empty, joined by dots in lines of ``width`` characters; no part is broken."""
    lines: list[str] = []
    for part in filter(None, parts):
        if lines and len(lines[-1]) + len(_DOT) + len(part) <= width:
            lines[-1] += _DOT + part
        else:
            lines.append(part)
    return lines


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """Write ``name.png`` and ``name.svg`` into ``folder``, without dates: equal input, equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{name}.png", folder / f"{name}.svg"
    figure.savefig(png, dpi=_DPI, metadata={"Software": None})
    figure.savefig(svg, metadata={"Date": None, "Creator": "wsload"})
    return [png, svg]


def legend_beside(axes: Axes, handles: Sequence[Artist] | None = None, title: str = "") -> None:
    """A legend right of the axes. Without ``handles``: of everything in the axes that has a label."""
    if handles is None:
        handles = axes.get_legend_handles_labels()[0]
    if not handles:
        return
    labels = [
        textwrap.fill(str(handle.get_label()), _LEGEND_CHARS, break_on_hyphens=False) for handle in handles
    ]
    legend = axes.legend(
        handles=handles,
        labels=labels,
        loc="upper left",
        bbox_to_anchor=(1.015, 1.0),
        borderaxespad=0.0,
        title=textwrap.fill(title, _LEGEND_CHARS + 4) or None,
        alignment="left",
    )
    legend.set_in_layout(False)


def say(axes: Axes, text: str) -> None:
    """Say in an otherwise empty plot why it is empty."""
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=13, color=QUIET_INK
    )
    axes.set_yticks([])
    axes.grid(visible=False)


def remark(figure: Figure, text: str) -> None:
    """A remark at the right of the figure's foot."""
    x, y = 1 - 0.22 / _WIDTH_IN, 0.12 / figure.get_figheight()
    figure.text(x, y, text, fontsize=8.5, ha="right", color=INK)


def note(axes: Axes, text: str, *, row: int = 0) -> None:
    """A remark right-aligned above the axes, in the ``row``-th row of marks."""
    axes.annotate(
        text,
        (1, 1),
        (0, 4 + 72 * MARK_ROW_IN * row),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8.5,
        color=QUIET_INK,
        annotation_clip=False,
    )


def mark_row_of(places_in: Sequence[float], lengths_in: Sequence[float]) -> list[int]:
    """The row of each label so that no label meets another, nor a line on its way up to its own row.

    ``places_in`` ascend; labels reach right from them. A label that would run over the lines to its right
    stands above the highest of their labels.
    """
    rows = [0] * len(places_in)
    for number in range(len(places_in) - 1, -1, -1):
        end_in = places_in[number] + lengths_in[number]
        under = [rows[other] for other in range(number + 1, len(rows)) if places_in[other] <= end_in]
        rows[number] = max(under, default=-1) + 1
    return rows


def draw_marks(axes: Axes, marks: Sequence[Mark], *, rows: int, first_row: int = 0) -> list[str]:
    """Vertical lines, labelled in ``rows`` rows above the axes so that nothing collides.

    Call when the x limits are final; what lies outside them is not drawn. Labels may reach over the
    right end of the axes, where the legend begins lower. Returns the labels that found no row: their
    lines are drawn, and the caller says their names elsewhere.
    """
    panel_in = height_in(axes)
    width_in = axes.get_position().width * figure_of(axes).get_figwidth()
    low, high = axes.get_xlim()
    shown = sorted((mark for mark in marks if low <= mark.x <= high), key=lambda mark: mark.x)
    at = [axes.transAxes.inverted().transform(axes.transData.transform((mark.x, 1.0)))[0] for mark in shown]
    taken = mark_row_of([float(x) * width_in for x in at], [0.072 * len(m.label) + 0.14 for m in shown])
    place = blended_transform_factory(axes.transData, axes.transAxes)
    line = {"color": INK, "linewidth": 1.1, "linestyle": (0.0, (4.0, 2.0)), "transform": place}
    unnamed = []
    for mark, row in zip(shown, taken, strict=True):
        top = 1.0
        if row < rows:
            middle = 1 + (first_row + row + 0.5) * MARK_ROW_IN / panel_in
            top = middle + 0.35 * MARK_ROW_IN / panel_in
            axes.text(mark.x, middle, f" {mark.label}", transform=place, ha="left", va="center", fontsize=8.5)
        else:
            unnamed.append(mark.label)
        axes.plot([mark.x, mark.x], [0, top], clip_on=False, zorder=2.5, label="_mark", **line)  # type: ignore[arg-type]
    return unnamed


def figure_of(axes: Axes) -> Figure:
    """The figure that axes from :func:`new_figure` stand in."""
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return figure


def height_in(axes: Axes) -> float:
    """The axes' height in inches."""
    return float(axes.get_position().height) * figure_of(axes).get_figheight()


def duration_axis(axes: Axes, *, log: bool = False) -> None:
    """Label an x axis in seconds with durations: ``500ms 2s 1m``. Call when its limits are final."""
    if log:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        subs = (1.0, 2.0, 5.0) if high / low < 500 else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=9))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration_text(value)))


def timers_text(timers_ms: Mapping[str, int], swept: Container[str] = ()) -> str:
    """The timers that decide over an idle tunnel, but those ``swept``: ``timeout tunnel 10s, client 30s``."""
    names = [name for name in ("tunnel", "client", "server") if name in timers_ms and name not in swept]
    words = ", ".join(f"{name} {duration_text(timers_ms[name] / 1000)}" for name in names)
    return f"timeout {words}" if words else ""


def duration_text(seconds: float) -> str:
    """0.25 -> ``250ms``, 90 -> ``1m30s``."""
    return format_duration(round(seconds * NS_PER_S))


def milliseconds_axis(axes: Axes) -> None:
    """A log y axis in ms with plain numbers (0.1 1 10 100) and room where the values span little."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high / low < 10:
        middle = (high * low) ** 0.5
        axes.set_ylim(middle / 10**0.5, middle * 10**0.5)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 1000 else (1.0,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def count_axis(axes: Axes) -> None:
    """A y axis of counts from 0, thousands separated, never a fraction of a tunnel."""
    axes.set_ylim(bottom=0)
    if axes.get_ylim()[1] < 5:
        axes.set_ylim(top=5)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
