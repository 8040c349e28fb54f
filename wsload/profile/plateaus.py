"""How long a search for capacity holds each level, and how many levels it may try."""

import math

from wsload.profile.model import Capacity, Haproxy, Load, Profile, Via
from wsload.units import NS_PER_S

_LEAST_JUDGED_NS = 5 * NS_PER_S
_JUDGED_SHARE = 0.25
"""Of the time that is waited for a steady state; so much more is watched."""
_JUDGED_LEAST_SHARE = 0.2
"""Of a plateau whose length the profile states."""


def ghost_hold_ns(profile: Profile) -> int:
    """How long HAProxy holds the slot of a client that vanished: its idle timer. 0 without HAProxy."""
    if profile.target.via is not Via.HAPROXY:
        return 0
    own = [cohort.tunnel_timeout_ns for cohort in profile.cohorts if cohort.tunnel_timeout_ns]
    return max([idle_timer_ns(profile.haproxy), *own])


def idle_timer_ns(haproxy: Haproxy) -> int:
    """``timeout tunnel``; unset, the smaller of client and server (haproxy-facts.md, section 1). 0: none."""
    timeouts = haproxy.timeouts_ns
    if "tunnel" in timeouts:
        return timeouts["tunnel"]
    return min((timeouts[name] for name in ("client", "server") if name in timeouts), default=0)


def settle_ns(profile: Profile) -> int:
    """From the last opening of a level until its figures are steady, if all goes as it should.

    The timer under test has to have fired for who fell silent first, and ghosts have to leave as fast as they
    come: both take one ``timeout tunnel``. Who found no slot is told by the handshake timeout.
    """
    return ghost_hold_ns(profile) + profile.load.handshake_timeout_ns


def recovery_ns(profile: Profile) -> int:
    """After a level that was too much, until a lower one may be filled: excess and ghosts have left."""
    vanishes = any(cohort.vanish_per_s for cohort in profile.cohorts)
    return profile.load.ramp_ns + (ghost_hold_ns(profile) if vanishes else 0)


def plateau_ns(profile: Profile) -> int:
    """How long a level is held once its tunnels are open: as the profile says, or settled and then judged."""
    assert profile.capacity is not None
    if profile.capacity.plateau_ns is not None:
        return profile.capacity.plateau_ns
    settle = settle_ns(profile)
    least_ns = max(_LEAST_JUDGED_NS, 5 * profile.load.interval_ns)
    return settle + max(least_ns, round(settle * _JUDGED_SHARE))


def settled_ns(profile: Profile) -> int:
    """From a level's last opening until it is judged: settled, but a stated plateau keeps a part to judge."""
    return min(settle_ns(profile), round(plateau_ns(profile) * (1 - _JUDGED_LEAST_SHARE)))


def most_levels(capacity: Capacity) -> int:
    """Levels that a search tries at the most."""
    span = capacity.most - capacity.least
    if capacity.step is not None:
        return -(-span // capacity.step) + 1
    return 2 + (math.ceil(math.log2(span / capacity.resolution)) if span > capacity.resolution else 0)


def longest_hold_ns(profile: Profile, load: Load) -> int:
    """What a search takes after its first opening, where every level is tried and none needs longer."""
    assert profile.capacity is not None
    levels = most_levels(profile.capacity)
    before_ns = load.ramp_ns + (0 if profile.capacity.step is not None else recovery_ns(profile))
    # Twice what is judged: a level that is not steady gets more time.
    judged_ns = plateau_ns(profile) - min(settle_ns(profile), plateau_ns(profile))
    return levels * (plateau_ns(profile) + judged_ns + 2 * load.interval_ns) + (levels - 1) * before_ns
