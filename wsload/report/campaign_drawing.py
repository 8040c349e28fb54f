"""Draws a campaign's plots: one point, bar or square per cell, repeats drawn as mean and range."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator

from wsload.analysis.campaign import (
    CellResult,
    CutRegion,
    Point,
    cohort_names,
    cut_region,
    is_timer,
    points,
)
from wsload.record.outcome import Cause, Verdict
from wsload.report.drawing import cause_words
from wsload.report.marks import draw_bars_ground, draw_points_ground
from wsload.report.series import METRIC_WORDS, OVER_TIME_METRICS
from wsload.report.style import (
    BLACK,
    CUT_EDGE,
    CUT_FILL,
    INK,
    LIMIT_DASH,
    MARK_ROW_IN,
    QUIET_INK,
    VERMILLION,
    Dash,
    Look,
    count_axis,
    duration_text,
    figure_of,
    height_in,
    legend_beside,
    look_of,
    milliseconds_axis,
    note,
    say,
)
from wsload.report.value_axis import axis_label, set_value_axis

_SLOTS_LOOK = Look("#6a6a6a", (0.0, (1.2, 1.2)), "o", "")
_ALL_LOOK = Look(BLACK, "-", "*", "")
_MOST_VALUES = 9
_CHAR_IN = 0.079
"""Width of a character of the strip's text."""
SLO_MARKS = {
    Verdict.PASSED: ("\N{CHECK MARK}", INK),
    Verdict.FAILED: ("\N{BALLOT X}", VERMILLION),
    Verdict.NONE: ("\N{EN DASH}", QUIET_INK),
}
_STATISTIC_DASHES: dict[str, Dash] = {"p99": (0.0, (5.0, 1.6)), "p50": "-"}


def draw_capacity(panels: Sequence[Axes], cells: Sequence[CellResult], axis: str, *, hold_s: float) -> None:
    """Held tunnels per cohort and slots held (first panel), shares held (second), the cut region in both."""
    tunnels, shares = panels
    along = points(cells, axis)
    names = cohort_names(cells)
    looks = {name: look_of(number) for number, name in enumerate(names)}
    _spread(
        tunnels, along, lambda cell: cell.peak_slots, _SLOTS_LOOK, "slots held in HAProxy, at peak", size=13
    )
    if len(names) > 1:
        _spread(tunnels, along, lambda cell: cell.held, _ALL_LOOK, "held, all", width=2.6, size=11.0)
    for number, name in enumerate(names):
        # Cohorts often lie on each other: the later, smaller marker leaves the earlier one's rim to see.
        size = max(10.0 - 1.8 * number, 5.0)
        _spread(tunnels, along, _held(name), looks[name], f"held, {name}", size=size)
        _spread(shares, along, _held_percent(name), looks[name], name, size=size)
    _write_values(tunnels, along, lambda cell: cell.held)
    planned = max(cell.planned for cell in cells)
    tunnels.set_ylim(0, max(planned, *(cell.peak_slots for cell in cells)) * 1.09)
    maxconns = {cell.maxconn for cell in cells if cell.maxconn}
    if len(maxconns) == 1 and (maxconn := maxconns.pop()) <= planned * 1.5:
        tunnels.axhline(maxconn, color=INK, linewidth=1.1, linestyle=LIMIT_DASH, label=f"maxconn {maxconn:,}")
        tunnels.set_ylim(top=max(tunnels.get_ylim()[1], maxconn * 1.09))
    tunnels.set_ylabel("tunnels")
    count_axis(tunnels)
    tunnels.set_ylim(bottom=-0.035 * tunnels.get_ylim()[1])
    shares.set_ylim(-8, 108)
    shares.set_ylabel("share of cohort (%)")
    shares.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))
    set_value_axis(shares, along, axis)
    handles = tunnels.get_legend_handles_labels()[0]
    region = cut_region(cells, axis)
    if region is not None:
        handles.append(_shade(panels, along, region, looks, first_row=int(has_slo(cells))))
    elif is_timer(axis):
        note(tunnels, "no cohort lost over 1% at any value", row=int(has_slo(cells)))
    if is_timer(axis) and shares.get_xlim()[0] < hold_s < shares.get_xlim()[1]:
        for panel in panels:
            line = panel.axvline(hold_s, color=INK, linewidth=1.1, linestyle=(0.0, (1.0, 2.0)), zorder=1)
        line.set_label(f"length of the hold, {duration_text(hold_s)}: a longer timeout cuts nobody in it")
        handles.append(line)
    if has_slo(cells):
        _slo_row(tunnels, along)
    legend_beside(tunnels, [*handles, *draw_points_ground(panels, _validities(along))])


def draw_causes(axes: Axes, groups: Sequence[tuple[str, Sequence[CellResult]]]) -> None:
    """Stacked bars: disconnects by cause per cell (mean over repeats), planned ones left out."""
    axes.set_ylabel("disconnects per run (tunnels)")
    causes = [cause for cause in Cause if cause is not Cause.PLANNED]
    heights = {
        cause: np.array([np.mean([_ended(cell, cause) for cell in group]) for _, group in groups])
        for cause in causes
    }
    if not any(height.any() for height in heights.values()):
        say(axes, "no disconnects in this campaign but planned ones")
        axes.set_xticks([])
        return
    bottom = np.zeros(len(groups))
    for cause, height in heights.items():
        if height.any():
            look = look_of(causes.index(cause))
            label = cause_words(cause)
            axes.bar(
                range(len(groups)),
                height,
                0.62,
                bottom,
                color=look.color,
                hatch=look.hatch,
                edgecolor="white",
                linewidth=0.6,
                label=label,
            )
            bottom = bottom + height
    crowded = len(groups) > _MOST_VALUES
    for place, total in enumerate(bottom) if not crowded else ():
        axes.annotate(
            f"{total:,.0f}", (place, total), (0, 3), textcoords="offset points", ha="center", fontsize=9
        )
    axes.set_xticks(range(len(groups)), [text for text, _ in groups], fontsize=7.5 if crowded else 10)
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_ylim(0, float(bottom.max()) * 1.1)
    axes.grid(visible=False, axis="x")
    count_axis(axes)
    note(axes, "planned closes are left out")
    keys = draw_bars_ground(
        axes, [(place, cell.validity) for place, (_, group) in enumerate(groups) for cell in group]
    )
    legend_beside(axes, [*axes.get_legend_handles_labels()[0], *keys])


def draw_latency(axes: Axes, along: Sequence[Point], axis: str) -> None:
    """p50 (line) and p99 (dashed) of the hold, per cohort that measures latency."""
    axes.set_ylabel("latency in the hold (ms)")
    axes.set_xlabel(axis_label(axis, [point.text for point in along]))
    cells = [cell for point in along for cell in point.cells]
    series = [
        (metric, name)
        for metric in OVER_TIME_METRICS
        for name in cohort_names(cells)
        if not all(math.isnan(_statistic(metric, name, "p50", cell)) for cell in cells)
    ]
    if not series:
        say(axes, "no cohort of this campaign measures latency")
        axes.set_xticks([])
        return
    names = cohort_names(cells)
    for metric, name in series:
        look = look_of(names.index(name))
        for key, dash in _STATISTIC_DASHES.items():
            label = f"{name}: {METRIC_WORDS[metric]}, {key}"
            _spread(axes, along, partial(_statistic, metric, name, key), replace(look, dash=dash), label)
    milliseconds_axis(axes)
    set_value_axis(axes, along, axis)
    keys = draw_points_ground([axes], _validities(along))
    legend_beside(axes, [*axes.get_legend_handles_labels()[0], *keys])


def worst_slo(cells: Sequence[CellResult]) -> Verdict:
    """Failed where any repeat failed, passed where all that have SLOs passed."""
    verdicts = {cell.slo for cell in cells}
    return next((v for v in (Verdict.FAILED, Verdict.PASSED) if v in verdicts), Verdict.NONE)


def has_slo(cells: Sequence[CellResult]) -> bool:
    """Whether any cell stated an SLO, so that a row of signs stands above the axes."""
    return any(cell.slo != Verdict.NONE for cell in cells)


def _spread(
    axes: Axes,
    along: Sequence[Point],
    value: Callable[[CellResult], float],
    look: Look,
    label: str,
    *,
    width: float = 1.9,
    size: float = 7.0,
) -> None:
    """Mean over repeats as a line with markers of ``size``, least to most as bars."""
    values = [[value(cell) for cell in point.cells] for point in along]
    mean = np.array([np.mean(group) for group in values])
    least, most = np.array([min(group) for group in values]), np.array([max(group) for group in values])
    hollow = look is _SLOTS_LOOK
    inside, edge = ("none", look.color) if hollow else (look.color, "white")
    places = [point.x for point in along]
    if (most > least).any():
        spread = [mean - least, most - mean]
        axes.errorbar(places, mean, yerr=spread, fmt="none", ecolor=look.color, capsize=4)
    style = {"color": look.color, "linestyle": look.dash, "linewidth": width, "marker": look.marker}
    style |= {"markersize": size, "markerfacecolor": inside, "markeredgecolor": edge}
    axes.plot(places, mean, label=label, **style)  # type: ignore[arg-type]


def _write_values(axes: Axes, along: Sequence[Point], value: Callable[[CellResult], float]) -> None:
    """The mean at each point in figures, where there are few enough to be read."""
    if len(along) > _MOST_VALUES:
        return
    for point in along:
        mean = float(np.mean([value(cell) for cell in point.cells]))
        text = axes.annotate(
            f"{mean:,.0f}", (point.x, mean), (0, 8), textcoords="offset points", ha="center", fontsize=9.5
        )
        text.set_fontweight("bold")
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])


def _shade(
    panels: Sequence[Axes],
    along: Sequence[Point],
    region: CutRegion,
    looks: Mapping[str, Look],
    *,
    first_row: int,
) -> Patch:
    """Shade the cut region, and name in strips above how far each cohort is cut; for the legend."""
    left = panels[0].get_xlim()[0]
    edge = _just_past(panels[0], along, region.up_to)
    for panel in panels:
        panel.axvspan(left, edge, facecolor=CUT_FILL, zorder=0)
        panel.axvline(edge, color=CUT_EDGE, linewidth=1.0, zorder=1)
    head = panels[0]
    row = MARK_ROW_IN / height_in(head)
    place = head.get_xaxis_transform()
    width_in = head.get_position().width * figure_of(head).get_figwidth()
    widest_first = sorted(region.cohorts.items(), key=lambda item: -item[1])
    for number, (name, up_to) in enumerate(widest_first, first_row):
        right = _just_past(head, along, up_to)
        share = head.transAxes.inverted().transform(head.transData.transform((right, 1.0)))[0]
        color = looks[name].color
        strip = Rectangle((left, 1 + (number + 0.08) * row), right - left, 0.84 * row, clip_on=False)
        strip.set(facecolor=to_rgba(color, 0.22), edgecolor=color)
        strip.set_transform(place)
        head.add_patch(strip)
        text = f"{name} tunnels are cut up to {_text_at(along, up_to)}"
        inside = len(text) * _CHAR_IN < share * width_in
        x = 0.008 if inside else float(share) + 0.008
        head.text(x, 1 + (number + 0.5) * row, text, transform=head.transAxes, va="center", fontsize=9.0)
    return Patch(facecolor=CUT_FILL, edgecolor=CUT_EDGE, label="over 1% of some cohort is cut")


def _just_past(axes: Axes, along: Sequence[Point], x: float) -> float:
    """Halfway from ``x`` to the next point, as the eye sees it; the axis's end after the last."""
    later = [point.x for point in along if point.x > x]
    if not later:
        return axes.get_xlim()[1]
    return math.sqrt(x * later[0]) if axes.get_xscale() == "log" else (x + later[0]) / 2


def _slo_row(axes: Axes, along: Sequence[Point]) -> None:
    """One sign per point above the axes: SLO passed, failed or not stated."""
    y = 1 + 0.5 * MARK_ROW_IN / height_in(axes)
    for point in along:
        sign, color = SLO_MARKS[worst_slo(point.cells)]
        text = axes.text(point.x, y, sign, transform=axes.get_xaxis_transform(), ha="center", va="center")
        text.set(color=color, fontsize=13, fontweight="bold")
    words = "SLO: \N{CHECK MARK} passed  \N{BALLOT X} failed"
    axes.text(1.015, y, words, transform=axes.transAxes, va="center", fontsize=9.5)


def _validities(along: Sequence[Point]) -> list[tuple[float, str]]:
    return [(point.x, cell.validity) for point in along for cell in point.cells]


def _held(name: str) -> Callable[[CellResult], float]:
    return lambda cell: cell.held_by_cohort.get(name, 0)


def _held_percent(name: str) -> Callable[[CellResult], float]:
    return lambda cell: 100 * cell.held_by_cohort.get(name, 0) / max(cell.planned_by_cohort.get(name, 0), 1)


def _ended(cell: CellResult, cause: str) -> int:
    return sum(causes.get(cause, 0) for causes in cell.disconnects.values())


def _statistic(metric: str, cohort: str, key: str, cell: CellResult) -> float:
    """NaN where the cell has no such figure."""
    return float(cell.metrics.get(metric, {}).get(cohort, {}).get(key, math.nan))


def _text_at(along: Sequence[Point], x: float) -> str:
    return next(point.text for point in along if point.x == x)
