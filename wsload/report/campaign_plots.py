"""A campaign's plots: capacity, disconnects and latency against the swept setting.

Import lazily from the CLI: this module imports matplotlib.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from wsload.analysis.campaign import CampaignInfo, CellResult, axis_title, cut_region, points
from wsload.record.outcome import Validity
from wsload.report.campaign_drawing import (
    draw_capacity,
    draw_causes,
    draw_heat_map,
    draw_latency,
    has_slo,
)
from wsload.report.style import Caption, duration_text, house_style, new_figure, save, timers_text
from wsload.report.value_axis import axis_label


def write_campaign_plots(cells: Sequence[CellResult], info: CampaignInfo, out: Path) -> list[Path]:
    """Draw the campaign's plots into ``out`` as PNG and SVG; returns the files written.

    One axis: curves against it. Two: a heat map, and bars per cell.
    """
    draw = _one_axis_plots if len(info.axes) == 1 else _two_axis_plots
    with house_style():
        return [path for name, figure in draw(cells, info).items() for path in save(figure, out, name)]


def _one_axis_plots(cells: Sequence[CellResult], info: CampaignInfo) -> dict[str, Figure]:
    axis = info.axes[0]
    along = points(cells, axis)
    title = axis_title(axis)
    caption = campaign_caption(cells, info)
    region = cut_region(cells, axis)
    heading = f"Capacity against {title}: tunnels held through {_hold_words(info)}"
    rows = has_slo(cells) + (len(region.cohorts) if region else 1)
    capacity, panels = new_figure(heading, caption, panel_heights_in=(3.7, 1.7), mark_rows=rows)
    draw_capacity(panels, cells, axis, hold_s=info.hold_s)
    ends, (ends_axes,) = new_figure(f"Disconnects by {title}", caption)
    draw_causes(ends_axes, [(point.text, point.cells) for point in along])
    ends_axes.set_xlabel(axis_label(axis, [point.text for point in along]))
    latency, (latency_axes,) = new_figure(f"Latency by {title}", caption)
    draw_latency(latency_axes, along, axis)
    return {"capacity": capacity, "disconnects_by_timeout": ends, "latency_by_timeout": latency}


def _two_axis_plots(cells: Sequence[CellResult], info: CampaignInfo) -> dict[str, Figure]:
    row_axis, column_axis = info.axes[:2]
    rows = points(cells, row_axis)
    columns = points(cells, column_axis)
    caption = campaign_caption(cells, info)
    what = f"{axis_title(row_axis)} and {axis_title(column_axis)}"
    capacity, (axes,) = new_figure(
        f"Capacity against {what}", caption, panel_heights_in=(max(2.4, 0.62 * len(rows)),), legend=False
    )
    draw_heat_map(axes, rows, columns, info.axes)
    ends, (ends_axes,) = new_figure(f"Disconnects by {what}", caption, tick_lines=2)
    named = [
        (f"{row.text}\n{column.text}", tuple(cell for cell in row.cells if cell in column.cells))
        for row in rows
        for column in columns
    ]
    draw_causes(ends_axes, [(text, group) for text, group in named if group])
    ends_axes.set_xlabel(f"{axis_title(row_axis)} (above), {axis_title(column_axis)} (below)")
    return {"capacity": capacity, "disconnects_by_timeout": ends}


def campaign_caption(cells: Sequence[CellResult], info: CampaignInfo) -> Caption:
    """The words around a campaign's plots."""
    swept = set(info.axes)
    repeats = max(sum(other.axes == cell.axes for other in cells) for cell in cells)
    swept_timers = {axis.removeprefix("haproxy.timeouts.") for axis in swept}
    through = {"haproxy": f"via HAProxy {info.haproxy_version}".rstrip(), "url": "via a given URL"}
    setting = (
        info.profile,
        "" if "load.tunnels" in swept else f"{info.tunnels:,} tunnels",
        "" if "load.ramp" in swept else f"ramp {duration_text(info.ramp_s)}",
        "" if "load.hold" in swept else f"hold {duration_text(info.hold_s)}",
        through.get(info.via, "without HAProxy"),
        timers_text(info.timers_ms, swept_timers),
        f"{repeats} repeats: mean, bars from least to most" if repeats > 1 else "",
    )
    doubtful = [f"{_words(cell.axes)} ({cell.validity})" for cell in cells if cell.validity != Validity.VALID]
    warnings = [f"Doubtful: {', '.join(dict.fromkeys(doubtful))}"] if doubtful else []
    warnings += (
        [f"Without a result: {', '.join(_words(axes) for axes in info.failed)}"] if info.failed else []
    )
    footer = [f"{len(cells) - len(doubtful)} of {len(cells)} cells valid"]
    return Caption(setting, tuple(filter(None, (*footer, info.host, info.title))), ". ".join(warnings))


def _words(axes: Mapping[str, str]) -> str:
    return " ".join(f"{axis_title(axis)} {value}" for axis, value in axes.items())


def _hold_words(info: CampaignInfo) -> str:
    return "the hold" if "load.hold" in info.axes else f"a {duration_text(info.hold_s)} hold"
