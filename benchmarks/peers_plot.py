"""The plot of a comparison: a bar for each tool's median, a dot for each round, and the ratio to ours."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

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
from wsload.report.style import BLUE, INK, QUIET_INK, Caption, house_style, new_figure, note, save, say
from wsload.units import format_many, format_size

NAME = "peers"
_TITLE = "wsload and its peers, through the same HAProxy"
_LABELS = {CPU: "CPU of an echo, µs (log)", MEMORY: "memory of an idle tunnel, KB (log)"}
_PEER = "#b9b9b9"
_ROOM = 6.0
"""How far the axis goes on beyond the longest bar, for its words."""


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
            f"whole process trees, PSS; {format_many(rounds, 'round')}",
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
    note(panels[0], "bar: median; dot: a round; behind it: times ours")
    return drawing


def _draw(axes: Axes, measurements: Sequence[Measurement], line: Line, tools: Sequence[str]) -> None:
    shown = [name for name in tools if (median_of(measurements, line, name) or 0) > 0]
    if not shown:
        say(axes, "not measured")
        return
    medians = {name: median_of(measurements, line, name) or 0.0 for name in shown}
    points = [
        (value, place) for place, name in enumerate(shown) for value in values(measurements, line, name)
    ]
    axes.set_xscale("log")
    axes.barh(
        range(len(shown)),
        [medians[name] for name in shown],
        height=0.62,
        color=[BLUE if name == OURS else _PEER for name in shown],
    )
    axes.plot([value for value, _ in points], [place for _, place in points], "o", color=INK, markersize=3.5)
    least, most = min(value for value, _ in points), max(value for value, _ in points)
    axes.set_xlim(min(least / 3, most / 10), most * _ROOM)
    for place, name in enumerate(shown):
        highest = max(value for value, at in points if at == place)
        ratio = ratio_to_ours(measurements, line, name)
        words = f"{medians[name]:.3g}" + ("" if name == OURS or ratio is None else f"   {ratio:.1f}x ours")
        axes.annotate(words, (highest, place), (7, 0), textcoords="offset points", va="center", fontsize=9.5)
    axes.set_yticks(range(len(shown)), shown)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    if median := median_of(measurements, line, OURS):
        bar_at = median * (line.bar or 1)
        axes.axvline(bar_at, color=QUIET_INK, linewidth=1.1, linestyle=(0.0, (4.0, 2.0)))
