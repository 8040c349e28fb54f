"""Draws one run's plots from plain arrays: what is drawn where, apart from where the numbers stand.

Every function fills axes that :mod:`wsload.report.style` laid out. Times are seconds since the run's
start unless a name says otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import blended_transform_factory

from wsload.record.outcome import Phase
from wsload.report.series import Floats, PhaseSpan
from wsload.report.style import (
    BLACK,
    INK,
    LIMIT_DASH,
    MARK_ROW_IN,
    Dash,
    Look,
    Mark,
    count_axis,
    draw_marks,
    duration_axis,
    duration_text,
    height_in,
    legend_beside,
    milliseconds_axis,
    note,
    say,
)

PERCENTILES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)
"""The labels of a percentile axis."""
_PHASE_FILL = {Phase.OPEN: "#d6e4f0", Phase.HOLD: "#ffffff", Phase.DRAIN: "#e9e4dc"}
_FAR = 30.0
"""A timer beyond this multiple of the longest value is named, not drawn: it would squeeze the data."""
_NEAR = 0.02
_LEAST_S = 1e-3
"""Log axes of durations begin here; anything shorter is drawn here, and said to be."""
_NO_DISCONNECTS = "no disconnects in this run but planned ones"


@dataclass(frozen=True)
class Curve:
    """One percentile curve: ``y_ms`` over ``x`` = 1/(1-p)."""

    label: str
    look: Look
    dash: Dash
    x: Floats
    y_ms: Floats
    width: float = 1.9


@dataclass(frozen=True)
class Line:
    """One line over time; NaN leaves a gap."""

    label: str
    look: Look
    t_s: Floats
    y: Floats


@dataclass(frozen=True)
class LatencyBand:
    """One cohort's latency per interval, in ms; NaN where nothing was measured."""

    label: str
    look: Look
    t_s: Floats
    p50_ms: Floats
    p99_ms: Floats
    max_ms: Floats


@dataclass(frozen=True)
class Timer:
    """A configured timer, or several of one length."""

    names: tuple[str, ...]
    seconds: float

    @property
    def label(self) -> str:
        """``tunnel 10s``; of more than two names the first two."""
        more = f" and {len(self.names) - 2} more" if len(self.names) > 2 else ""
        return f"{', '.join(self.names[:2])}{more} {duration_text(self.seconds)}"

    @property
    def full_label(self) -> str:
        """With every name."""
        return f"{', '.join(self.names)} {duration_text(self.seconds)}"


def draw_percentiles(axes: Axes, curves: Sequence[Curve], *, y_label: str, empty: str) -> None:
    """Curves by percentile, HDR style; the right end of each is its maximum, marked."""
    axes.set_xlabel("percentile of requests (%)")
    axes.set_ylabel(y_label)
    curves = [curve for curve in curves if len(curve.x)]
    if not curves:
        say(axes, empty)
        axes.set_xticks([])
        return
    for curve in curves:
        # HdrHistogram counts whole microseconds; a 0 has no place on a log axis.
        y_ms = np.maximum(curve.y_ms, 1e-3)
        axes.plot(
            curve.x,
            y_ms,
            color=curve.look.color,
            linestyle=curve.dash,
            linewidth=curve.width,
            label=curve.label,
        )
        axes.plot(curve.x[-1], y_ms[-1], color=curve.look.color, marker=curve.look.marker, label="_max")
    right = max(float(curve.x[-1]) for curve in curves)
    percentile_axis(axes, right)
    milliseconds_axis(axes)
    handles = [
        Line2D(
            [],
            [],
            color=curve.look.color,
            linestyle=curve.dash,
            linewidth=curve.width,
            marker=curve.look.marker,
            markersize=4.5,
            label=curve.label,
        )
        for curve in curves
    ]
    legend_beside(axes, handles)
    note(axes, "the right end of a curve is its maximum")


def percentile_axis(axes: Axes, right: float) -> None:
    """x = 1/(1-p) on a log scale up to ``right``, labelled 0 50 90 99 99.9 99.99 %."""
    axes.set_xscale("log")
    axes.set_xlim(1, max(right, 2.0) * 1.08)
    ticks = {1 / (1 - percentile / 100): f"{percentile:g}" for percentile in PERCENTILES}
    shown = {x: label for x, label in ticks.items() if x <= right * 1.05}
    axes.xaxis.set_major_locator(FixedLocator(list(shown)))
    axes.xaxis.set_minor_locator(NullLocator())
    labels = list(shown.values())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda _, position: labels[position or 0]))


def draw_phases(panels: Sequence[Axes], spans: Sequence[PhaseSpan]) -> None:
    """Shade the phases in every panel and name them in a strip above the first."""
    for axes in panels:
        for span in spans:
            axes.axvspan(
                span.start_s, span.end_s, color=_PHASE_FILL[span.phase], linewidth=0, zorder=0, label="_phase"
            )
        for span in spans[1:]:
            axes.axvline(span.start_s, color="#9a9a9a", linewidth=0.8, zorder=1, label="_phase")
    if not spans:
        return
    start_s, end_s = spans[0].start_s, spans[-1].end_s
    for axes in panels:
        axes.set_xlim(start_s, end_s)
    head = panels[0]
    height = MARK_ROW_IN / height_in(head)
    place = blended_transform_factory(head.transData, head.transAxes)
    for span in spans:
        length_s = span.end_s - span.start_s
        head.add_patch(
            Rectangle(
                (span.start_s, 1.0),
                length_s,
                height,
                transform=place,
                facecolor=_PHASE_FILL[span.phase],
                edgecolor="#9a9a9a",
                linewidth=0.8,
                clip_on=False,
            )
        )
        if length_s > 0.045 * (end_s - start_s):
            middle = span.start_s + length_s / 2
            head.text(
                middle, 1 + height / 2, span.phase, transform=place, ha="center", va="center", fontsize=8.5
            )


def draw_latency_band(axes: Axes, band: LatencyBand) -> None:
    """One cohort: p50 as a line, p99 dashed, the space between filled, the maximum as dots."""
    color = band.look.color
    axes.fill_between(band.t_s, band.p50_ms, band.p99_ms, color=color, alpha=0.14, linewidth=0)
    axes.plot(band.t_s, band.max_ms, color=color, linestyle="", marker=".", markersize=4.5, label="max")
    axes.plot(band.t_s, band.p99_ms, color=color, linestyle=(0.0, (5.0, 1.6)), linewidth=1.4, label="p99")
    axes.plot(band.t_s, band.p50_ms, color=color, linewidth=2.0, label="p50")
    axes.set_ylabel("latency (ms)")
    milliseconds_axis(axes)
    legend_beside(axes, title=band.label)


def draw_tunnels(axes: Axes, cohorts: Sequence[Line], slots: Line | None, maxconn: int) -> None:
    """Open tunnels per cohort and in all, HAProxy's slots and their limit."""
    axes.set_xlabel("time since start (s)")
    axes.set_ylabel("tunnels")
    if not cohorts or not any(len(line.t_s) for line in cohorts):
        say(axes, "no interval was recorded")
        return
    total = np.sum([line.y for line in cohorts], axis=0)
    only = cohorts[0].label if len(cohorts) == 1 else ""
    axes.plot(cohorts[0].t_s, total, color=BLACK, linewidth=2.4, label=f"open tunnels, all {only}".rstrip())
    for line in () if only else cohorts:
        axes.plot(
            line.t_s, line.y, color=line.look.color, linestyle=line.look.dash, label=f"open, {line.label}"
        )
    if slots is not None:
        axes.plot(
            slots.t_s,
            slots.y,
            color="#7a7a7a",
            linestyle="",
            marker="o",
            markersize=7.5,
            markerfacecolor="none",
            markeredgewidth=1.2,
            markevery=max(1, len(slots.t_s) // 30),
            label="HAProxy slots in use",
        )
    highest = max(float(np.nanmax(total)), float(np.nanmax(slots.y)) if slots and len(slots.y) else 0.0, 1.0)
    draw_limit(axes, highest, maxconn)
    count_axis(axes)
    legend_beside(axes)


def draw_limit(axes: Axes, highest: float, maxconn: int) -> None:
    """The y axis from 0 to what is ``highest`` in it, and maxconn as a line (0: none; far above: named)."""
    axes.set_ylim(0, highest * 1.08)
    if 0 < maxconn <= highest * 3:
        axes.axhline(maxconn, color=INK, linewidth=1.2, linestyle=LIMIT_DASH, label=f"maxconn {maxconn:,}")
        axes.set_ylim(0, max(highest, maxconn) * 1.08)
    elif maxconn:
        axes.plot([], [], linestyle="", label=f"maxconn {maxconn:,}: above the plot")


def draw_lines(axes: Axes, lines: Sequence[Line], *, y_label: str, empty: str, steps: bool = False) -> None:
    """Several lines over time on a linear axis from 0; ``steps`` for what holds over a whole interval."""
    axes.set_ylabel(y_label)
    lines = [line for line in lines if len(line.t_s)]
    if not lines:
        say(axes, empty)
        return
    for line in lines:
        axes.plot(
            line.t_s,
            line.y,
            color=line.look.color,
            linestyle=line.look.dash,
            label=line.label,
            drawstyle="steps-pre" if steps else "default",
        )
    axes.set_ylim(0, max(float(np.nanmax(line.y)) for line in lines) * 1.1 or 1.0)
    legend_beside(axes)


def cause_words(cause: str) -> str:
    """``peer_fin`` -> ``peer FIN``."""
    words = cause.replace("_", " ")
    return words.replace("haproxy", "HAProxy").replace(" fin", " FIN")


def spread_edges(values_s: Floats, bins: int = 44) -> tuple[Floats, bool]:
    """Histogram edges for durations, and whether they are log-spaced (where the values span x8 or more).

    Never narrower than a tenth around the values, so that tunnels that all die of one timer show as one
    thin bar at it, not as a block that fills the plot.
    """
    positive = np.maximum(values_s, _LEAST_S)
    low, high = float(positive.min()), float(positive.max())
    if high / low >= 8:
        return np.geomspace(low * 0.8, high * 1.2, bins), True
    return np.linspace(max(low * 0.5, 0.0), high * 1.25, bins), False


def draw_ends(
    axes: Axes,
    values_s: Mapping[str, Floats],
    looks: Mapping[str, Look],
    timers: Sequence[Timer],
    *,
    mark_rows: int,
    x_label: str,
    unknown: int = 0,
) -> None:
    """Disconnects by a duration, stacked by cause, each timer a labelled line.

    ``values_s`` is cause -> seconds; ``unknown`` more have no such duration. Timers too far away to share the
    axis are named beside it.
    """
    axes.set_xlabel(f"{x_label} (duration)")
    axes.set_ylabel("disconnects per bin")
    every = np.concatenate([*values_s.values()]) if values_s else np.empty(0)
    if not len(every):
        say(axes, f"not known of any of the {unknown:,} disconnects" if unknown else _NO_DISCONNECTS)
        axes.set_xticks([])
        return
    low, high = max(float(every.min()), _LEAST_S), max(float(every.max()), _LEAST_S)
    shown = [timer for timer in timers if low * _NEAR <= timer.seconds <= high * _FAR]
    hidden = [timer for timer in timers if timer not in shown]
    edges, log = spread_edges(np.concatenate([every, [timer.seconds for timer in shown]]))
    axes.hist(
        [np.maximum(values, _LEAST_S) for values in values_s.values()],
        bins=edges.tolist(),
        stacked=True,
        color=[looks[cause].color for cause in values_s],
        hatch=[looks[cause].hatch for cause in values_s],
        edgecolor="white",
        linewidth=0.4,
    )
    axes.set_xlim(edges[0], edges[-1])
    duration_axis(axes, log=log)
    axes.set_xlabel(f"{x_label} (duration{', log scale' if log else ''})")
    count_axis(axes)
    unnamed = draw_marks(axes, [Mark(timer.seconds, timer.label) for timer in shown], rows=mark_rows)
    handles: list[Artist] = [
        Patch(
            facecolor=looks[cause].color,
            hatch=looks[cause].hatch,
            edgecolor="white",
            label=f"{cause_words(cause)} ({len(values):,})",
        )
        for cause, values in values_s.items()
    ]
    spelled = [timer.full_label for timer in shown if timer.full_label != timer.label]
    beyond = [timer.full_label for timer in hidden]
    if every.min() < _LEAST_S:
        beyond.append("ends below 1ms, drawn at 1ms")
    for words, labels in (("in full", spelled), ("beyond the axis", beyond), ("also drawn", unnamed)):
        if labels:
            handles.append(Line2D([], [], linestyle="", label=f"{words}: {', '.join(labels)}"))
    if unknown:
        handles.append(Line2D([], [], linestyle="", label=f"not known of {unknown:,} more"))
    legend_beside(axes, handles)


def group_timers(timers_ms: Mapping[str, int]) -> list[Timer]:
    """Timers by length, those of equal length under one name, ascending; 0 ("never") is left out."""
    by_length: dict[int, list[str]] = {}
    for name, length_ms in timers_ms.items():
        if length_ms > 0:
            by_length.setdefault(length_ms, []).append(name)
    return [Timer(tuple(names), length_ms / 1000) for length_ms, names in sorted(by_length.items())]
