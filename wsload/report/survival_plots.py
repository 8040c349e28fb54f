"""The survival plot of one run: the share of tunnels alive against age, and against idle time.

Import lazily from the CLI: this module imports matplotlib.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator, PercentFormatter

from wsload.analysis.folder import RunFolder
from wsload.analysis.survival import SurvivalCurve, curves, left_open
from wsload.record import layout
from wsload.record.layout import RunInfo
from wsload.report.doubt_captions import counted_words, doubts_of
from wsload.report.drawing import Timer, group_timers
from wsload.report.plots import run_caption
from wsload.report.series import Floats
from wsload.report.style import (
    QUIET_INK,
    Look,
    Mark,
    draw_marks,
    duration_axis,
    house_style,
    legend_beside,
    look_of,
    new_figure,
    note,
    remark,
    save,
    say,
)

NAME = "survival"
_TIMER_ROWS = 2
_PANELS = (
    ("age", "age of the tunnel"),
    ("idle", "idle time, since the last byte either way"),
)
_MOST_TICKS = 40
"""Censored ticks of one cohort; more would be a bar."""
_GRID = 600
"""Steps finer than this share of the panel cannot be seen, and would make the SVG large."""
_LOG_FROM = 8.0
_MOST_DECADES = 4
_WIDTH, _WIDER, _WIDEST = 1.7, 1.0, 3.9
"""Line widths: each cohort is drawn over a wider one, so that curves that coincide all show."""
_NO_IDLE_KNOWN = "no idle time is known of those that ended"
_CENSORED = "censored: alive when last seen"
_ROOM = 1.5
"""A timer within this multiple of the longest time is drawn; one beyond is named."""


def write_survival_plots(folder: RunFolder) -> list[Path]:
    """Draw ``survival`` into ``folder.path / "plots"`` as PNG and SVG; returns the files written.

    Works on a folder cut short: tunnels that were still open count as alive until then.
    """
    with house_style():
        return save(survival_figure(folder), folder.path / layout.PLOTS, NAME)


def survival_figure(folder: RunFolder) -> Figure:
    """The figure, to be drawn within :func:`house_style`."""
    found, timers = curves(folder), group_timers(_after_the_101(folder.info))
    figure, panels = new_figure(
        "Survival of tunnels",
        replace(run_caption(folder), doubts=counted_words(doubts_of(folder))),
        panel_heights_in=(2.7, 2.7),
        mark_rows=min(len(timers), _TIMER_ROWS),
        share_x=False,
    )
    looks = {cohort: look_of(number) for number, cohort in enumerate(found)}
    for axes, (what, x_label) in zip(panels, _PANELS, strict=True):
        by_cohort = {cohort: whats[what] for cohort, whats in found.items() if len(whats[what].times_s)}
        draw_survival(axes, by_cohort, looks, timers, x_label=x_label)
        if by_cohort and not _any_ended(by_cohort.values()):
            some_ended = _any_ended(whats["age"] for whats in found.values())
            note(axes, _NO_IDLE_KNOWN if some_ended else "no tunnel ended but by the plan")
    still_open = sum(left_open(folder).values())
    if still_open:
        remark(figure, f"{still_open:,} were left open: idle time unknown")
    return figure


def draw_survival(
    axes: Axes,
    by_cohort: Mapping[str, SurvivalCurve],
    looks: Mapping[str, Look],
    timers: Sequence[Timer],
    *,
    x_label: str,
) -> None:
    """Step curves with their 95 % bands, a tick for tunnels censored, a labelled line for each timer."""
    axes.set_ylabel("tunnels alive (%)")
    axes.set_xlabel(f"{x_label} (duration)")
    if not by_cohort:
        say(axes, "no tunnel was seen to its end in this run")
        axes.set_xticks([])
        return
    left_s, right_s, log = _span_s(list(by_cohort.values()), timers)
    for number, (cohort, curve) in enumerate(by_cohort.items()):
        width = _WIDTH + _WIDER * (len(by_cohort) - 1 - number)
        _draw_curve(axes, curve, looks[cohort], min(width, _WIDEST), left_s, right_s)
    duration_axis(axes, log=log)
    axes.set_xlabel(f"{x_label} (duration{', log scale' if log else ''})")
    axes.set_xlim(left_s, right_s)
    axes.set_ylim(0, 1.04)
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol=""))
    shown = [timer for timer in timers if left_s <= timer.seconds <= right_s]
    unnamed = draw_marks(axes, [Mark(timer.seconds, timer.label) for timer in shown], rows=_TIMER_ROWS)
    handles: list[Artist] = [_handle(cohort, curve, looks[cohort]) for cohort, curve in by_cohort.items()]
    handles.append(Patch(facecolor="#c8c8c8", label="95 % band"))
    if any(curve.censored.any() for curve in by_cohort.values()):
        handles.append(
            Line2D([], [], linestyle="", marker="|", markersize=8, color=QUIET_INK, label=_CENSORED)
        )
    hidden = [timer.label for timer in timers if timer not in shown]
    for words, labels in (("beyond the axis", hidden), ("also drawn", unnamed)):
        if labels:
            handles.append(Line2D([], [], linestyle="", label=f"{words}: {', '.join(labels)}"))
    legend_beside(axes, handles)


def _any_ended(some: Iterable[SurvivalCurve]) -> bool:
    return any(curve.ended.any() for curve in some)


def _draw_curve(
    axes: Axes, curve: SurvivalCurve, look: Look, width: float, left_s: float, right_s: float
) -> None:
    x, alive, low, high = _steps(curve, left_s, right_s)
    axes.fill_between(x, low, high, step="post", color=look.color, alpha=0.16, linewidth=0)
    axes.plot(x, alive, drawstyle="steps-post", color=look.color, linestyle=look.dash, linewidth=width)
    ticks = np.flatnonzero(curve.censored)
    if len(ticks):
        ticks = ticks[np.linspace(0, len(ticks) - 1, min(len(ticks), _MOST_TICKS)).astype(int)]
        axes.plot(
            np.maximum(curve.times_s[ticks], left_s),
            curve.survival[ticks],
            linestyle="",
            marker="|",
            markersize=8,
            color=look.color,
        )


def _steps(curve: SurvivalCurve, left_s: float, right_s: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Time, share, band: from all alive at the left edge, without the steps that nobody can see."""
    x = np.concatenate([[left_s], np.maximum(curve.times_s, left_s)])
    columns = [np.concatenate([[1.0], part]) for part in (curve.survival, curve.low, curve.high)]
    places = np.log(x) / np.log(right_s / left_s) if left_s > 0 else x / right_s
    cells = np.stack([np.floor(places * _GRID), np.floor(columns[0] * _GRID)])
    changes = np.any(np.diff(cells, axis=1) != 0, axis=0)
    kept = np.concatenate([[True], changes])
    kept[-1] = True
    return x[kept], columns[0][kept], columns[1][kept], columns[2][kept]


def _handle(cohort: str, curve: SurvivalCurve, look: Look) -> Line2D:
    ended, all_ = int(curve.ended.sum()), int(curve.ended.sum() + curve.censored.sum())
    words = f"{cohort}: {ended:,} of {all_:,} ended"
    return Line2D([], [], color=look.color, linestyle=look.dash, label=words)


def _span_s(shown: Sequence[SurvivalCurve], timers: Sequence[Timer]) -> tuple[float, float, bool]:
    """Left and right end of the x axis, and whether it is log: where the ends span a factor of 8 or more."""
    high_s = max(float(curve.times_s[-1]) for curve in shown) or 1e-3
    near = [timer.seconds for timer in timers if timer.seconds <= _ROOM * high_s]
    right_s = 1.12 * max([high_s, *near])
    ends_s = np.concatenate([np.repeat(curve.times_s, curve.ended) for curve in shown])
    low_s = float(np.quantile(ends_s, 0.02, method="lower")) if len(ends_s) else high_s
    low_s = max(low_s, right_s / 10**_MOST_DECADES)
    if high_s / low_s < _LOG_FROM:
        return 0.0, right_s, False
    return low_s / 1.5, right_s, True


def _after_the_101(info: RunInfo) -> dict[str, int]:
    """The timers that can end a tunnel: ``tunnel`` takes the place of ``client`` and ``server``."""
    timers_ms = info.timers_ms
    replaced = ("tunnel",) if timers_ms.get("tunnel") else ("client", "server")
    names = (*replaced, "client-fin", "server-fin", layout.BACKEND_IDLE_CLOSE)
    own_ms = {name: ms for name, ms in info.named_timers_ms().items() if name not in timers_ms}
    return {name: timers_ms[name] for name in names if timers_ms.get(name)} | own_ms
