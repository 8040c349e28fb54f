"""The plot of a scale series: memory, CPU, opening rate and latency against the number of tunnels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.scale_figures import CPU_CORES, FIGURES, MEMORY_MB, Figure, Row
from benchmarks.scale_samples import Owner
from wsload.report.style import (
    Caption,
    count_axis,
    house_style,
    legend_beside,
    look_of,
    milliseconds_axis,
    new_figure,
    save,
    say,
)
from wsload.units import format_count

NAME = "scale"
_TITLE = "What each part takes, against the number of tunnels"
_SETTING = "60 % idle, 30 % pinged every 30 s, 10 % chatty: 2,000 echoes/s together"
_OWNERS = {
    Owner.HAPROXY: "HAProxy",
    Owner.PARENT: "parent (merges, writes)",
    Owner.KERNEL: "kernel (sockets, files)",
}
_LATENCIES = {
    "handshake p99": "handshake p99, ms",
    "echo p99": "echo p99 (corrected), ms",
    "lag p99": "lag p99, ms",
}


def write_scale_plot(rows: Sequence[Row], setting: Sequence[str], out: Path) -> list[Path]:
    """Draw ``scale`` into ``out`` as PNG and SVG; ``setting`` is for the caption."""
    with house_style():
        return save(scale_figure(rows, setting), out, NAME)


def scale_figure(rows: Sequence[Row], setting: Sequence[str]) -> Drawing:
    """The figure, to be drawn within :func:`house_style`. Runs that were refused are in its warning alone."""
    ran = [row for row in rows if row.processes]
    # A plot's head has room for the gravest of each; the table says all, why, and what to do.
    missed = [
        f"{format_count(row.tunnels)}: {row.limits[0].partition(';')[0].partition(', ')[0]}"
        for row in rows
        if row.limits
    ]
    caption = Caption((_SETTING, *setting), ("wsload, benchmarks/scale.py",), "; ".join(missed))
    drawing, panels = new_figure(_TITLE, caption, panel_heights_in=(2.6, 2.6, 1.5, 2.2))
    if not ran:
        for panel in panels:
            say(panel, "no run came about")
        return drawing
    memory, cpu, opening, latency = panels
    _draw(memory, ran, _by_owner(MEMORY_MB))
    milliseconds_axis(memory)
    memory.set_ylabel("memory taken (MB, log)")
    _draw(cpu, ran, _by_owner(CPU_CORES))
    milliseconds_axis(cpu)
    cpu.set_ylabel("CPU in the hold (cores, log)")
    _draw(opening, ran, {"tunnels opened": FIGURES["opened per s"]})
    count_axis(opening)
    opening.set_ylim(top=opening.get_ylim()[1] * 1.1)
    opening.set_ylabel("opened (1/s)")
    _draw(latency, ran, {label: FIGURES[name] for label, name in _LATENCIES.items()})
    milliseconds_axis(latency)
    latency.set_ylabel("ms (log)")
    latency.set_xscale("log")
    latency.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    latency.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))
    latency.xaxis.set_minor_formatter(NullFormatter())
    latency.set_xlabel("tunnels (log)")
    return drawing


def _by_owner(figures: Mapping[Owner, Figure]) -> dict[str, Figure]:
    return {_OWNERS.get(owner, str(owner)): figure for owner, figure in figures.items()}


def _draw(axes: Axes, rows: Sequence[Row], figures: Mapping[str, Figure]) -> None:
    for number, (label, figure) in enumerate(figures.items()):
        points = [(row.tunnels, value) for row in rows if (value := figure(row)) is not None and value > 0]
        look = look_of(number)
        axes.plot(
            [tunnels for tunnels, _ in points],
            [value for _, value in points],
            color=look.color,
            linestyle=look.dash,
            marker=look.marker,
            label=label,
        )
    legend_beside(axes)
