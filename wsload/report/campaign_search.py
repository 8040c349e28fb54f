"""Draws a campaign of searches: measured capacity over the model's curve, and cuts per hour below it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from wsload.analysis.extrapolation import reach_s, simulated_live
from wsload.analysis.measured import Searched, by_timer
from wsload.analysis.model import Prediction, predict
from wsload.analysis.recommend import Recommendation
from wsload.record.outcome import Limit
from wsload.report.capacity_wording import LIMIT_WORDS
from wsload.report.style import (
    BLUE,
    GREEN,
    INK,
    LIMIT_DASH,
    MARK_ROW_IN,
    QUIET_INK,
    VERMILLION,
    count_axis,
    duration_text,
    figure_of,
    height_in,
    legend_beside,
)
from wsload.units import NS_PER_S

MARK_ROWS = 3
"""Above the axes: the recommended value, what bound, and how far measured and model differ."""
_CUT_FILL, _CUT_EDGE = "#ebe5d6", "#8a8478"
_BEYOND_FILL = "#f3f5f8"
_DASHED = (0.0, (4.0, 2.0))
_CURVE_POINTS = 160
_SIMULATED = 3
_CHAR_IN = 0.068
_LEAST_APART = 0.055
"""Of the axis' width, between two labels below it."""


@dataclass(frozen=True)
class Curve:
    """The model along the timer; ``measured_s`` is the longest value that was measured."""

    timers_s: Sequence[float]
    said: Sequence[Prediction]
    measured_s: float


def curve_of(searches: Sequence[Searched]) -> Curve | None:
    """Of the first cell's profile, from below the shortest timer to :func:`reach_s`; None without a model."""
    first = searches[0]
    if first.said is None:
        return None
    measured_s = [each.timer_s for each in searches]
    timers_s = np.geomspace(min(measured_s) / 1.25, reach_s(measured_s), _CURVE_POINTS).tolist()
    maxconn = first.cell.maxconn or None
    said = [predict(first.profile, round(timer * NS_PER_S), maxconn) for timer in timers_s]
    return Curve(timers_s, said, max(measured_s))


def draw_search(panels: Sequence[Axes], searches: Sequence[Searched], advice: Recommendation | None) -> None:
    """Live tunnels and ghosts (first panel) and cuts per hour (second) against ``timeout tunnel``."""
    live, cuts = panels
    groups = by_timer(searches)
    curve = curve_of(searches)
    _time_axis(live, [timer_s for timer_s, _ in groups], curve)
    if curve is not None:
        _draw_curve(live, curve, searches[0])
        _draw_model(cuts, curve, lambda said: said.cuts_per_live_s * 3600 * said.live_at_limit, INK, "model")
    _draw_points(live, groups)
    _draw_cut_points(cuts, groups)
    _log_counts(cuts)
    _shade(panels, groups, advice, curve)
    if advice is not None and advice.timer_s is not None:
        for panel in panels:
            panel.axvline(advice.timer_s, color=GREEN, linewidth=2.0, zorder=2)
        _above(live, advice.timer_s, 2, f"recommended: {duration_text(advice.timer_s)}", GREEN)
    _limit_strips(live, groups)
    _difference_row(live, groups)
    maxconns = {each.cell.maxconn for each in searches}
    if len(maxconns) == 1:
        maxconn = maxconns.pop()
        live.axhline(maxconn, color=INK, linewidth=1.1, linestyle=LIMIT_DASH, label=f"maxconn {maxconn:,}")
        live.set_ylim(0, maxconn * 1.09)
    live.set_ylabel("tunnels")
    count_axis(live)
    cuts.set_ylabel("cuts per hour")
    legend_beside(cuts)
    cuts.set_xlabel("timeout tunnel (duration, log scale)")
    legend_beside(live, [*live.get_legend_handles_labels()[0], *_fills(groups, curve)])


def _time_axis(axes: Axes, measured_s: Sequence[float], curve: Curve | None) -> None:
    """The measured values as ticks, then decades of the extrapolation."""
    axes.set_xscale("log")
    high = curve.timers_s[-1] if curve is not None else measured_s[-1] * 1.25
    axes.set_xlim(measured_s[0] / 1.25, high * 1.02)
    span = np.log(axes.get_xlim()[1] / axes.get_xlim()[0])
    beyond = (60.0, 600.0, 3600.0, 21_600.0, 86_400.0) if curve is not None else ()
    ticks: list[float] = []
    for place in sorted({*measured_s, *(each for each in beyond if each > measured_s[-1])}):
        if not ticks or np.log(place / ticks[-1]) / span > _LEAST_APART:
            ticks.append(place)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration_text(value)))


def _draw_curve(axes: Axes, curve: Curve, first: Searched) -> None:
    _draw_model(
        axes,
        curve,
        lambda said: said.capacity if said.cuts_hold else np.nan,
        BLUE,
        "capacity within the SLO, model",
        width=2.4,
    )
    if any(not said.cuts_hold for said in curve.said):
        places = [t for t, said in zip(curve.timers_s, curve.said, strict=True) if not said.cuts_hold]
        live = [said.live_at_limit for said in curve.said if not said.cuts_hold]
        axes.plot(places, live, color=BLUE, linewidth=1.3, linestyle=(0.0, (1.0, 1.6)))
        axes.lines[-1].set_label("most live, SLO on cuts broken, model")
    _draw_model(
        axes,
        curve,
        lambda said: said.ghosts_per_live * said.live_at_limit,
        VERMILLION,
        "slots held by ghosts, model",
    )
    beyond = np.geomspace(curve.measured_s, curve.timers_s[-1], _SIMULATED + 2)[1:-1].tolist()
    found = [(timer, simulated_live(first.profile, first.cell.maxconn, timer)) for timer in beyond]
    known = [(timer, value) for timer, value in found if value is not None]
    if known and first.cell.maxconn:
        at, values = zip(*known, strict=True)
        axes.plot(at, values, "x", color=INK, markersize=8, markeredgewidth=1.6, label="capacity, simulated")


def _draw_model(
    axes: Axes,
    curve: Curve,
    value: Callable[[Prediction], float],
    color: str,
    label: str,
    *,
    width: float = 1.6,
) -> None:
    """Solid as far as was measured, dashed beyond."""
    values = np.array([value(said) for said in curve.said])
    places = np.asarray(curve.timers_s)
    inside = places <= curve.measured_s
    axes.plot(places[inside], values[inside], color=color, linewidth=width, label=label)
    edge = max(int(inside.sum()) - 1, 0)
    axes.plot(places[edge:], values[edge:], color=color, linewidth=width, linestyle=_DASHED)


def _draw_points(axes: Axes, groups: Sequence[tuple[float, Sequence[Searched]]]) -> None:
    meeting = [(t, group) for t, group in groups if all(each.meets_slo for each in group)]
    breaking = [(t, group) for t, group in groups if not all(each.meets_slo for each in group)]
    for chosen, filled, label in (
        (meeting, BLUE, "capacity, measured: last level that held to first that failed"),
        (breaking, "white", "most live, measured, SLO on cuts broken"),
    ):
        if not chosen:
            continue
        places = [t for t, _ in chosen]
        low = np.array([min(each.at_limit.low for each in group) for _, group in chosen])
        high = np.array([max(each.at_limit.high for each in group) for _, group in chosen])
        middle = np.array([np.mean([each.at_limit.middle for each in group]) for _, group in chosen])
        axes.errorbar(
            places,
            middle,
            yerr=[middle - low, high - middle],
            fmt="o",
            color=BLUE,
            markerfacecolor=filled,
            markeredgecolor=BLUE,
            markersize=7,
            capsize=5,
            elinewidth=1.8,
            label=label,
            zorder=4,
        )
        for place, value in zip(places, middle, strict=True):
            text = axes.annotate(
                f"{value:,.0f}", (place, value), (0, 10), textcoords="offset points", ha="center", fontsize=9
            )
            text.set_fontweight("bold" if filled == BLUE else "normal")
            text.set_path_effects([withStroke(linewidth=3, foreground="white")])
    ghosts = [
        np.mean([plateau.ghosts for each in group if (plateau := each.plateau) is not None] or [np.nan])
        for _, group in groups
    ]
    axes.plot(
        [t for t, _ in groups],
        ghosts,
        "D",
        color=VERMILLION,
        markersize=5,
        label="ghosts, measured",
        zorder=4,
    )


def _draw_cut_points(axes: Axes, groups: Sequence[tuple[float, Sequence[Searched]]]) -> None:
    cuts = [
        np.mean([plateau.cuts_per_hour for each in group if (plateau := each.plateau) is not None] or [0.0])
        for _, group in groups
    ]
    seen = [(t, value) for (t, _), value in zip(groups, cuts, strict=True) if value > 0]
    if seen:
        places, values = zip(*seen, strict=True)
        axes.plot(places, values, "o", color=INK, markersize=6, label="measured", zorder=4)


def _shade(
    panels: Sequence[Axes],
    groups: Sequence[tuple[float, Sequence[Searched]]],
    advice: Recommendation | None,
    curve: Curve | None,
) -> None:
    left, right = panels[0].get_xlim()
    edge = _cut_edge_s(groups, advice)
    for panel in panels:
        if edge is not None:
            panel.axvspan(left, edge, facecolor=_CUT_FILL, zorder=0)
            panel.axvline(edge, color=_CUT_EDGE, linewidth=1.0, zorder=1)
        if curve is not None:
            panel.axvspan(curve.measured_s * 1.12, right, facecolor=_BEYOND_FILL, zorder=0)
    if curve is not None:
        panels[0].text(
            0.995,
            0.985,
            "extrapolation",
            transform=panels[0].transAxes,
            ha="right",
            va="top",
            fontsize=9,
            color=QUIET_INK,
            fontstyle="italic",
        )


def _cut_edge_s(
    groups: Sequence[tuple[float, Sequence[Searched]]], advice: Recommendation | None
) -> float | None:
    """Up to where the SLO on cuts breaks: by model and measurement, or the last value that broke it."""
    broken = [t for t, group in groups if any(each.result.limit == Limit.TIMER for each in group)]
    if not broken:
        return None
    if advice is not None and advice.least_s is not None:
        return advice.least_s
    later = [t for t, _ in groups if t > broken[-1]]
    return float(np.sqrt(broken[-1] * later[0])) if later else broken[-1] * 1.12


def _fills(groups: Sequence[tuple[float, Sequence[Searched]]], curve: Curve | None) -> list[Patch]:
    patches = []
    if _cut_edge_s(groups, None) is not None:
        patches.append(Patch(facecolor=_CUT_FILL, edgecolor=_CUT_EDGE, label="the SLO on cuts breaks"))
    if curve is not None:
        words = "extrapolation: the model beyond what was measured, dashed"
        patches.append(Patch(facecolor=_BEYOND_FILL, edgecolor="#c8ced8", label=words))
    return patches


def _limit_strips(axes: Axes, groups: Sequence[tuple[float, Sequence[Searched]]]) -> None:
    """What bound, as strips over the points for which it is the same."""
    row = MARK_ROW_IN / height_in(axes)
    places = [t for t, _ in groups]
    edges = [places[0] / 1.12, *np.sqrt(np.array(places[1:]) * places[:-1]).tolist(), places[-1] * 1.12]
    named = [(_bound(group), number) for number, (_, group) in enumerate(groups)]
    for words, run in groupby(named, key=lambda each: each[0]):
        numbers = [number for _, number in run]
        first, last = edges[numbers[0]], edges[numbers[-1] + 1]
        strip = Rectangle((first, 1 + 1.1 * row), last - first, 0.8 * row, clip_on=False)
        strip.set(facecolor="#dfe6ee" if words else "none", edgecolor="white")
        strip.set_transform(axes.get_xaxis_transform())
        axes.add_patch(strip)
        text = axes.text(
            float(np.sqrt(first * last)), 1 + 1.5 * row, _fitting(axes, words, first, last), fontsize=8.5
        )
        text.set(transform=axes.get_xaxis_transform(), ha="center", va="center", clip_on=False)
    _beside(axes, 1, "what bound")


def _bound(group: Sequence[Searched]) -> str:
    limits = list(dict.fromkeys(each.result.limit for each in group))
    return " or ".join(LIMIT_WORDS[Limit(limit)] if limit else "the search's end" for limit in limits)


def _fitting(axes: Axes, words: str, first: float, last: float) -> str:
    low, high = axes.get_xlim()
    share = np.log(last / first) / np.log(high / low)
    width_in = float(share) * axes.get_position().width * figure_of(axes).get_figwidth()
    most = max(int(width_in / _CHAR_IN), 1)
    return words if len(words) <= most else words.removeprefix("HAProxy's ").removeprefix("the ")


def _difference_row(axes: Axes, groups: Sequence[tuple[float, Sequence[Searched]]]) -> None:
    """How far the measured live tunnels are from the model's, above each point."""
    row = MARK_ROW_IN / height_in(axes)
    found = False
    for timer_s, group in groups:
        differences = [each.difference for each in group if each.difference is not None]
        if differences:
            found = True
            text = axes.text(timer_s, 1 + 0.5 * row, f"{100 * np.mean(differences):+.1f}%", fontsize=8.5)
            text.set(transform=axes.get_xaxis_transform(), ha="center", va="center", color=QUIET_INK)
    if found:
        _beside(axes, 0, "measured over model")


def _beside(axes: Axes, row: int, words: str) -> None:
    y = 1 + (row + 0.5) * MARK_ROW_IN / height_in(axes)
    axes.text(1.015, y, words, transform=axes.transAxes, va="center", fontsize=8.5, color=QUIET_INK)


def _above(axes: Axes, x: float, row: int, words: str, color: str) -> None:
    y = 1 + (row + 0.5) * MARK_ROW_IN / height_in(axes)
    text = axes.text(x, y, words, transform=axes.get_xaxis_transform(), ha="center", va="center", fontsize=9)
    text.set(color=color, fontweight="bold")


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
