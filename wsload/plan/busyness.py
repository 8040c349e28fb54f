"""How busy a plan will keep HAProxy and this host, from rates alone: a rough figure, before anything runs.

Costs per piece of work are measured ones (field.md): HAProxy 16 us an echo at 10,000/s and 41 us an opening.
Below some 700 messages/s each wakes HAProxy by itself, which costs about 90 us more (in the reference
quickstart 106 us a message at 630/s). Driver and backend each use about as much as HAProxy for the same work.
"""

import math
from collections.abc import Sequence

from wsload.plan.model import Plan
from wsload.profile.model import Cohort, Reconnect, Reply, Traffic, Via
from wsload.units import NS_PER_S

_MESSAGE_S = 16e-6
_OPENING_S = 41e-6
_WAKE_UP_S = 90e-6
_MOST_WAKE_UPS_PER_S = 700.0


def messages_per_s(plan: Plan) -> float:
    """Messages and pings, all cohorts together; infinite for a closed loop."""
    backend, counts = plan.profile.backend, plan.cohort_tunnels
    pushed = backend.push_rate_per_s * sum(counts) if backend.reply is Reply.PUSH else 0.0
    return pushed + sum(
        count * rate_per_s(cohort) for cohort, count in zip(plan.profile.cohorts, counts, strict=True)
    )


def openings_per_s(plan: Plan) -> float:
    """At their peak, in the ramp; with the clients that come back or are replaced."""
    load, counts = plan.profile.load, plan.cohort_tunnels
    ramp = load.tunnels * NS_PER_S / load.ramp_ns if load.ramp_ns else float(load.tunnels)
    return ramp + sum(
        count * _returns_per_s(cohort) for cohort, count in zip(plan.profile.cohorts, counts, strict=True)
    )


def haproxy_share(plans: Sequence[Plan]) -> float:
    """Of a core that one HAProxy will use at the plans' busiest, all at once."""
    return _share(sum(map(messages_per_s, plans)), sum(map(openings_per_s, plans)))


def host_share(plans: Sequence[Plan]) -> float:
    """Of a core, likewise, with the driver and the backend of each plan, also of those without HAProxy."""
    others = sum(2 * _share(messages_per_s(plan), openings_per_s(plan)) for plan in plans)
    return haproxy_share([plan for plan in plans if plan.profile.target.via is Via.HAPROXY]) + others


def _share(messages: float, openings: float) -> float:
    wake_ups = min(messages, _MOST_WAKE_UPS_PER_S)
    return messages * _MESSAGE_S + wake_ups * _WAKE_UP_S + openings * _OPENING_S


def rate_per_s(cohort: Cohort) -> float:
    """Messages and pings of one of its tunnels; infinite for a closed loop."""
    if cohort.traffic is Traffic.CHATTY:
        return math.inf if cohort.rate_per_s is None else cohort.rate_per_s
    if cohort.traffic is Traffic.PINGED:
        return NS_PER_S / cohort.every_ns
    return NS_PER_S / cohort.gaps.mean_ns if cohort.traffic is Traffic.QUIET else 0.0


def _returns_per_s(cohort: Cohort) -> float:
    """At most: each message of a quiet client may be an opening."""
    back = rate_per_s(cohort) if cohort.reconnect is Reconnect.WHEN_DUE else 0.0
    leaving = NS_PER_S / cohort.session.mean_ns if cohort.session is not None else 0.0
    return back + leaving + cohort.vanish_per_s
