"""One run's plots, made from its folder alone: reads the folder once, then draws.

Import lazily from the CLI: this module imports matplotlib.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wsload.analysis.folder import RunFolder
from wsload.analysis.host import host_words
from wsload.record import layout
from wsload.record.layout import ActionLine, RunInfo
from wsload.record.outcome import Cause, Phase, Validity
from wsload.record.placement import ROLE_NAMES
from wsload.report.doubt_captions import counted_words, left_out_words, nowhere_words
from wsload.report.drawing import (
    Curve,
    LatencyBand,
    Line,
    draw_ends,
    draw_latency_band,
    draw_lines,
    draw_percentiles,
    draw_phases,
    draw_tunnels,
    group_timers,
)
from wsload.report.marks import draw_doubts
from wsload.report.series import (
    METRIC_WORDS,
    OVER_TIME_METRICS,
    Floats,
    RunData,
    cpu_shares,
    gather,
    percentile_curve,
    phase_spans,
)
from wsload.report.style import (
    BLACK,
    QUIET_INK,
    Caption,
    Dash,
    Look,
    Mark,
    draw_marks,
    duration_text,
    figure_of,
    house_style,
    look_of,
    new_figure,
    note,
    remark,
    save,
    say,
    timers_text,
)

_DOTTED: Dash = (0.0, (1.0, 1.4))
_LATENCY_DASHES: dict[str, Dash] = {
    "echo_corrected": "-",
    "echo_service": (0.0, (5.0, 1.6)),
    "ping_rtt": (0.0, (6.0, 1.5, 1.2, 1.5)),
}
_OPENING_METRICS = ("connect", "upgrade", "handshake")
_MOST_BANDS = 6
_EMPTY_IN = 1.2
"""Height of a panel that only says why it is empty."""
_NO_EVENTS = {"workers_ready", "haproxy_log"}
"""Actions that carry figures of the run, but changed nothing."""
_TIMER_ROWS, _ACTION_ROWS = 2, 2
"""Rows of labels above the axes."""


def write_plots(folder: RunFolder) -> list[Path]:
    """Draw all plots of a run into ``folder.path / "plots"`` as PNG and SVG; returns the files written.

    Works on a folder cut short: what was not measured is said in the plot.
    """
    data = gather(folder)
    caption = run_caption(folder)
    of_times = replace(caption, doubts=left_out_words(data.doubts))
    of_ends = replace(caption, doubts=counted_words(data.doubts))
    figures: dict[str, Callable[[], Figure]] = {
        "latency_percentiles": lambda: _latency_percentiles(folder.info, data, of_times),
        "latency_over_time": lambda: _latency_over_time(folder, data, caption),
        "tunnels_over_time": lambda: _tunnels_over_time(folder, data, caption),
        "openings": lambda: _openings(folder.info, data, of_times),
        "disconnects": lambda: _disconnects(folder, of_ends),
        "resources": lambda: _resources(folder, data, caption),
    }
    out = folder.path / layout.PLOTS
    with house_style():
        return [path for name, figure in figures.items() for path in save(figure(), out, name)]


def run_caption(folder: RunFolder) -> Caption:
    """The words around a run's plots."""
    info, summary, environment = folder.info, folder.summary(), folder.environment()
    version = str(environment.get("haproxy") or "")
    shared = f" shared by {info.haproxy_sharers} cells" if info.haproxy_sharers > 1 else ""
    through = {"haproxy": f"via HAProxy {version}".rstrip() + shared, "url": "via a given URL"}
    setting = (
        info.title,
        f"{info.tunnels:,} tunnels",
        timers_text(info.timers_ms),
        through.get(info.via, "without HAProxy"),
        f"maxconn {info.maxconn:,}" if info.maxconn else "",
        f"ramp {duration_text(info.ramp_s)}, hold {duration_text(info.hold_s)}",
    )
    validity = summary.verdict.validity if summary else "not judged"
    warnings = []
    if summary is None or summary.partial:
        warnings.append("PARTIAL: the run was cut short")
    if summary and summary.verdict.validity != Validity.VALID:
        warnings.append(f"{summary.verdict.validity.upper()}: {'; '.join(summary.verdict.reasons)}")
    footer = [f"validity: {validity}", f"{info.workers} driver process{'es' if info.workers > 1 else ''}"]
    footer += [host_words(environment), info.started]
    return Caption(setting, tuple(filter(None, footer)), ". ".join(warnings))


def _looks(info: RunInfo) -> dict[str, Look]:
    return {cohort: look_of(number) for number, cohort in enumerate(info.cohorts)}


def _latency_percentiles(info: RunInfo, data: RunData, caption: Caption) -> Figure:
    looks = _looks(info)
    curves = [
        Curve(f"{cohort}: {METRIC_WORDS[metric]}", looks[cohort], dash, *percentile_curve(histogram))
        for cohort in info.cohorts
        for metric, dash in _LATENCY_DASHES.items()
        if (histogram := data.total(metric, [cohort], [Phase.HOLD])).total()
    ]
    if curves:
        lag = data.total("lag", list(info.cohorts), [Phase.HOLD])
        look = Look(QUIET_INK, _DOTTED, "x", "")
        curves.append(Curve("lag of the driver, all", look, _DOTTED, *percentile_curve(lag), width=1.6))
    height_in = 4.4 if curves else _EMPTY_IN
    figure, (axes,) = new_figure("Latency by percentile, in the hold", caption, panel_heights_in=(height_in,))
    empty = nowhere_words(data.doubts, "no latency was measured in the hold")
    draw_percentiles(axes, curves, y_label="latency (ms)", empty=empty)
    axes.set_xlabel("percentile of messages (%)")
    return figure


def _latency_over_time(folder: RunFolder, data: RunData, caption: Caption) -> Figure:
    info, looks = folder.info, _looks(folder.info)
    keys = [(metric, cohort) for cohort in info.cohorts for metric in OVER_TIME_METRICS]
    keys = [key for key in keys if data.bins.get(key)]
    heights = [1.85 if len(keys) > 1 else 3.6] * len(keys[:_MOST_BANDS]) or [_EMPTY_IN]
    figure, panels = time_figure("Latency over time", caption, heights, folder)
    for axes, (metric, cohort) in zip(panels, keys, strict=False):
        t_s = np.array([time for time, _ in data.bins[metric, cohort]])
        values = np.array([figures for _, figures in data.bins[metric, cohort]])
        label = f"{cohort}: {METRIC_WORDS[metric]}"
        draw_latency_band(
            axes, LatencyBand(label, looks[cohort], t_s, values[:, 0], values[:, 1], values[:, 2])
        )
    if not keys:
        panels[0].set_ylabel("latency (ms)")
        say(panels[0], "no latency was measured in this run")
    if len(keys) > _MOST_BANDS:
        note(panels[-1], f"{len(keys) - _MOST_BANDS} more cohorts are not drawn")
    time_frame(panels, folder, data)
    return figure


def _tunnels_over_time(folder: RunFolder, data: RunData, caption: Caption) -> Figure:
    info, looks = folder.info, _looks(folder.info)
    figure, (axes,) = time_figure("Open tunnels over time", caption, (4.0,), folder)
    t_s = np.array([0.0, *data.t_s])
    lines = [Line(cohort, looks[cohort], t_s, np.array([0.0, *data.open[cohort]])) for cohort in info.cohorts]
    slot_line = None
    if data.slots:
        times = sorted({time for by_time in data.slots.values() for time in by_time})
        levels = [float(sum(by_time.get(time, 0) for by_time in data.slots.values())) for time in times]
        slot_line = Line("slots", Look(BLACK, "-", "o", ""), np.array(times), np.array(levels))
    draw_tunnels(axes, lines if data.t_s else [], slot_line, info.maxconn)
    time_frame([axes], folder, data)
    return figure


def _openings(info: RunInfo, data: RunData, caption: Caption) -> Figure:
    figure, (curves_axes, rate_axes) = new_figure(
        "Opening tunnels", caption, panel_heights_in=(3.1, 1.9), share_x=False
    )
    cohorts, phases = list(info.cohorts), list(Phase)
    words = {
        "connect": "connect (TCP)",
        "upgrade": "upgrade (request to 101)",
        "handshake": "handshake (due to 101)",
    }
    curves = []
    for number, metric in enumerate(_OPENING_METRICS):
        look = look_of(number)
        histogram = data.total(metric, cohorts, phases)
        curves.append(Curve(words[metric], look, look.dash, *percentile_curve(histogram)))
    empty = nowhere_words(data.doubts, "no tunnel opened in this run")
    draw_percentiles(curves_axes, curves, y_label="time (ms)", empty=empty)
    curves_axes.set_xlabel("percentile of tunnels (%)")
    t_s = np.array(data.t_s)
    # A run's first line may stand at 0 s: nothing took place in no time.
    length_s = np.maximum(np.diff(t_s, prepend=0.0), 1e-9) if len(t_s) else t_s
    starts_s = np.array([0.0, *t_s])
    lines = [
        Line(label, look_of(number), starts_s, _from_first(np.array(data.counters[name]) / length_s))
        for number, (name, label) in enumerate([("opened", "opened"), ("handshake_failed", "failed")])
        if len(t_s) and (name == "opened" or any(data.counters[name]))
    ]
    y_label, empty = "openings per second (1/s)", "no interval was recorded"
    draw_lines(rate_axes, lines, y_label=y_label, empty=empty, steps=True)
    rate_axes.set_xlabel("time since start (s)")
    busy = np.array(data.counters["opened"]) + np.array(data.counters["handshake_failed"]) > 0
    opening = t_s[busy] if len(t_s) else t_s
    if len(opening):
        rate_axes.set_xlim(0, float(opening[-1]) + 2 * info.interval_s)
    draw_doubts([rate_axes], data.doubts)
    return figure


def _disconnects(folder: RunFolder, caption: Caption) -> Figure:
    ages: dict[str, list[float]] = defaultdict(list)
    idles: dict[str, list[float]] = defaultdict(list)
    planned = ended = 0
    for row in folder.iter_disconnects():
        if row.cause is Cause.PLANNED:
            planned += 1
            continue
        ended += 1
        if row.age_s is not None:
            ages[row.cause].append(row.age_s)
        idle_s = [idle for idle in (row.idle_rx_s, row.idle_tx_s) if idle is not None]
        if idle_s:
            idles[row.cause].append(min(idle_s))
    timers = group_timers(folder.info.named_timers_ms())
    figure, panels = new_figure(
        "Disconnects by tunnel age and idle time",
        caption,
        panel_heights_in=(2.3 if ages else _EMPTY_IN, 2.3 if idles else _EMPTY_IN),
        mark_rows=_TIMER_ROWS if ages else 0,
        share_x=False,
    )
    causes = [cause for cause in Cause if cause is not Cause.PLANNED]
    looks: dict[str, Look] = {cause: look_of(number) for number, cause in enumerate(causes)}
    x_labels = ("age of the tunnel at its end", "idle time at the end, since the last byte either way")
    for axes, values, x_label in zip(panels, (ages, idles), x_labels, strict=True):
        by_cause = {str(cause): np.array(values[cause]) for cause in causes if values[cause]}
        unknown = ended - sum(map(len, values.values()))
        draw_ends(axes, by_cause, looks, timers, mark_rows=_TIMER_ROWS, x_label=x_label, unknown=unknown)
    if planned:
        remark(figure, f"{planned:,} planned closes are left out")
    return figure


def _resources(folder: RunFolder, data: RunData, caption: Caption) -> Figure:
    figure, (cpu_axes, rss_axes) = time_figure("Resources", caption, (2.5, 2.1), folder)
    cpu, rss = [], []
    t_s = np.array(data.t_s)
    for number, role in enumerate(ROLE_NAMES):
        keys = [key for key in data.cpu_s if key[0] == role]
        if not keys:
            continue
        label = ROLE_NAMES[role] + (f" ({len(keys)} processes)" if len(keys) > 1 else "")
        shares = np.array([cpu_shares(data.t_s, data.cpu_s[key]) for key in keys])
        bytes_ = np.array([[data.rss_bytes[key].get(t, np.nan) for t in data.t_s] for key in keys])
        cpu.append(Line(label, look_of(number), t_s, _sum(shares)))
        rss.append(Line(label, look_of(number), t_s, _sum(bytes_) / 1024**2))
    empty = "no process was measured in this run"
    draw_lines(cpu_axes, cpu, y_label="CPU (% of one core)", empty=empty)
    draw_lines(rss_axes, rss, y_label="resident memory (MiB)", empty=empty)
    time_frame([cpu_axes, rss_axes], folder, data)
    return figure


def _from_first(values: Floats) -> Floats:
    """With the first value repeated: a step line over intervals begins at the first one's start."""
    return np.concatenate([values[:1], values])


def _sum(rows: Floats) -> Floats:
    """Column sums; what is missing counts 0, and a column of nothing is NaN."""
    return np.where(np.isnan(rows).all(axis=0), np.nan, np.nansum(rows, axis=0))


def _events(folder: RunFolder) -> list[ActionLine]:
    """What happened to the system under load: not the preparations, nor mere figures."""
    return [action for action in folder.actions() if action.t_s > 0 and action.action not in _NO_EVENTS]


def time_figure(
    title: str, caption: Caption, heights_in: Sequence[float], folder: RunFolder
) -> tuple[Figure, list[Axes]]:
    """Panels over time, with room for the phases and the actions."""
    rows = 1 + min(len(_events(folder)), _ACTION_ROWS)
    return new_figure(title, caption, panel_heights_in=heights_in, mark_rows=rows)


def time_frame(panels: Sequence[Axes], folder: RunFolder, data: RunData) -> None:
    """Phases, intervals in doubt, what the tool did, and the time axis."""
    spans = phase_spans(data.t_s, data.phases, folder.info)
    draw_phases(panels, spans)
    draw_doubts(panels, data.doubts)
    panels[-1].set_xlabel("time since start (s)")
    marks = [Mark(action.t_s, action.action.replace("_", " ")) for action in _events(folder)]
    if spans:
        unnamed = draw_marks(panels[0], marks, rows=_ACTION_ROWS, first_row=1)
        for axes in panels[1:]:
            draw_marks(axes, marks, rows=0)
        if unnamed:
            more = f" and {len(unnamed) - 3} more" if len(unnamed) > 3 else ""
            remark(figure_of(panels[0]), f"also marked: {', '.join(unnamed[:3])}{more}")
