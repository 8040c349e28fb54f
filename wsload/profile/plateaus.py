"""How long a search for capacity holds each level, and how many levels it may try."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from wsload.profile.model import Capacity, Cohort, Haproxy, Load, Profile, Reconnect, Via
from wsload.units import NS_PER_S, format_duration

LEAST_JUDGED_INTERVALS = 4
"""Steadiness is told from two halves of two intervals at least."""

_JUDGED_NS = 5 * NS_PER_S
_JUDGED_INTERVALS = 5
"""What is judged where the profile does not say: the longer of the two."""


class Part(NamedTuple):
    """One reason for which a level has to settle before it is judged."""

    length_ns: int
    why: str


def ghost_hold_ns(profile: Profile) -> int:
    """How long HAProxy holds the slot of a client that vanished: its idle timer. 0 without HAProxy."""
    if profile.target.via is not Via.HAPROXY:
        return 0
    return max(_cohort_timer_ns(profile, cohort) for cohort in profile.cohorts)


def idle_timer(timeouts: Mapping[str, int]) -> int:
    """After so long a silence HAProxy ends a tunnel, in the unit of ``timeouts``; 0: never.

    ``timeout tunnel``; unset, the smaller of client and server (haproxy-facts.md, section 1).
    """
    either = (timeouts[name] for name in ("client", "server") if timeouts.get(name))
    return timeouts.get("tunnel") or min(either, default=0)


def idle_timer_ns(haproxy: Haproxy) -> int:
    """That of a profile's HAProxy; 0: none."""
    return idle_timer(haproxy.timeouts_ns)


def settle_parts(profile: Profile) -> list[Part]:
    """What has to pass from the last opening of a level until its figures are steady, if all goes well.

    The idle timer has to have fired for who fell silent first, and ghosts have to leave as fast as they come:
    both take one timer. After that whoever was cut comes back when next due, a mean gap later; and who found
    no slot at first, but one within the handshake timeout, goes through the timer so much later. The last two
    pass side by side.
    """
    timer_ns, back_ns = ghost_hold_ns(profile), _comeback_ns(profile)
    parts = []
    if timer_ns:
        vanishes = any(cohort.vanish_per_s for cohort in profile.cohorts)
        ghosts = ", and ghosts leave as fast as they come" if vanishes else ""
        parts.append(Part(timer_ns, f"until the idle timer has fired for all{ghosts}"))
    if back_ns > profile.load.handshake_timeout_ns:
        parts.append(Part(back_ns, "until who was cut comes back"))
    else:
        parts.append(Part(profile.load.handshake_timeout_ns, "for who waits for a slot"))
    return parts


def settle_ns(profile: Profile) -> int:
    """The parts together."""
    return sum(part.length_ns for part in settle_parts(profile))


def settle_words(profile: Profile) -> str:
    """``5s until the idle timer has fired for all, 2s for who waits for a slot``."""
    return ", ".join(f"{format_duration(part.length_ns)} {part.why}" for part in settle_parts(profile))


def recovery_ns(profile: Profile) -> int:
    """After a level that was too much, until a lower one may be filled: excess and ghosts have left."""
    vanishes = any(cohort.vanish_per_s for cohort in profile.cohorts)
    return profile.load.ramp_ns + (ghost_hold_ns(profile) if vanishes else 0)


def judge_ns(profile: Profile) -> int:
    """The last part of a plateau, which is judged: as long in every cell of a sweep, whatever its timers.

    A share of tunnels cut grows with the time it is counted over.
    """
    assert profile.capacity is not None
    if profile.capacity.judge_ns is not None:
        return profile.capacity.judge_ns
    return max(_JUDGED_NS, _JUDGED_INTERVALS * profile.load.interval_ns)


def needed_plateau_ns(profile: Profile) -> int:
    """The shortest plateau whose judged part is steady."""
    return settle_ns(profile) + judge_ns(profile)


def plateau_ns(profile: Profile) -> int:
    """How long a level is held once its tunnels are open: as the profile says, or settled and then judged."""
    assert profile.capacity is not None
    if profile.capacity.plateau_ns is not None:
        return profile.capacity.plateau_ns
    return needed_plateau_ns(profile)


def plateau_words(profile: Profile) -> str:
    """How long a level is held, and why: ``held 12s: 5s until …, then 5s are judged``."""
    spare_ns = plateau_ns(profile) - needed_plateau_ns(profile)
    spare = f", {format_duration(spare_ns)} more as the profile says" if spare_ns else ""
    return (
        f"held {format_duration(plateau_ns(profile))}: {settle_words(profile)}{spare}; then "
        f"{format_duration(judge_ns(profile))} are judged, and as much again where they are not steady"
    )


def settled_ns(profile: Profile) -> int:
    """From a level's last opening until it is judged."""
    return plateau_ns(profile) - judge_ns(profile)


def most_levels(capacity: Capacity) -> int:
    """Levels that a search tries at the most."""
    span = capacity.most - capacity.least
    if not span:
        return 1
    if capacity.step is not None:
        return -(-span // capacity.step) + 1
    return 2 + (math.ceil(math.log2(span / capacity.resolution)) if span > capacity.resolution else 0)


def longest_hold_ns(profile: Profile, load: Load) -> int:
    """What a search takes after its first opening, where every level is tried and none needs longer."""
    assert profile.capacity is not None
    levels = most_levels(profile.capacity)
    before_ns = load.ramp_ns + (0 if profile.capacity.step is not None else recovery_ns(profile))
    # Twice what is judged: a level that is not steady gets more time.
    held_ns = plateau_ns(profile) + judge_ns(profile) + 2 * load.interval_ns
    return levels * held_ns + (levels - 1) * before_ns


def _cohort_timer_ns(profile: Profile, cohort: Cohort) -> int:
    own_ns = cohort.tunnel_timeout_ns
    return idle_timer_ns(profile.haproxy) if own_ns is None else own_ns


def _comeback_ns(profile: Profile) -> int:
    """The longest mean gap of clients that the timer cuts and that come back when they are next due."""
    if profile.target.via is not Via.HAPROXY:
        return 0
    return max(
        (
            round(cohort.gaps.mean_ns)
            for cohort in profile.cohorts
            if cohort.reconnect is Reconnect.WHEN_DUE
            and 0 < _cohort_timer_ns(profile, cohort) < cohort.gaps.longest_ns
        ),
        default=0,
    )
