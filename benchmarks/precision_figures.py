"""How late messages left, what made the late ones late, and whether these keep time. Pure.

A spike is a stretch in which messages left more than 2 ms after they were due. What made it is decided by
what a witness on the driver's core noted meanwhile (:class:`Cause`). Those that are ours must not be
periodic: the phases of their times, folded at the run's interval and at a scan of other periods, must look
like chance to Rayleigh's test.
"""

from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from wsload.record.outcome import Validity
from wsload.units import NS_PER_MS, NS_PER_S

Times = NDArray[np.int64]

LAG_P99_MS = 0.3
SPIKE_NS = 2 * NS_PER_MS
INTERVAL_S = 1.0
"""The run's, at which it takes, sends and merges snapshots."""
_APART_NS = 5 * NS_PER_MS
"""Late messages further apart than this are two spikes."""
_AFTER_NS = 2 * NS_PER_MS
"""The kernel tells of a wait when it is over, and the witness wakes each millisecond."""
_CHANCE = 0.001
_LEAST_CYCLES = 5
_FASTEST_HZ = 20
_LEAST_NOTED = 0.99
_MOST_WAITED = 0.06
"""Of a driver with a core of its own: the witness takes 0.035 of it, and the parent 0.007."""

PROFILE = """
title = "precision-{name}"
[load]
tunnels = {tunnels}
ramp = "2s"
hold = "{hold_ms}ms"
drain = "2s"
workers = 1
interval = "{interval_s:g}s"
pin = {pin}
timer_slack = "{slack_us}us"
[haproxy]
{cpus}
[backend]
mode = "external"
servers = ["{server}"]
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = "{rate_per_s}/s"
payload = "64B"
"""


class Setting(msgspec.Struct, frozen=True):
    """What is asked of the machine. ``apart``: driver and system under test have a core each."""

    name: str
    tunnels: int
    echoes_per_s: int
    slack_us: int
    """``load.timer_slack``, of which lag is made up where all goes well."""
    apart: bool


SETTINGS = (
    Setting("apart", 1000, 10_000, slack_us=200, apart=True),
    Setting("shared", 1000, 4000, slack_us=200, apart=False),
)


def profile_text(setting: Setting, hold_ns: int, server: str, last_core: int) -> str:
    """The run's profile; ``last_core`` is for HAProxy, where it is apart."""
    return PROFILE.format(
        name=setting.name,
        tunnels=setting.tunnels,
        hold_ms=hold_ns // NS_PER_MS,
        interval_s=INTERVAL_S,
        slack_us=setting.slack_us,
        pin=str(setting.apart).lower(),
        cpus=f'cpus = "{last_core}"' if setting.apart else "",
        server=server,
        rate_per_s=setting.echoes_per_s / setting.tunnels,
    )


class Cause(StrEnum):
    """What made a spike. Half of its length has to be explained by one thing, looked for in this order."""

    HOST = "host"
    """The machine: the witness, which has real-time priority, was as late on the driver's core."""
    PARENT = "parent"
    """The driver was ready and had to wait, while wsload's own recording process ran."""
    SYSTEM = "system under test"
    """The same, while HAProxy or backend ran."""
    OTHERS = "other programs"
    """The same, and none of the run's processes ran so long."""
    DRIVER = "driver"
    """It ran, or slept, instead of sending."""


OURS = frozenset({Cause.PARENT, Cause.DRIVER})


class WitnessNotes:
    """What the witness of one core noted, a row each millisecond."""

    def __init__(self, rows: Times) -> None:
        """``rows``: when, how late it was itself, and since their start: how long the driver was ready but
        had to wait, how long the parent ran, and how long HAProxy and backend ran; all in ns. The last two
        count where they may run on the driver's cores."""
        self.t_ns, self.late_ns, *since_start = rows.T
        self._waited_ns, self._parent_ns, self._system_ns = (
            np.diff(each, prepend=each[:1]) for each in since_start
        )

    def waited_share(self) -> float:
        """The part of the time in which the driver was ready to run and had to wait."""
        return round(float(self._waited_ns.sum() / (self.t_ns[-1] - self.t_ns[0])), 4)

    def between(self, from_ns: int, to_ns: int) -> tuple[float, ...]:
        """The worst lateness, and how long the driver waited, parent and system ran, in that time; in ms."""
        chosen = slice(*np.searchsorted(self.t_ns, (from_ns, to_ns)))
        sums_ns = (each[chosen].sum() for each in (self._waited_ns, self._parent_ns, self._system_ns))
        found_ns = (self.late_ns[chosen].max(initial=0), *sums_ns)
        return tuple(round(int(each) / NS_PER_MS, 3) for each in found_ns)


class Noted(msgspec.Struct, frozen=True):
    """What witnesses noted in a stretch of time, in ms: see :class:`WitnessNotes`."""

    late_ms: float
    waited_ms: float
    parent_ms: float
    system_ms: float


class Spike(msgspec.Struct):
    """A stretch of messages that left late. ``t_s`` is since the hold's begin, ``lag_ms`` the worst."""

    t_s: float
    lag_ms: float
    messages: int
    cause: Cause
    noted: Noted


class Rhythm(msgspec.Struct):
    """A period that spikes keep, in ``cycles`` of it. ``chance``: how probable others are to look so."""

    period_s: float
    cycles: int
    chance: float


class Percentiles(msgspec.Struct, rename={"p99_9": "p99.9"}):
    """Of a lag, in ms."""

    p50: float
    p99: float
    p99_9: float
    max: float


def _percentiles(lags_ns: Times) -> Percentiles:
    return Percentiles(*(np.percentile(lags_ns, (50, 99, 99.9, 100)) / NS_PER_MS).round(4).tolist())


class Messages:
    """All messages of the hold, by their stamps; ``t_s`` is when they were due, since its begin."""

    def __init__(self, stamps: Times, from_ns: int, to_ns: int) -> None:
        """``stamps``: a row a message, due and sent, in any order."""
        due_ns = stamps[:, 0]
        held = stamps[(due_ns >= from_ns) & (due_ns < to_ns)]
        held = held[np.argsort(held[:, 0], kind="stable")]
        self.due_ns, self.sent_ns, self.from_ns = held[:, 0], held[:, 1], from_ns
        self.lag_ns = self.sent_ns - self.due_ns
        self.t_s = (self.due_ns - from_ns) / NS_PER_S

    def lag(self) -> Percentiles:
        """Exact, from every message."""
        return _percentiles(self.lag_ns)

    def per_slot(self, slot_s: float, length_s: float, percentile: float) -> NDArray[np.float64]:
        """A percentile of the lag in ms for each slot of the hold; NaN where nothing was due."""
        edges = np.searchsorted(self.t_s, np.arange(round(length_s / slot_s) + 1) * slot_s)
        slots = (self.lag_ns[first:end] for first, end in pairwise(edges))
        return (
            np.array([np.percentile(slot, percentile) if len(slot) else np.nan for slot in slots]) / NS_PER_MS
        )


def spikes_of(messages: Messages, witnesses: Sequence[WitnessNotes]) -> list[Spike]:
    """All spikes, each with its cause. There is a witness for each core that the driver may use."""
    late = np.flatnonzero(messages.lag_ns > SPIKE_NS)
    if not len(late):
        return []
    apart = np.diff(messages.due_ns[late]) > _APART_NS
    return [_spike(messages, part, witnesses) for part in np.split(late, np.flatnonzero(apart) + 1)]


def _spike(messages: Messages, late: NDArray[np.intp], witnesses: Sequence[WitnessNotes]) -> Spike:
    lag_ms = round(int(messages.lag_ns[late].max()) / NS_PER_MS, 3)
    from_ns = int(messages.due_ns[late[0]])
    to_ns = int(messages.sent_ns[late].max()) + _AFTER_NS
    noted = Noted(*map(max, zip(*(witness.between(from_ns, to_ns) for witness in witnesses), strict=True)))
    return Spike(
        t_s=round(float(messages.t_s[late[0]]), 4),
        lag_ms=lag_ms,
        messages=len(late),
        cause=cause_of(lag_ms, noted),
        noted=noted,
    )


def cause_of(lag_ms: float, noted: Noted) -> Cause:
    """See :class:`Cause`."""
    if 2 * noted.late_ms >= lag_ms:
        return Cause.HOST
    if 2 * noted.waited_ms < lag_ms:
        return Cause.DRIVER
    if 2 * noted.parent_ms >= noted.waited_ms:
        return Cause.PARENT
    return Cause.SYSTEM if 2 * noted.system_ms >= noted.waited_ms else Cause.OTHERS


def rhythm_of(times_s: Sequence[float], length_s: float) -> Rhythm | None:
    """The period that these times keep, if it cannot be chance: below 0.001, for all periods tried together.

    Tried are the run's interval, and all from 50 ms to a fifth of the length. These count as so many tries,
    so that they need some 14 cycles with a spike, where the interval needs 7.
    """
    times = np.sort(np.asarray(times_s, dtype=float))
    step_hz = 1 / (2 * length_s)
    scan = np.arange(round(_LEAST_CYCLES / length_s / step_hz), round(_FASTEST_HZ / step_hz) + 1) * step_hz
    scanned = (_rhythm(times, 1 / each_hz, len(scan)) for each_hz in scan.tolist())
    for rhythm in (_rhythm(times, INTERVAL_S, 1), min(scanned, key=lambda each: each.chance)):
        if rhythm.chance < _CHANCE and rhythm.cycles >= _LEAST_CYCLES:
            return rhythm
    return None


def _rhythm(times_s: NDArray[np.float64], period_s: float, tries: int) -> Rhythm:
    """Rayleigh's test of phases (Mardia and Jupp, Directional Statistics, 6.3), of one a cycle.

    A burst is no rhythm, so the spikes of a cycle count as one, in the direction of their sum: of spikes by
    chance any is as probable.
    """
    turns = times_s / period_s
    _, cycle = np.unique(np.floor(turns), return_inverse=True)
    sums = np.zeros(cycle.max(initial=-1) + 1, dtype=complex)
    np.add.at(sums, cycle, np.exp(2j * np.pi * turns))
    cycles = len(sums)
    length = abs((sums / np.maximum(abs(sums), 1e-12)).sum())
    chance = float(np.exp(-(length**2) / cycles)) if cycles else 1.0
    return Rhythm(period_s, cycles, min(chance * tries, 1.0))


class Result(msgspec.Struct, kw_only=True):
    """One setting's run."""

    setting: Setting
    cores: str
    """Who shared what, in words."""
    length_s: float
    validity: str
    reasons: list[str]
    sent: int
    """In the hold, as wsload counts."""
    noted: int
    """Of these, by their stamps."""
    lag_ms: Percentiles
    """By the stamps."""
    wsload_lag_p99_ms: float
    """What wsload itself says."""
    host_late_ms: Percentiles
    """See :func:`lateness`."""
    witness_priority: str
    cpu_cores: dict[str, float]
    """Cores' worth of CPU in the hold: ``driver``, ``parent``, ``haproxy``, ``backend``, ``witness``, and
    ``stolen`` by the hypervisor."""
    waited_share: float
    """The part of the hold in which the driver was ready to run and had to wait. The witness takes 0.03."""
    spikes: list[Spike]
    rhythm: Rhythm | None
    """Of the spikes that are ours."""
    limits: list[str] = []
    """Bars missed, in words."""


def lateness(witnesses: Sequence[WitnessNotes], from_ns: int, to_ns: int) -> Percentiles:
    """Of the witness that was itself the latest at p99.9."""
    spans = [slice(*np.searchsorted(witness.t_ns, (from_ns, to_ns))) for witness in witnesses]
    each = [_percentiles(witness.late_ns[span]) for witness, span in zip(witnesses, spans, strict=True)]
    return max(each, key=lambda late: late.p99_9)


def limits_of(result: Result) -> list[str]:
    """Which bars a run missed."""
    found = []
    if result.lag_ms.p99 > LAG_P99_MS:
        found.append(f"lag p99 {result.lag_ms.p99:.3f} ms, above {LAG_P99_MS} ms")
    if (rhythm := result.rhythm) is not None:
        found.append(
            f"spikes of ours above 2 ms keep a period of {rhythm.period_s:.3f} s in {rhythm.cycles} cycles "
            f"(chance {rhythm.chance:.1g})"
        )
    if result.noted < _LEAST_NOTED * result.sent:
        found.append(f"stamps of {result.noted:,} messages of {result.sent:,} were seen")
    if not _agree(result.wsload_lag_p99_ms, result.lag_ms.p99):
        found.append(
            f"wsload says lag p99 {result.wsload_lag_p99_ms:.3f} ms, stamps {result.lag_ms.p99:.3f} ms"
        )
    if result.validity == Validity.INVALID:
        found += [f"not valid: {reason}" for reason in result.reasons]
    return found


def doubts_of(result: Result) -> list[str]:
    """Why what was missed may not be wsload's doing. A bar that was missed is missed all the same."""
    if result.setting.apart and result.waited_share > _MOST_WAITED:
        return [
            f"other programs ran on the driver's core: it had to wait {result.waited_share:.0%} of the time"
        ]
    return []


def _agree(one_ms: float, other_ms: float) -> bool:
    """Within the histogram's resolution and a few messages that only one of both counts."""
    return abs(one_ms - other_ms) <= max(0.05 * other_ms, 0.02)


def table(results: Sequence[Result]) -> str:
    """A line for each figure, a column for each setting."""
    causes = {result.setting.name: Counter(spike.cause for spike in result.spikes) for result in results}
    rows: list[tuple[str, list[str]]] = [
        ("setting", [result.setting.name for result in results]),
        ("echoes per s", [f"{result.sent / result.length_s:,.0f}" for result in results]),
    ]
    for name in ("p50", "p99", "p99_9", "max"):
        lags = [f"{getattr(result.lag_ms, name):.3f}" for result in results]
        rows.append((f"lag {name.replace('_', '.')}, ms", lags))
    rows += [
        ("lag p99 by wsload, ms", [f"{result.wsload_lag_p99_ms:.3f}" for result in results]),
        ("host p99.9 late, ms", [f"{result.host_late_ms.p99_9:.3f}" for result in results]),
        ("host at most late, ms", [f"{result.host_late_ms.max:.3f}" for result in results]),
        *(
            (f"spikes above 2 ms: {cause}", [str(causes[result.setting.name][cause]) for result in results])
            for cause in Cause
        ),
        ("driver had to wait, share", [f"{result.waited_share:.3f}" for result in results]),
        *(
            (f"CPU, cores: {owner}", [f"{result.cpu_cores[owner]:.3f}" for result in results])
            for owner in results[0].cpu_cores
        ),
    ]
    words = [f"{result.setting.name}: {result.cores}" for result in results]
    words += [f"! {result.setting.name}: {limit}" for result in results for limit in result.limits]
    words += [f"? {result.setting.name}: {doubt}" for result in results for doubt in doubts_of(result)]
    return "\n".join(
        [*(f"{name:36}{''.join(f'{cell:>12}' for cell in cells)}" for name, cells in rows), *words]
    )
