"""The plot of a comparison: a bar for each tool's median, a dot for each round, and the ratio to ours."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from benchmarks.peer_tools.base import Traffic
from benchmarks.peer_tools.table import OURS
from benchmarks.peers_figures import (
    CPU,
    MEMORY,
    Line,
    Measurement,
    describe,
    median_of,
    ratio_to_ours,
    remarks,
    tools_in,
    values,
)
from wsload.report.style import BLUE, INK, Caption, Mark, draw_marks, house_style, new_figure, save, say
from wsload.units import format_many, format_size

NAME = "peers"
_TITLE = "wsload and its peers, through the same HAProxy"
_LABELS = {CPU: "CPU of an echo (µs)", MEMORY: "memory of an idle tunnel, beyond the tool's base (KB)"}
_PEER = "#b9b9b9"
_ROOM = 1.25
"""How far the axis goes on beyond the longest bar and the mark, for their words."""


def write_peers_plot(measurements: Sequence[Measurement], out: Path) -> list[Path]:
    """Draw ``peers`` into ``out`` as PNG and SVG."""
    with house_style():
        return save(peers_figure(measurements), out, NAME)


def peers_figure(measurements: Sequence[Measurement]) -> Drawing:
    """The figure, to be drawn within :func:`house_style`: CPU of an echo, memory of an idle tunnel."""
    tools = tools_in(measurements)
    here = measurements[0].setting
    rounds = len({each.round for each in measurements})
    workloads = [
        next((describe(each.workload) for each in measurements if each.workload.traffic is traffic), "")
        for traffic in Traffic
    ]
    caption = Caption(
        (
            *workloads,
            f"HAProxy {here.haproxy}, {format_many(here.cores, 'core')}, {format_size(here.memory_bytes)}",
            "whole process trees, PSS",
            f"bar: median of {format_many(rounds, 'round')}, dot: each",
        ),
        ("wsload, benchmarks/peers.py",),
        "; ".join(remark.partition(": ")[0] for remark in remarks(measurements) if "failed" in remark),
    )
    height_in = 0.5 + 0.42 * len(tools)
    drawing, panels = new_figure(
        _TITLE, caption, panel_heights_in=(height_in, height_in), mark_rows=1, share_x=False, legend=False
    )
    for panel, (line, label) in zip(panels, _LABELS.items(), strict=True):
        _draw(panel, measurements, line, tools)
        panel.set_xlabel(label)
    return drawing


def _draw(axes: Axes, measurements: Sequence[Measurement], line: Line, tools: Sequence[str]) -> None:
    medians = {name: median_of(measurements, line, name) for name in tools}
    shown = {name: median for name, median in medians.items() if median is not None}
    if not shown:
        say(axes, "not measured")
        return
    places = range(len(shown))
    colors = [BLUE if name == OURS else _PEER for name in shown]
    axes.barh(places, list(shown.values()), height=0.62, color=colors)
    most = 0.0
    for place, (name, median) in enumerate(shown.items()):
        each = values(measurements, line, name)
        axes.plot(each, [place] * len(each), "o", color=INK, markersize=3.5)
        ratio = ratio_to_ours(measurements, line, name)
        words = f"{median:.3g}" + ("" if name == OURS or ratio is None else f"   {ratio:.1f}x ours")
        most = max(most, *each)
        axes.annotate(
            words,
            (max(each), place),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
            zorder=3,
        )
    asked = (shown.get(OURS) or 0.0) * (line.bar or 0.0)
    axes.set_xlim(left=min(0.0, *shown.values()), right=max(most * _ROOM, asked * _ROOM))
    axes.set_yticks(places, list(shown))
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    if asked > 0:
        draw_marks(axes, [Mark(asked, f"asked: {line.bar:g} times ours")], rows=1)
