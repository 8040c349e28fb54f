"""The x axis of a campaign's plots: a setting's values at their places, with their unit."""

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from wsload.analysis.campaign import AxisKind, Point, axis_kind, axis_title

_NUMBER_UNITS = {"haproxy.maxconn": "connections", "load.tunnels": "tunnels"}
_LOG_FROM = 12.0
"""A number axis is logarithmic where it spans more than this factor."""


def set_value_axis(axes: Axes, along: Sequence[Point], axis: str) -> None:
    """The swept values as ticks, on a log scale where they are durations or span far."""
    places, texts = [point.x for point in along], {point.x: point.text for point in along}
    kind = axis_kind(list(texts.values()))
    log = kind is AxisKind.DURATION or (kind is AxisKind.NUMBER and places[-1] / places[0] > _LOG_FROM)
    if log:
        axes.set_xscale("log")
    axes.set_xlim(*_limits(places, log=log))
    shown = _apart(places, axes.get_xlim(), log=log)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: texts.get(value, "")))
    axes.set_xlabel(axis_label(axis, list(texts.values()), log=log))


def axis_label(axis: str, texts: Sequence[str], *, log: bool = False) -> str:
    """A grid key in words, with the unit of its values ``texts``."""
    unit = "duration" if axis_kind(texts) is AxisKind.DURATION else _NUMBER_UNITS.get(axis, "")
    words = ", ".join(filter(None, (unit, "log scale" if log else "")))
    return f"{axis_title(axis)} ({words})" if words else axis_title(axis)


def _limits(places: Sequence[float], *, log: bool) -> tuple[float, float]:
    """Axis limits with room for the markers at both ends."""
    if log:
        room = max((places[-1] / places[0]) ** 0.05, 1.15)
        return places[0] / room, places[-1] * room
    room = (places[-1] - places[0]) * 0.06 or max(abs(places[0]) * 0.1, 0.5)
    return places[0] - room, places[-1] + room


def _apart(places: Sequence[float], limits: tuple[float, float], *, log: bool) -> list[float]:
    """Those ticks whose labels do not run into the one before; the last always stays."""
    scale: Callable[[float], float] = math.log if log else float
    span = scale(limits[1]) - scale(limits[0])
    kept: list[float] = []
    for place in reversed(places):
        if not kept or (scale(kept[-1]) - scale(place)) / span > 0.055:
            kept.append(place)
    return kept[::-1]
