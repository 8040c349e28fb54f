"""Draws a campaign of searches: measured capacity over the model's curve, and cuts per hour below it."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from wsload.analysis.measured import AtTimer, Searched, by_timer
from wsload.analysis.recommend import Recommendation
from wsload.record.outcome import Limit
from wsload.report.campaign_curves import (
    Curve,
    curve_of,
    draw_cut_curve,
    draw_cut_points,
    draw_live_curves,
    draw_live_points,
)
from wsload.report.capacity_wording import LIMIT_WORDS
from wsload.report.marks import draw_points_ground
from wsload.report.style import (
    CUT_EDGE,
    CUT_FILL,
    GREEN,
    INK,
    LIMIT_DASH,
    MARK_ROW_IN,
    QUIET_INK,
    count_axis,
    duration_text,
    figure_of,
    height_in,
    legend_beside,
)

MARK_ROWS = 3
"""Above the axes, from below: how far measured and model differ, what bound, and the recommended value."""
_DIFFERENCE_ROW, _LIMIT_ROW, _ADVICE_ROW = range(MARK_ROWS)
_BEYOND_FILL, _BEYOND_EDGE = "#f3f5f8", "#c8ced8"
_STRIP_FILL = "#dfe6ee"
_EDGE = 1.12
"""How far beyond the outer points a shading or a strip reaches, as a factor."""
_NUMBER_IN = 0.42
"""A difference in percent."""
_CHAR_IN = 0.068
_LEAST_APART = 0.055
"""Of the axis' width, between two labels below it."""
_DECADES_S = (60.0, 600.0, 3600.0, 21_600.0, 86_400.0)
"""Labels of the extrapolation."""


def draw_search(panels: Sequence[Axes], searches: Sequence[Searched], advice: Recommendation | None) -> None:
    """Live tunnels and ghosts (first panel) and cuts per hour (second) against ``timeout tunnel``."""
    live, cuts = panels
    measured, curve = by_timer(searches), curve_of(searches)
    _time_axis(live, [each.timer_s for each in measured], curve)
    if curve is not None:
        draw_live_curves(live, curve, searches[0])
        draw_cut_curve(cuts, curve)
    draw_live_points(live, measured)
    draw_cut_points(cuts, measured)
    _log_counts(cuts)
    cut_edge_s = _cut_edge_s(measured, advice)
    _shade(panels, cut_edge_s, curve)
    if advice is not None and advice.timer_s is not None:
        for panel in panels:
            panel.axvline(advice.timer_s, color=GREEN, linewidth=2.0, zorder=2)
        words = f"recommended: {duration_text(advice.timer_s)}"
        _mark(live, advice.timer_s, _ADVICE_ROW, words, color=GREEN, fontweight="bold")
    _limit_strips(live, measured)
    _differences(live, measured)
    maxconns = {each.cell.maxconn for each in searches if each.cell.maxconn}
    if len(maxconns) == 1:
        maxconn = maxconns.pop()
        live.axhline(maxconn, color=INK, linewidth=1.1, linestyle=LIMIT_DASH, label=f"maxconn {maxconn:,}")
        live.set_ylim(0, maxconn * 1.09)
    live.set_ylabel("tunnels")
    count_axis(live)
    cuts.set_ylabel("cuts per hour")
    cuts.set_xlabel("timeout tunnel (duration, log scale)")
    legend_beside(cuts)
    validities = [(each.timer_s, each.cell.validity) for each in searches]
    keys = [*_fills(cut_edge_s, curve), *draw_points_ground(panels, validities)]
    legend_beside(live, [*live.get_legend_handles_labels()[0], *keys])


def _time_axis(axes: Axes, measured_s: Sequence[float], curve: Curve | None) -> None:
    """The measured values as ticks, then a few of the extrapolation."""
    axes.set_xscale("log")
    low, high = measured_s[0] / 1.25, curve.timers_s[-1] if curve is not None else measured_s[-1] * 1.25
    axes.set_xlim(low, high * 1.02)
    beyond = [each for each in _DECADES_S if measured_s[-1] < each <= high]
    ticks: list[float] = []
    for place in [*measured_s, *beyond]:
        if not ticks or np.log(place / ticks[-1]) / np.log(high / low) > _LEAST_APART:
            ticks.append(place)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration_text(value)))


def _log_counts(axes: Axes) -> None:
    highest = float(axes.dataLim.y1)
    axes.set_yscale("log")
    axes.set_ylim(1.0, max(highest * 3, 20.0) if np.isfinite(highest) else 20.0)
    axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _short(count: float) -> str:
    """10000 -> ``10k``."""
    for unit, suffix in ((1e6, "M"), (1e3, "k")):
        if count >= unit:
            return f"{count / unit:g}{suffix}"
    return f"{count:g}"


def _cut_edge_s(measured: Sequence[AtTimer], advice: Recommendation | None) -> float | None:
    """Up to where the SLO on cuts breaks: as the advice has it, or halfway past the last value that did."""
    broken = [each.timer_s for each in measured if Limit.TIMER in each.limits]
    if not broken:
        return None
    if advice is not None and advice.least_s is not None:
        return advice.least_s
    later = [each.timer_s for each in measured if each.timer_s > broken[-1]]
    return float(np.sqrt(broken[-1] * later[0])) if later else broken[-1] * _EDGE


def _shade(panels: Sequence[Axes], cut_edge_s: float | None, curve: Curve | None) -> None:
    left, right = panels[0].get_xlim()
    for panel in panels:
        if cut_edge_s is not None:
            panel.axvspan(left, cut_edge_s, facecolor=CUT_FILL, zorder=0)
            panel.axvline(cut_edge_s, color=CUT_EDGE, linewidth=1.0, zorder=1)
        if curve is not None:
            panel.axvspan(curve.measured_s * _EDGE, right, facecolor=_BEYOND_FILL, zorder=0)
    if curve is not None:
        text = panels[0].text(0.995, 0.985, "extrapolation", transform=panels[0].transAxes)
        text.set(ha="right", va="top", fontsize=9, color=QUIET_INK, fontstyle="italic")


def _fills(cut_edge_s: float | None, curve: Curve | None) -> list[Patch]:
    """For the legend."""
    patches = []
    if cut_edge_s is not None:
        patches.append(Patch(facecolor=CUT_FILL, edgecolor=CUT_EDGE, label="the SLO on cuts breaks"))
    if curve is not None:
        words = "extrapolation: the model beyond what was measured, dashed"
        patches.append(Patch(facecolor=_BEYOND_FILL, edgecolor=_BEYOND_EDGE, label=words))
    return patches


def _limit_strips(axes: Axes, measured: Sequence[AtTimer]) -> None:
    """What bound, as strips over the points for which it is the same."""
    row = MARK_ROW_IN / height_in(axes)
    places = np.array([each.timer_s for each in measured])
    edges = [places[0] / _EDGE, *np.sqrt(places[1:] * places[:-1]).tolist(), places[-1] * _EDGE]
    for words, run in groupby(enumerate(measured), key=lambda each: _bound(each[1])):
        numbers = [number for number, _ in run]
        first, last = edges[numbers[0]], edges[numbers[-1] + 1]
        strip = Rectangle((first, 1 + (_LIMIT_ROW + 0.1) * row), last - first, 0.8 * row, clip_on=False)
        strip.set(facecolor=_STRIP_FILL, edgecolor="white", transform=axes.get_xaxis_transform())
        axes.add_patch(strip)
        _mark(axes, float(np.sqrt(first * last)), _LIMIT_ROW, _fitting(axes, words, last / first))
    _beside(axes, _LIMIT_ROW, "what bound")


def _bound(measured: AtTimer) -> str:
    return " or ".join(LIMIT_WORDS[Limit(limit)] if limit else "nothing" for limit in measured.limits)


def _fitting(axes: Axes, words: str, factor: float) -> str:
    """The words, shorter where a strip over ``factor`` of the axis is too narrow for them."""
    fits = len(words) * _CHAR_IN <= _span_in(axes, factor)
    return words if fits else words.removeprefix("HAProxy's ").removeprefix("the ")


def _differences(axes: Axes, measured: Sequence[AtTimer]) -> None:
    """How far the measured live tunnels are from the model's, above each point; of points too near each other
    for both their numbers, the one that is further off."""
    shown: list[tuple[float, float]] = []
    for each in measured:
        if each.difference is None:
            continue
        if shown and _span_in(axes, each.timer_s / shown[-1][0]) < _NUMBER_IN:
            if abs(each.difference) <= abs(shown[-1][1]):
                continue
            shown.pop()
        shown.append((each.timer_s, each.difference))
    for timer_s, difference in shown:
        _mark(axes, timer_s, _DIFFERENCE_ROW, f"{100 * difference:+.1f}%", color=QUIET_INK)
    if shown:
        _beside(axes, _DIFFERENCE_ROW, "measured over model")


def _span_in(axes: Axes, factor: float) -> float:
    """How many inches of the logarithmic axis a factor takes."""
    low, high = axes.get_xlim()
    width_in = axes.get_position().width * figure_of(axes).get_figwidth()
    return float(np.log(factor) / np.log(high / low) * width_in)


def _mark(
    axes: Axes, x: float, row: int, words: str, *, color: str = INK, fontweight: str = "normal"
) -> None:
    y = 1 + (row + 0.5) * MARK_ROW_IN / height_in(axes)
    text = axes.text(x, y, words, transform=axes.get_xaxis_transform(), ha="center", va="center")
    text.set(color=color, fontweight=fontweight, fontsize=8.5, clip_on=False)


def _beside(axes: Axes, row: int, words: str) -> None:
    y = 1 + (row + 0.5) * MARK_ROW_IN / height_in(axes)
    axes.text(1.015, y, words, transform=axes.transAxes, va="center", fontsize=8.5, color=QUIET_INK)
