"""Costs and fleet for ``wsload size`` as a run measured them, from its folder alone."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from wsload.analysis.folder import HaproxySample, RunFolder
from wsload.analysis.sizing.question import RELEASES, Costs, Fleet
from wsload.errors import FolderError
from wsload.profile.model import Profile, Traffic
from wsload.record.outcome import Validity
from wsload.record.summary import Summary
from wsload.units import NS_PER_MS, NS_PER_S, format_count, haproxy_time

LEAST_SLOTS = 1000
"""With fewer, memory per tunnel is more noise than measurement (an allocator's arena is a megabyte)."""
LEAST_MESSAGES = 10_000
"""With fewer in the hold, CPU per message is mostly what an idle HAProxy uses."""


class Calibration(NamedTuple):
    """What a run says."""

    costs: Costs
    fleet: Fleet
    doubts: list[str]


class _Grown(NamedTuple):
    """HAProxy's processes together, from their first sample to the fullest moment before the drain."""

    slots: int
    rss_bytes: int
    base_bytes: int
    """Resident at first, without what the first slots had already cost."""
    processes: int
    maxconn: int
    cpu_s: float


def calibrate(folder: RunFolder, profile: Profile) -> Calibration:
    """Memory and CPU per tunnel, timers, and how the cohorts behaved; ``profile`` is the run's own.

    Raises:
        FolderError: the run is partial or not valid, had no HAProxy of ours, or too few tunnels to measure.
    """
    summary = _usable(folder)
    grown = _growth(folder)
    release, known = _release(summary.haproxy.get("version", ""))
    costs = msgspec.structs.replace(
        known,
        release=release,
        base_bytes=_base_bytes(grown, profile, known),
        tunnel_bytes=round(grown.rss_bytes / grown.slots),
        origin=f"measured in {folder.path.name}: HAProxy {summary.haproxy.get('version', '')}, "
        f"{format_count(grown.slots)} slots",
    )
    messages = _messages(summary)
    if messages >= LEAST_MESSAGES:
        costs = msgspec.structs.replace(costs, message_s=_hold_cpu_s(summary) / messages)
    elif not messages:
        handshake_s = grown.cpu_s / grown.slots
        costs = msgspec.structs.replace(costs, handshake_s=handshake_s)
    doubts = []
    if summary.verdict.validity == Validity.SUSPECT:
        doubts.append(f"{folder.path.name} is suspect: {'; '.join(summary.verdict.reasons)}")
    for cohort, own_ms in folder.info.cohort_timers_ms.items():
        timers = {name: haproxy_time(ms * NS_PER_MS) for name, ms in own_ms.items()}
        doubts += [
            f"{folder.path.name}: timeout {name} was {length} for {cohort} alone, which is left out; type "
            f"--timeout {name}={length} to take it"
            for name, length in timers.items()
        ]
    return Calibration(costs, fleet_of(profile, summary, folder.info.timers_ms), doubts)


def fleet_of(profile: Profile, summary: Summary, timers_ms: Mapping[str, int]) -> Fleet:
    """The tunnels as the run had them: its cohorts, averaged by their shares."""
    weight = math.fsum(cohort.share for cohort in profile.cohorts)
    chatty = [cohort for cohort in profile.cohorts if cohort.traffic in (Traffic.CHATTY, Traffic.QUIET)]
    pinged = [cohort for cohort in profile.cohorts if cohort.traffic is Traffic.PINGED]
    active_share = math.fsum(cohort.share for cohort in chatty) / weight
    active = active_share * summary.tunnels.peak
    names = {cohort.name for cohort in chatty}
    messages = sum(
        count
        for kind in ("sent", "received")
        for name, count in _counters(summary, kind).items()
        if name in names
    )
    seconds = float(summary.hold.get("seconds") or 0.0)
    sessions = [
        cohort.share / weight * NS_PER_S / cohort.session.mean_ns
        for cohort in profile.cohorts
        if cohort.session
    ]
    return Fleet(
        tunnels=summary.tunnels.peak,
        timeouts_ns={name: ms * NS_PER_MS for name, ms in _haproxys(timers_ms, profile).items()},
        vanish_per_s=math.fsum(cohort.share / weight * cohort.vanish_per_s for cohort in profile.cohorts),
        ping_every_ns=min((cohort.every_ns for cohort in pinged), default=None),
        active_share=active_share,
        messages_per_s=messages / seconds / active if seconds and active else 0.0,
        session_ns=round(NS_PER_S / math.fsum(sessions)) if sessions else None,
    )


def _usable(folder: RunFolder) -> Summary:
    path, summary = folder.path, folder.summary()
    if summary is None:
        raise FolderError(f"{path}: has no summary.json; make it with: wsload report {path}")
    if summary.partial:
        raise FolderError(f"{path}: the run was cut short, its figures are no measure; name a whole run")
    if summary.verdict.validity == Validity.INVALID:
        raise FolderError(
            f"{path}: the run is not valid ({'; '.join(summary.verdict.reasons)}); name a valid one"
        )
    if summary.via != "haproxy":
        raise FolderError(f'{path}: drove no HAProxy of its own; name a run with target.via = "haproxy"')
    if "shared_by" in summary.haproxy:
        raise FolderError(
            f"{path}: shared its HAProxy with other cells, so its memory and CPU are of all of them; "
            "name a run of its own"
        )
    return summary


def _growth(folder: RunFolder) -> _Grown:
    hold_end_s = folder.hold_end_s()
    rows = [row for row in folder.haproxy_stats() if row["t_s"] <= hold_end_s]
    by_process: dict[int, list[HaproxySample]] = {}
    for row in rows:
        by_process.setdefault(row["process"], []).append(row)
    parts = [_grown(each) for each in by_process.values()]
    slots = sum(part.slots for part in parts)
    if slots < LEAST_SLOTS:
        raise FolderError(
            f"{folder.path}: HAProxy's slots grew by {format_count(slots)}, too few to tell what one costs; "
            f"name a run of {format_count(LEAST_SLOTS)} tunnels or more"
        )
    return _Grown(
        slots,
        sum(part.rss_bytes for part in parts),
        round(sum(part.base_bytes for part in parts) / len(parts)),
        len(parts),
        parts[0].maxconn,
        sum(part.cpu_s for part in parts),
    )


def _grown(rows: Sequence[HaproxySample]) -> _Grown:
    first, most = rows[0], max(rows, key=lambda row: row["slots"])
    slots = most["slots"] - first["slots"]
    rss = most["rss_bytes"] - first["rss_bytes"]
    before = round(first["slots"] * rss / slots) if slots else 0
    return _Grown(
        slots, rss, first["rss_bytes"] - before, 1, first["maxconn"], most["cpu_s"] - first["cpu_s"]
    )


def _base_bytes(grown: _Grown, profile: Profile, known: Costs) -> int:
    """One process's, without what the model adds for maxconn and further threads."""
    added = known.slot_bytes * grown.maxconn + known.thread_bytes * (profile.haproxy.threads - 1)
    return max(grown.base_bytes - added, 0)


def _release(version: str) -> tuple[str, Costs]:
    """``2.6`` of ``2.6.12``, and the figures of the nearest release that were measured."""
    release = ".".join(version.split(".")[:2])
    newest = max(RELEASES, key=_order)
    if not release:
        return newest, RELEASES[newest]
    older = [name for name in RELEASES if _order(name) <= _order(release)]
    return release, RELEASES[max(older, key=_order) if older else min(RELEASES, key=_order)]


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


def _haproxys(timers_ms: Mapping[str, int], profile: Profile) -> dict[str, int]:
    """HAProxy's own timers, those that the profile sets: fall-backs and the backend's are left out."""
    return {name: timers_ms[name] for name in profile.haproxy.timeouts_ns if name in timers_ms}


def _messages(summary: Summary) -> int:
    """Through HAProxy in the hold, one way; a ping counts as sent, its pong as received."""
    return sum(sum(_counters(summary, kind).values()) for kind in ("sent", "received"))


def _counters(summary: Summary, name: str) -> dict[str, int]:
    found: dict[str, int] = summary.hold.get("counters", {}).get(name, {})
    return found


def _hold_cpu_s(summary: Summary) -> float:
    return float(summary.haproxy.get("hold", {}).get("cpu_s", 0.0))
