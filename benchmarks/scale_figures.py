"""One number of tunnels as a profile and as a row of figures; several rows as a table. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from benchmarks.driver_cost import opening_rate_per_s
from benchmarks.scale_samples import PERIOD_S, Owner, Sample, sample_at
from wsload.plan.preflight import slots_of
from wsload.plan.sharding import SPARE_DESCRIPTORS
from wsload.record.layout import RunInfo
from wsload.record.outcome import Validity
from wsload.record.summary import Summary
from wsload.units import NS_PER_S, format_count

ECHOES_PER_S = 2000
_CHATTY_SHARE = 0.1
_OPENED_WITHIN_S = {100_000: 30.0}
"""Tunnels -> the time that they have to open in. Of fewer, one slow handshake tells more than the rate; more
take what ``--rate`` leaves them, as those that are open want their share of the cores."""
_CLOSED_PER_S = 4000

PROFILE = """
title = "scale-{tunnels}"
[load]
tunnels = {tunnels}
ramp = "{ramp_ms}ms"
hold = "{hold_ms}ms"
drain = "{drain_s}s"
timer_slack = "{slack_us}us"
[haproxy]
processes = {haproxy_processes}
[backend]
processes = {backend_processes}
[[cohort]]
name = "idle"
share = 0.6
[[cohort]]
name = "pinged"
share = 0.3
traffic = "pinged"
every = "30s"
[[cohort]]
name = "chatty"
share = {chatty_share}
traffic = "chatty"
rate = "{rate_per_s}/s"
"""


class Row(msgspec.Struct, kw_only=True):
    """One run. Where it was refused, only ``exit_code`` and ``limits`` say anything.

    ``memory_bytes`` is what each owner took between time 0 (all processes up, no tunnel) and the hold's end,
    of the parent, which has made its plan by then, all that it holds;
    ``cpu_cores`` the share of a core over the hold; ``cpu_us_per_opening`` is of the time before it,
    in which those already open talk.
    """

    tunnels: int
    exit_code: int
    limits: list[str]
    """Bars missed, and why, in words; empty where all is well."""
    held_s: float = 0.0
    timer_slack_ms: float = 0.0
    processes: dict[Owner, int] = {}
    opened: int = 0
    lost: int = 0
    """Disconnects that no plan asked for."""
    opened_within_s: float = 0.0
    """From the first due time to when the last can have opened at the latest."""
    opened_per_s: float = 0.0
    memory_bytes: dict[Owner, int] = {}
    bytes_per_tunnel: dict[Owner, float] = {}
    available_drop_bytes: int = 0
    """By how much MemAvailable fell meanwhile. Less than the owners' sum: it takes half of the reclaimable
    slab, where the inodes of sockets are, for available."""
    cpu_cores: dict[Owner, float] = {}
    cpu_us_per_opening: dict[Owner, float] = {}
    echoes_per_s: float = 0.0
    pings_per_s: float = 0.0
    handshake_p99_ms: float | None = None
    echo_p99_ms: float | None = None
    """Corrected."""
    lag_p99_ms: float | None = None
    validity: str = ""
    reasons: list[str] = []


def profile_text(tunnels: int, hold_ns: int, slack_ns: int, rate_per_s: float, nofile: int) -> str:
    """The profile for one number of tunnels.

    Args:
        tunnels: In all.
        hold_ns: Length of the hold.
        slack_ns: How long a due message may wait, so that several leave at one wake-up.
        rate_per_s: Openings per second.
        nofile: Descriptors that each process may have; decides over the number of HAProxy and backend
            processes, as it does over that of workers, which wsload works out itself.
    """
    # maxconn is the next hundred above a process's tunnels.
    slots = slots_of(nofile) // 100 * 100 - 1
    backend_room = int((nofile - SPARE_DESCRIPTORS) / 1.1)  # the kernel deals tunnels out unevenly
    chatty = max(round(tunnels * _CHATTY_SHARE), 1)
    return PROFILE.format(
        tunnels=tunnels,
        ramp_ms=math.ceil(tunnels / rate_per_s * 1000),
        hold_ms=hold_ns // 1_000_000,
        slack_us=slack_ns // 1000,
        drain_s=5 + math.ceil(tunnels / _CLOSED_PER_S),
        haproxy_processes=math.ceil(tunnels / max(slots, 1)),
        backend_processes=math.ceil(tunnels / max(backend_room, 1)),
        chatty_share=_CHATTY_SHARE,
        rate_per_s=f"{ECHOES_PER_S / chatty:.6f}",
    )


def row_of(
    info: RunInfo, summary: Summary, samples: Sequence[Sample], slack_ns: int, exit_code: int, words: str
) -> Row:
    """What came of a run that had this timer slack. ``words`` are what it said on stderr."""
    ramp_ns, hold_ns = round(info.ramp_s * NS_PER_S), round(info.hold_s * NS_PER_S)
    before = sample_at(samples, info.start_monotonic_ns)
    begin = sample_at(samples, info.start_monotonic_ns + ramp_ns)
    end = sample_at(samples, info.start_monotonic_ns + ramp_ns + hold_ns)
    opened = summary.tunnels.opened
    memory = {
        owner: size - (0 if owner is Owner.PARENT else before.memory_bytes.get(owner, 0))
        for owner, size in end.memory_bytes.items()
    }
    handshake = summary.metrics.get("handshake", {}).get("all", {})
    row = Row(
        tunnels=info.tunnels,
        exit_code=exit_code,
        limits=[],
        held_s=info.hold_s,
        timer_slack_ms=slack_ns / 1e6,
        processes=end.processes,
        opened=opened,
        lost=sum(summary.counters.get("disconnect_unexpected", {}).values()),
        opened_within_s=info.ramp_s + handshake.get("max", 0.0) / 1000,
        opened_per_s=opening_rate_per_s(opened, info.ramp_s, handshake.get("max", 0.0)),
        memory_bytes=memory,
        bytes_per_tunnel={owner: size / max(opened, 1) for owner, size in memory.items()},
        available_drop_bytes=before.available_bytes - end.available_bytes,
        cpu_cores={
            owner: used_s / max((end.t_ns - begin.t_ns) / NS_PER_S, PERIOD_S)
            for owner, used_s in _used_s(begin, end).items()
        },
        cpu_us_per_opening={
            owner: used_s / max(opened, 1) * 1e6 for owner, used_s in _used_s(before, begin).items()
        },
        echoes_per_s=_hold_count(summary, "received", "chatty") / info.hold_s,
        pings_per_s=_hold_count(summary, "sent", "pinged") / info.hold_s,
        handshake_p99_ms=handshake.get("p99"),
        echo_p99_ms=summary.metrics.get("echo_corrected", {}).get("all", {}).get("p99"),
        lag_p99_ms=summary.driver["lag_p99_ms"],
        validity=summary.verdict.validity,
        reasons=summary.verdict.reasons,
    )
    row.limits = limits_of(row, summary.handshake_failures | summary.handshake_causes, words)
    return row


def _used_s(first: Sample, last: Sample) -> dict[Owner, float]:
    return {owner: last.cpu_s[owner] - first.cpu_s.get(owner, 0.0) for owner in last.cpu_s}


def _hold_count(summary: Summary, counter: str, cohort: str) -> int:
    return int(summary.hold["counters"].get(counter, {}).get(cohort, 0))


def limits_of(row: Row, failures: Mapping[str, int], words: str) -> list[str]:
    """Which bars a run missed; ``failures`` are its failed handshakes by reason and cause."""
    found = []
    if row.opened < row.tunnels:
        why = ", ".join(f"{name} {format_count(number)}" for name, number in failures.items()) or words
        found.append(f"opened {format_count(row.opened)} of {format_count(row.tunnels)} tunnels: {why}")
    if row.lost:
        found.append(f"{format_count(row.lost)} tunnels ended unasked")
    if (bound_s := _OPENED_WITHIN_S.get(row.tunnels)) and row.opened_within_s > bound_s:
        found.append(f"opened within {row.opened_within_s:.1f} s, asked {bound_s:g} s")
    if row.echoes_per_s < 0.99 * ECHOES_PER_S:
        found.append(f"{row.echoes_per_s:,.0f} echoes/s of {ECHOES_PER_S:,}/s")
    if row.validity == Validity.INVALID:
        found += [f"not valid: {reason}" for reason in row.reasons]
    return found


Figure = Callable[[Row], float | None]

CPU_OWNERS = (Owner.DRIVER, Owner.HAPROXY, Owner.BACKEND, Owner.PARENT)


def _of_owners(owners: Sequence[Owner], parts: Callable[[Row], dict[Owner, Any]]) -> dict[Owner, Figure]:
    """A figure for each owner."""

    def figure(owner: Owner) -> Figure:
        return lambda row: parts(row).get(owner)

    return {owner: figure(owner) for owner in owners}


def _named(name: str, figures: Mapping[Owner, Figure]) -> dict[str, Figure]:
    return {f"{name}: {owner}": figure for owner, figure in figures.items()}


MEMORY_MB = _of_owners(
    tuple(Owner), lambda row: {owner: size / 1e6 for owner, size in row.memory_bytes.items()}
)
CPU_CORES = _of_owners(CPU_OWNERS, lambda row: row.cpu_cores)
_GROWING = _named("memory, MB", MEMORY_MB) | _named("CPU in the hold, cores", CPU_CORES)
FIGURES: dict[str, Figure] = {
    **_named("processes", _of_owners(CPU_OWNERS, lambda row: row.processes)),
    "held, s": lambda row: row.held_s,
    "timer slack, ms": lambda row: row.timer_slack_ms,
    "tunnels opened": lambda row: row.opened,
    "tunnels ended unasked": lambda row: row.lost,
    "opened within, s": lambda row: row.opened_within_s,
    "opened per s": lambda row: row.opened_per_s,
    "handshake p99, ms": lambda row: row.handshake_p99_ms,
    **_named("CPU of an opening, us", _of_owners(CPU_OWNERS, lambda row: row.cpu_us_per_opening)),
    **_named("memory, MB", MEMORY_MB),
    "MemAvailable fell, MB": lambda row: row.available_drop_bytes / 1e6,
    **_named("bytes per tunnel", _of_owners(tuple(Owner), lambda row: row.bytes_per_tunnel)),
    **_named("CPU in the hold, cores", CPU_CORES),
    "echoes per s": lambda row: row.echoes_per_s,
    "pings per s": lambda row: row.pings_per_s,
    "echo p99 (corrected), ms": lambda row: row.echo_p99_ms,
    "lag p99, ms": lambda row: row.lag_p99_ms,
}
"""What the table shows, by name."""


def growth(rows: Sequence[Row]) -> dict[str, float]:
    """How memory and CPU grow with N: the exponent b of ``figure ~ N ** b``, fitted over all rows.

    1 is in proportion, 0 not at all. A figure with fewer than two positive values is left out.
    """
    found = {}
    for name, figure in _GROWING.items():
        points = [(row.tunnels, value) for row in rows if (value := figure(row)) is not None and value > 0]
        if len({tunnels for tunnels, _ in points}) > 1:
            places, values = np.log(np.array(points, dtype=float)).T
            found[name] = round(float(np.polyfit(places, values, 1)[0]), 2)
    return found


def table(rows: Sequence[Row]) -> str:
    """A line for each figure, a column for each run that ran, and below what limited which."""
    ran, exponents = [row for row in rows if row.processes], growth(rows)
    lines = [_line("tunnels", [format_count(row.tunnels) for row in ran], "N^")] if ran else []
    for name, figure in FIGURES.items() if ran else ():
        exponent = f"{exponents[name]:.2f}" if name in exponents else ""
        lines.append(_line(name, [_shown(figure(row)) for row in ran], exponent))
    lines += [
        f"! {format_count(row.tunnels)} tunnels: {limit}"
        for row in rows
        for limit in [*row.limits, *_doubts(row)]
    ]
    return "\n".join(lines)


def _line(name: str, cells: Sequence[str], exponent: str) -> str:
    return f"{name:32}{''.join(f'{cell:>12}' for cell in cells)}{exponent:>8}".rstrip()


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _doubts(row: Row) -> list[str]:
    """Why a result that counts may still be off; an invalid one's reasons are among its limits."""
    return [] if row.validity == Validity.INVALID else [f"{row.validity}: {reason}" for reason in row.reasons]
