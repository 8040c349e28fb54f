"""Which known timer a measured one looks like. A match is a guess: all of these can be set otherwise."""

from dataclasses import dataclass
from typing import Final

from wsload.probe.idle_plan import Fate
from wsload.record.known_timers import KNOWN_TIMERS, KnownTimer
from wsload.units import NS_PER_MS, NS_PER_S, haproxy_time

TOLERANCE_NS, TOLERANCE_SHARE = 100 * NS_PER_MS, 0.02
"""How far a device's timer may lie from its documented value, beside the measurement's own uncertainty."""
_EXACT_NS, _EXACT_SHARE = 20 * NS_PER_MS, 0.002
"""The same for a timer of HAProxy, which is exact to the millisecond: transit, and a busy machine."""
_GRAINS_NS: Final = tuple(
    ms * NS_PER_MS for ms in (3_600_000, 600_000, 60_000, 10_000, 5_000, 1_000, 500, 100, 50, 10)
)

HAPROXY_DEFAULTS: tuple[KnownTimer, ...] = (
    KnownTimer(
        "HAProxy as many examples have it: timeout client 30s, timeout server 30s, and no timeout tunnel",
        30 * NS_PER_S,
        "fin",
        "github.com/nextcloud/HaRP/issues/115",
    ),
    KnownTimer(
        "HAProxy as Debian and Ubuntu ship it: timeout client 50000, timeout server 50000, no timeout tunnel",
        50 * NS_PER_S,
        "fin",
        "/etc/haproxy/haproxy.cfg of the package",
    ),
    KnownTimer(
        "HAProxy as Red Hat ships it: timeout client 1m, timeout server 1m, and no timeout tunnel",
        60 * NS_PER_S,
        "fin",
        "docs.redhat.com, RHEL 7 Load Balancer Administration, 5.3 Default Settings",
    ),
)
"""Configurations that people start from; their timers cut tunnels because timeout tunnel is missing."""

_SEEN_AS: Final = {
    Fate.FIN: ("fin", ""),
    Fate.RST: ("rst", "silence", ""),
    Fate.UNANSWERED: ("silence", "rst", ""),
    Fate.CLOSE: (),
}
"""How a tunnel ended here -> the ends of a known timer that fit."""


@dataclass(frozen=True)
class Likeness:
    """One thing that the measured timer may be."""

    name: str
    timer_ns: int
    source: str


def likenesses(
    timer_ns: int,
    plus_minus_ns: int,
    fate: Fate,
    *,
    by_age: bool = False,
    client_alone_counts: bool | None = None,
) -> list[Likeness]:
    """What a timer of this length, which ends tunnels like this, may be; the closest kind first.

    Args:
        timer_ns: Its length as measured.
        plus_minus_ns: How far that may be off.
        fate: How most of the tunnels ended that it ended.
        by_age: It ended tunnels at an age, whatever was sent.
        client_alone_counts: Whether bytes from the client alone refresh it; None: not known.
    """
    found: list[Likeness] = []
    if fate is Fate.CLOSE:
        found.append(
            Likeness(
                "the WebSocket server's own timer (HAProxy sends no close frames)",
                timer_ns,
                "RFC 6455, section 7",
            )
        )
    if fate is Fate.FIN and not by_age:
        found += _haproxy(timer_ns, plus_minus_ns, one_way=client_alone_counts is False)
    allowed_ns = plus_minus_ns + max(TOLERANCE_NS, round(TOLERANCE_SHARE * timer_ns))
    found += [
        Likeness(known.name, known.idle_ns, known.source)
        for known in (*HAPROXY_DEFAULTS, *KNOWN_TIMERS)
        # What counts age looks like an idle timer to a silent tunnel, but a kept heartbeat tells them apart.
        if known.by_age is by_age
        and known.wire in _SEEN_AS.get(fate, ("",))
        and abs(known.idle_ns - timer_ns) <= allowed_ns
    ]
    return found


def as_written(timer_ns: int, plus_minus_ns: int) -> int | None:
    """The roundest duration within the tolerance, as a person would have written it; None if none is."""
    allowed_ns = plus_minus_ns + max(_EXACT_NS, round(_EXACT_SHARE * timer_ns))
    for grain_ns in _GRAINS_NS:
        written_ns = round(timer_ns / grain_ns) * grain_ns
        if written_ns and abs(written_ns - timer_ns) <= allowed_ns and 10 * allowed_ns <= timer_ns:
            return written_ns
    return None


def _haproxy(timer_ns: int, plus_minus_ns: int, *, one_way: bool) -> list[Likeness]:
    written_ns = as_written(timer_ns, plus_minus_ns)
    if written_ns is None:
        return []
    text = haproxy_time(written_ns)
    # Else bytes in either direction refresh the timers of both sides.
    if one_way:
        name = f'HAProxy with "option independent-streams" and timeout tunnel, client or server {text}'
    else:
        name = (
            f'HAProxy with "timeout tunnel {text}", or with none and the smaller of '
            f"timeout client and timeout server {text}"
        )
    return [Likeness(name, written_ns, "a FIN without a close frame is how HAProxy ends an idle tunnel")]
