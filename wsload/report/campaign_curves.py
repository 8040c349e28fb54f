"""The model's curves of a campaign of searches, and the measured points that lie over them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from wsload.analysis.extrapolation import reach_s, simulated_live
from wsload.analysis.measured import AtTimer, Searched
from wsload.analysis.model import Prediction, predict
from wsload.report.style import BLUE, INK, VERMILLION, Dash
from wsload.units import NS_PER_S

_BEYOND: Dash = (0.0, (4.0, 2.0))
_BROKEN: Dash = (0.0, (1.0, 1.6))
_CURVE_POINTS = 160
_SIMULATED = 3


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


def draw_live_curves(axes: Axes, curve: Curve, first: Searched) -> None:
    """Capacity within the SLO, live tunnels where cuts break it, ghosts; and simulated capacity beyond."""
    within = "capacity within the SLO, model"
    _draw(axes, curve, lambda said: said.capacity if said.cuts_hold else np.nan, BLUE, within, width=2.4)
    broken = [(t, said) for t, said in zip(curve.timers_s, curve.said, strict=True) if not said.cuts_hold]
    if broken:
        axes.plot(
            [timer_s for timer_s, _ in broken],
            [said.live_at_limit for _, said in broken],
            color=BLUE,
            linewidth=1.3,
            linestyle=_BROKEN,
            label="most live, SLO on cuts broken, model",
        )
    ghosts = "slots held by ghosts, model"
    _draw(axes, curve, lambda said: said.ghosts_per_live * said.live_at_limit, VERMILLION, ghosts)
    if first.cell.maxconn:
        _draw_simulated(axes, curve, first)


def draw_cut_curve(axes: Axes, curve: Curve) -> None:
    """Cuts per hour at the limit."""
    _draw(axes, curve, lambda said: said.cuts_per_live_s * 3600 * said.live_at_limit, INK, "model")


def draw_live_points(axes: Axes, measured: Sequence[AtTimer]) -> None:
    """Live tunnels as measured, with the range that they are known to, and ghosts."""
    for chosen, fill, label in (
        (
            [each for each in measured if each.meets_slo],
            BLUE,
            "capacity, measured: last level that held to first that failed",
        ),
        (
            [each for each in measured if each.is_held and not each.meets_slo],
            "white",
            "most live, measured, SLO on cuts broken",
        ),
    ):
        if chosen:
            _draw_brackets(axes, chosen, fill, label)
    nothing = [each for each in measured if not each.is_held]
    if nothing:
        places, values = [each.timer_s for each in nothing], [0.0] * len(nothing)
        label = "not even the lowest level held"
        axes.plot(places, values, "X", color=INK, markersize=9, label=label, clip_on=False, zorder=5)
    ghosts = [(each.timer_s, each.ghosts) for each in measured if each.ghosts is not None]
    if ghosts:
        places, values = [timer_s for timer_s, _ in ghosts], [value for _, value in ghosts]
        axes.plot(places, values, "D", color=VERMILLION, markersize=5, label="ghosts, measured", zorder=4)


def draw_cut_points(axes: Axes, measured: Sequence[AtTimer]) -> None:
    """Cuts per hour as measured; none has no place on a log scale."""
    seen = [(each.timer_s, each.cuts_per_hour) for each in measured if each.cuts_per_hour]
    if seen:
        places, values = [timer_s for timer_s, _ in seen], [value for _, value in seen]
        axes.plot(places, values, "o", color=INK, markersize=6, label="measured", zorder=4)


def _draw(
    axes: Axes,
    curve: Curve,
    value: Callable[[Prediction], float],
    color: str,
    label: str,
    *,
    width: float = 1.6,
) -> None:
    """Solid as far as was measured, dashed beyond."""
    values, places = np.array([value(said) for said in curve.said]), np.asarray(curve.timers_s)
    inside = places <= curve.measured_s
    axes.plot(places[inside], values[inside], color=color, linewidth=width, label=label)
    edge = max(int(inside.sum()) - 1, 0)
    axes.plot(places[edge:], values[edge:], color=color, linewidth=width, linestyle=_BEYOND)


def _draw_simulated(axes: Axes, curve: Curve, first: Searched) -> None:
    beyond = np.geomspace(curve.measured_s, curve.timers_s[-1], _SIMULATED + 2)[1:-1].tolist()
    found = [(timer, simulated_live(first.profile, first.cell.maxconn, timer)) for timer in beyond]
    known = [(timer, value) for timer, value in found if value is not None]
    if known:
        places, values = [timer for timer, _ in known], [value for _, value in known]
        label = "capacity, simulated"
        axes.plot(places, values, "x", color=INK, markersize=8, markeredgewidth=1.6, label=label)


def _draw_brackets(axes: Axes, measured: Sequence[AtTimer], fill: str, label: str) -> None:
    places = [each.timer_s for each in measured]
    middle = np.array([each.at_limit.middle for each in measured])
    below = middle - [each.extremes.low for each in measured]
    above = np.array([each.extremes.high for each in measured]) - middle
    axes.errorbar(
        places,
        middle,
        yerr=[below, above],
        fmt="o",
        color=BLUE,
        markerfacecolor=fill,
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
        text.set_fontweight("bold" if fill == BLUE else "normal")
        text.set_path_effects([withStroke(linewidth=3, foreground="white")])
