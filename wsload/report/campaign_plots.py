"""A campaign's plots: capacity, disconnects and latency against the swept setting.

Import lazily from the CLI: this module imports matplotlib.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from wsload.analysis.campaign import CampaignInfo, CellResult, axis_title, cut_region, points
from wsload.analysis.measured import TUNNEL_AXIS, Searched
from wsload.analysis.recommend import Recommendation
from wsload.profile.distributions import written
from wsload.profile.model import Profile, Traffic
from wsload.record.outcome import Validity
from wsload.report.campaign_drawing import (
    draw_capacity,
    draw_causes,
    draw_latency,
    has_slo,
)
from wsload.report.campaign_heat import Squares, draw_capacity_map, draw_cuts_map
from wsload.report.campaign_search import MARK_ROWS, draw_search
from wsload.report.style import Caption, duration_text, house_style, new_figure, save, timers_text
from wsload.report.value_axis import axis_label
from wsload.units import format_share


def write_campaign_plots(
    cells: Sequence[CellResult],
    info: CampaignInfo,
    out: Path,
    searches: Sequence[Searched] = (),
    advice: Recommendation | None = None,
) -> list[Path]:
    """Draw the campaign's plots into ``out`` as PNG and SVG; returns the files written.

    One axis: curves against it, over the model's where the cells searched for capacity (``searches``) against
    ``timeout tunnel``. Two: heat maps, and bars per cell.
    """
    with house_style():
        if len(info.axes) > 1:
            figures = _two_axis_plots(cells, info, searches, advice)
        else:
            is_search = searches and info.axes[0] == TUNNEL_AXIS
            capacity = _search_plot(cells, info, searches, advice) if is_search else _held_plot(cells, info)
            figures = {"capacity": capacity, **_one_axis_plots(cells, info)}
        return [path for name, figure in figures.items() for path in save(figure, out, name)]


def _search_plot(
    cells: Sequence[CellResult],
    info: CampaignInfo,
    searches: Sequence[Searched],
    advice: Recommendation | None,
) -> Figure:
    title = "Capacity against timeout tunnel: live tunnels within the SLO"
    caption = campaign_caption(cells, info, searches[0].profile)
    figure, panels = new_figure(title, caption, panel_heights_in=(3.9, 1.4), mark_rows=MARK_ROWS)
    draw_search(panels, searches, advice)
    return figure


def _held_plot(cells: Sequence[CellResult], info: CampaignInfo) -> Figure:
    axis = info.axes[0]
    region = cut_region(cells, axis)
    heading = f"Capacity against {axis_title(axis)}: tunnels held through {_hold_words(info)}"
    rows = has_slo(cells) + (len(region.cohorts) if region else 1)
    caption = campaign_caption(cells, info)
    figure, panels = new_figure(heading, caption, panel_heights_in=(3.7, 1.7), mark_rows=rows)
    draw_capacity(panels, cells, axis, hold_s=info.hold_s)
    return figure


def _one_axis_plots(cells: Sequence[CellResult], info: CampaignInfo) -> dict[str, Figure]:
    axis = info.axes[0]
    along = points(cells, axis)
    title = axis_title(axis)
    caption = campaign_caption(cells, info)
    ends, (ends_axes,) = new_figure(f"Disconnects by {title}", caption)
    draw_causes(ends_axes, [(point.text, point.cells) for point in along])
    ends_axes.set_xlabel(axis_label(axis, [point.text for point in along]))
    latency, (latency_axes,) = new_figure(f"Latency by {title}", caption)
    draw_latency(latency_axes, along, axis)
    return {"disconnects_by_timeout": ends, "latency_by_timeout": latency}


def _two_axis_plots(
    cells: Sequence[CellResult],
    info: CampaignInfo,
    searches: Sequence[Searched],
    advice: Recommendation | None,
) -> dict[str, Figure]:
    row_axis, column_axis = info.axes[:2]
    rows = points(cells, row_axis)
    columns = points(cells, column_axis)
    caption = campaign_caption(cells, info, searches[0].profile if searches else None)
    what = f"{axis_title(row_axis)} and {axis_title(column_axis)}"
    heights_in = (max(2.4, 0.62 * len(rows)),)
    capacity, (axes,) = new_figure(
        f"Capacity against {what}", caption, panel_heights_in=heights_in, mark_rows=1, legend=False
    )
    grid = Squares(rows, columns, info.axes, advice)
    draw_capacity_map(axes, grid)
    cuts, (cut_axes,) = new_figure(
        f"Cuts per hour by {what}", caption, panel_heights_in=heights_in, mark_rows=1, legend=False
    )
    draw_cuts_map(cut_axes, grid)
    ends, (ends_axes,) = new_figure(f"Disconnects by {what}", caption, tick_lines=2)
    named = [
        (f"{row.text}\n{column.text}", tuple(cell for cell in row.cells if cell in column.cells))
        for row in rows
        for column in columns
    ]
    draw_causes(ends_axes, [(text, group) for text, group in named if group])
    ends_axes.set_xlabel(f"{axis_title(row_axis)} (above), {axis_title(column_axis)} (below)")
    return {"capacity": capacity, "cuts_per_hour": cuts, "disconnects_by_timeout": ends}


def campaign_caption(
    cells: Sequence[CellResult], info: CampaignInfo, searching: Profile | None = None
) -> Caption:
    """The words around a campaign's plots; ``searching``: a cell's profile, where they search."""
    swept = set(info.axes)
    repeats = max(sum(other.axes == cell.axes for other in cells) for cell in cells)
    swept_timers = {axis.removeprefix("haproxy.timeouts.") for axis in swept}
    through = {"haproxy": f"via HAProxy {info.haproxy_version}".rstrip(), "url": "via a given URL"}
    load = (
        "" if "load.tunnels" in swept else f"{info.tunnels:,} tunnels",
        "" if "load.ramp" in swept else f"ramp {duration_text(info.ramp_s)}",
        "" if "load.hold" in swept else f"hold {duration_text(info.hold_s)}",
    )
    setting = (
        info.profile,
        *(load if searching is None else _search_words(searching)),
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


def _search_words(profile: Profile) -> list[str]:
    """What was offered, and what its clients do."""
    capacity = profile.capacity
    words = [f"{capacity.least:,} to {capacity.most:,} clients offered"] if capacity is not None else []
    for cohort in profile.cohorts:
        gaps = f"gaps {written(cohort.gaps)}" if cohort.traffic is Traffic.QUIET else ""
        per, times = ("second", 1) if cohort.vanish_per_s > 1 / 120 else ("minute", 60)
        vanish = f"{format_share(cohort.vanish_per_s * times)} a {per} vanish" if cohort.vanish_per_s else ""
        session = f"sessions {written(cohort.session)}" if cohort.session is not None else ""
        facts = ", ".join(filter(None, (gaps, vanish, session)))
        words.append(f"{cohort.name}: {facts}" if facts else cohort.name)
    return words


def _words(axes: Mapping[str, str]) -> str:
    return " ".join(f"{axis_title(axis)} {value}" for axis, value in axes.items())


def _hold_words(info: CampaignInfo) -> str:
    return "the hold" if "load.hold" in info.axes else f"a {duration_text(info.hold_s)} hold"
