"""The keepalive plot of a campaign that sweeps a ping interval: who outlived the timer, and who should have.

Import lazily from the CLI: this module imports matplotlib.
"""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from wsload.analysis.keepalive import KeepalivePoint, expected_alive
from wsload.report.keepalive_wording import margins, setting_words
from wsload.report.marks import draw_points_ground
from wsload.report.style import (
    Caption,
    Mark,
    draw_marks,
    duration_axis,
    duration_text,
    house_style,
    legend_beside,
    look_of,
    new_figure,
    save,
)

NAME = "keepalive"
_CURVE_POINTS = 400
_ROOM = 1.15
_ROWS = 3


def write_keepalive_plot(points: Sequence[KeepalivePoint], caption: Caption, out: Path) -> list[Path]:
    """Draw ``keepalive`` into ``out`` as PNG and SVG; returns the files written."""
    with house_style():
        return save(keepalive_figure(points, caption), out, NAME)


def keepalive_figure(points: Sequence[KeepalivePoint], caption: Caption) -> Figure:
    """The figure, to be drawn within :func:`house_style`. ``points`` come by timer, then by interval."""
    title = "Keepalive margin: tunnels that outlive the timer, against the ping interval"
    figure, (axes,) = new_figure(title, caption, mark_rows=_ROWS)
    handles: list[Artist] = []
    groups = [list(group) for _, group in groupby(points, key=lambda point: (point.timer_s, point.loss))]
    left = min(point.every_s for point in points) / _ROOM
    right = max(*(point.every_s for point in points), *(point.timer_s for point in points)) * _ROOM
    axes.set_xlim(left, right)
    for number, group in enumerate(groups):
        handles += _draw_group(axes, group, number)
    duration_axis(axes, log=right / left > 4)
    axes.set_xlabel("ping interval (duration, log scale)" if right / left > 4 else "ping interval (duration)")
    axes.set_ylim(-3, 104)
    axes.yaxis.set_major_locator(FixedLocator([0, 25, 50, 75, 100]))
    axes.set_ylabel("tunnels alive at the end of the hold (%)")
    marks = [
        Mark(margin.interval_s, f"{margin.lost} lost: {duration_text(margin.interval_s)}")
        for margin in margins(groups[0])
        if left <= margin.interval_s <= right
    ]
    draw_marks(axes, marks, rows=_ROWS)
    handles.append(Line2D([], [], color="#1a1a1a", linewidth=1.1, linestyle=(0.0, (4.0, 2.0)), label=_RULE))
    handles += draw_points_ground([axes], [(each.every_s, each.validity) for each in points])
    legend_beside(axes, handles)
    return figure


_RULE = "(T-RTT-jitter)/(k+1): survives k pings lost in a row"


def _draw_group(axes: Axes, group: Sequence[KeepalivePoint], number: int) -> list[Artist]:
    """One timer and loss: the curve that is expected, and what was measured with its 95 % interval."""
    first, look = group[0], look_of(number)
    left, right = axes.get_xlim()
    # Just before and after each step of the curve, which lie where one interval more fits into the timer.
    steps = [first.timer_s / k for k in range(1, int(first.timer_s / left) + 1)]
    fine = np.geomspace(left, right, _CURVE_POINTS).tolist()
    places = sorted({*fine, *(step * (1 - 1e-9) for step in steps), *(step * (1 + 1e-9) for step in steps)})
    curve = [100 * expected_alive(x, first.timer_s, first.loss, first.watched_s) for x in places]
    axes.plot(places, curve, color=look.color, linestyle="-", linewidth=1.4, alpha=0.75)
    lows, highs = zip(*(point.interval for point in group), strict=True)
    shares = np.array([point.share for point in group])
    spread = 100 * np.array([shares - np.array(lows), np.array(highs) - shares])
    axes.errorbar(
        [point.every_s for point in group],
        100 * shares,
        yerr=np.maximum(spread, 0),
        fmt=look.marker,
        color=look.color,
        markeredgecolor="white",
        markersize=8,
        capsize=3,
    )
    words = setting_words(first)
    return [
        Line2D([], [], color=look.color, linewidth=1.4, alpha=0.75, label=f"worked out, {words}"),
        Line2D(
            [],
            [],
            linestyle="",
            marker=look.marker,
            color=look.color,
            markersize=8,
            label=f"measured, {words}, with 95% interval",
        ),
    ]
