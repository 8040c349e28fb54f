"""The plot of a precision run: lag over the hold, what the witness saw, and lag folded at the interval."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from benchmarks.precision_figures import (
    INTERVAL_S,
    SPIKE_NS,
    Cause,
    Messages,
    Result,
    Times,
    WitnessNotes,
    doubts_of,
)
from wsload.report.style import (
    BLUE,
    INK,
    LIMIT_DASH,
    QUIET_INK,
    Caption,
    house_style,
    legend_beside,
    look_of,
    milliseconds_axis,
    new_figure,
    save,
)
from wsload.units import NS_PER_MS, NS_PER_S

Values = NDArray[np.float64]

SLOT_S = 0.1
_PHASES = 100
"""Slots of the folded interval."""
_LEAST_MS = 0.01
_TITLE = "Lag: how late each message left"


def write_precision_plot(
    result: Result,
    messages: Messages,
    witnesses: Sequence[WitnessNotes],
    setting: Sequence[str],
    out: Path,
) -> list[Path]:
    """Draw ``precision-SETTING`` into ``out`` as PNG and SVG; ``setting`` is for the caption."""
    with house_style():
        figure = precision_figure(result, messages, witnesses, setting)
        return save(figure, out, f"precision-{result.setting.name}")


def precision_figure(
    result: Result, messages: Messages, witnesses: Sequence[WitnessNotes], setting: Sequence[str]
) -> Drawing:
    """The figure, to be drawn within :func:`house_style`."""
    asked = result.setting
    load = f"{asked.echoes_per_s:,} echoes/s over {asked.tunnels:,} tunnels, timer_slack {asked.slack_us} us"
    footer = ("wsload, benchmarks/precision.py", "from the stamps of all messages, as the backend saw them")
    caption = Caption((load, result.cores, *setting), footer, "; ".join((*result.limits, *doubts_of(result))))
    drawing, (over_time, folded) = new_figure(_TITLE, caption, panel_heights_in=(3.4, 2.2), share_x=False)
    slots_s = (np.arange(round(result.length_s / SLOT_S)) + 0.5) * SLOT_S
    over_time.plot(
        slots_s,
        _shown(messages.per_slot(SLOT_S, result.length_s, 100)),
        color=BLUE,
        linewidth=0.9,
        label="worst in 100 ms",
    )
    over_time.plot(
        slots_s,
        _shown(messages.per_slot(SLOT_S, result.length_s, 99)),
        color=INK,
        linewidth=0.9,
        linestyle=(0.0, (2.0, 1.0)),
        label="p99 in 100 ms",
    )
    over_time.plot(
        slots_s,
        _shown(_worst_late_ms(messages, witnesses, len(slots_s))),
        color=QUIET_INK,
        linewidth=0.8,
        linestyle=(0.0, (1.0, 1.0)),
        label="the witness itself, worst in 100 ms",
    )
    for number, cause in enumerate(Cause):
        found = [spike for spike in result.spikes if spike.cause is cause]
        if found:
            look = look_of(number + 1)
            over_time.plot(
                [each.t_s for each in found],
                [each.lag_ms for each in found],
                color=look.color,
                marker=look.marker,
                linestyle="none",
                label=f"spike: {cause}",
            )
    over_time.set_xlabel("time since the hold's begin (s)")
    phase_s = messages.t_s % INTERVAL_S
    which = (phase_s / INTERVAL_S * _PHASES).astype(int)
    for percentile, label, dash in ((100, "worst", "-"), (99, "p99", (0.0, (2.0, 1.0)))):
        lags_ms = [_percentile_ms(messages.lag_ns[which == phase], percentile) for phase in range(_PHASES)]
        folded.plot(
            (np.arange(_PHASES) + 0.5) * INTERVAL_S / _PHASES,
            _shown(np.array(lags_ms)),
            color=BLUE if percentile == 100 else INK,
            linestyle=dash,
            linewidth=1.2,
            label=f"{label} at this phase",
        )
    folded.set_xlabel("time within the run's interval, where snapshots are taken at 0 (s)")
    for axes in (over_time, folded):
        _finish(axes)
    return drawing


def _finish(axes: Axes) -> None:
    axes.axhline(SPIKE_NS / NS_PER_MS, color=QUIET_INK, linewidth=0.9, linestyle=LIMIT_DASH, label="2 ms")
    milliseconds_axis(axes)
    axes.set_ylabel("lag (ms, log)")
    legend_beside(axes)


def _shown(values_ms: Values) -> Values:
    """For a log axis."""
    shown: Values = np.maximum(values_ms, _LEAST_MS)
    return shown


def _percentile_ms(lag_ns: Times, percentile: float) -> float:
    return float(np.percentile(lag_ns, percentile)) / NS_PER_MS if len(lag_ns) else float("nan")


def _worst_late_ms(messages: Messages, witnesses: Sequence[WitnessNotes], slots: int) -> Values:
    worst = np.full(slots, np.nan)
    for witness in witnesses:
        which = ((witness.t_ns - messages.from_ns) / NS_PER_S / SLOT_S).astype(int)
        for slot in range(slots):
            late_ns = witness.late_ns[which == slot]
            if len(late_ns):
                worst[slot] = np.nanmax([worst[slot], late_ns.max() / NS_PER_MS])
    return worst
