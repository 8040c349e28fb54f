"""The slot ledger of one run: who held HAProxy's slots over time, and what nobody explains.

Import lazily from the CLI: this module imports matplotlib.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from wsload.analysis.folder import LedgerRow, RunFolder
from wsload.analysis.ledger import STEADY_SHARE
from wsload.record import layout
from wsload.report.drawing import draw_limit
from wsload.report.plots import run_caption, time_figure, time_frame
from wsload.report.series import Floats, RunData, gather
from wsload.report.style import (
    BLACK,
    BLUE,
    ORANGE,
    SKY,
    VERMILLION,
    Caption,
    count_axis,
    house_style,
    legend_beside,
    save,
    say,
)

NAME = "slot_ledger"
_PARTS: tuple[tuple[str, str, str, str], ...] = (
    ("live", "live tunnels", BLUE, ""),
    ("opening", "opening, no 101 yet", SKY, "++"),
    ("half_open", "half-open: the client is done, HAProxy is not", ORANGE, "\\\\\\"),
    ("ghosts", "ghosts: vanished, slot still held", VERMILLION, "///"),
)
"""From the bottom up: column, words, colour, hatch."""
_MOST_MARKERS = 60
_SEEN_SHARE = 0.01
"""A part that never is more of the slots cannot be seen, and stands in no legend."""


def write_ledger_plots(folder: RunFolder) -> list[Path]:
    """Draw ``slot_ledger`` into ``folder.path / "plots"`` as PNG and SVG; returns the files written.

    None for a run without samples of HAProxy.
    """
    rows = list(folder.iter_ledger())
    if not rows:
        return []
    with house_style():
        figure = ledger_figure(folder, rows, gather(folder), run_caption(folder))
        return save(figure, folder.path / layout.PLOTS, NAME)


def ledger_figure(folder: RunFolder, rows: Sequence[LedgerRow], data: RunData, caption: Caption) -> Figure:
    """The figure, to be drawn within :func:`house_style`."""
    figure, panels = time_figure("Slot ledger: who holds HAProxy's slots", caption, (3.5, 1.5), folder)
    columns = {
        name: np.array([getattr(row, name) for row in rows], dtype=np.float64)
        for name in LedgerRow.__struct_fields__
        if name != "phase"
    }
    _draw_parts(panels[0], columns, folder.info.maxconn)
    _draw_unexplained(panels[1], columns)
    time_frame(panels, folder, data)
    return figure


def _draw_parts(axes: Axes, columns: dict[str, Floats], maxconn: int) -> None:
    t_s, slots = columns["t_s"], columns["slots"]
    axes.set_ylabel("slots")
    parts = columns | {"live": columns["live"] - columns["unaware"]}
    below = np.zeros_like(t_s)
    for name, words, color, hatch in _PARTS:
        above = below + parts[name]
        is_seen = parts[name].max() > _SEEN_SHARE * slots.max()
        axes.fill_between(
            t_s,
            below,
            above,
            facecolor=color,
            alpha=0.75,
            hatch=hatch,
            edgecolor="white",
            linewidth=0.0,
            label=words if is_seen else f"_{words}",
        )
        below = above
    axes.plot(
        t_s,
        slots,
        color=BLACK,
        linestyle="",
        marker="o",
        markersize=4.5,
        markerfacecolor="none",
        markeredgewidth=1.1,
        markevery=max(1, len(t_s) // _MOST_MARKERS),
        label="HAProxy's own count of slots in use",
    )
    draw_limit(axes, max(float(slots.max()), float(below.max()), 1.0), maxconn)
    count_axis(axes)
    legend_beside(axes)


def _draw_unexplained(axes: Axes, columns: dict[str, Floats]) -> None:
    """HAProxy's count less all that is known, in percent of it; the first and last slots are left out."""
    t_s, slots, unexplained = columns["t_s"], columns["slots"], columns["unexplained"]
    axes.set_ylabel("unexplained\n(% of slots)")
    counted = slots > 0
    if not counted.any():
        say(axes, "no slot was in use")
        return
    share = np.full_like(slots, np.nan)
    share[counted] = unexplained[counted] / slots[counted]
    axes.axhspan(-STEADY_SHARE, STEADY_SHARE, color="#dfeadf", linewidth=0, zorder=0.5, label="within 0.5%")
    axes.plot(t_s, share, color=BLACK, linewidth=1.2, label="slots less all that is known")
    most = float(np.nanmax(np.abs(share[slots >= _judged_from(slots)])))
    reach = max(most * 1.25, 2.4 * STEADY_SHARE)
    axes.set_ylim(-reach, reach)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, symmetric=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    legend_beside(axes)


def _judged_from(slots: Floats) -> float:
    """So few slots that one of them is a large share do not set the scale."""
    return float(slots.max()) / 4
