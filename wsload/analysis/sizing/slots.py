"""How many of HAProxy's slots live tunnels need: those of vanished and half-closed clients count too."""

import math
from typing import NamedTuple

from wsload.analysis.sizing.question import Fleet, PingFrom
from wsload.profile.plateaus import idle_timer
from wsload.units import NS_PER_S, format_duration

TCP_GIVES_UP_NS = 925 * NS_PER_S
"""Linux drops a connection that goes so long unacknowledged: tcp_retries2 = 15 (ip-sysctl.rst: 924.6 s)."""
_HOLDS_AFTER_SERVER_FIN = (3, 2)
_IGNORES_FIN_TIMERS = (3, 0)
"""Releases from which on HAProxy behaves so (haproxy-facts.md, section 1)."""


class Hold(NamedTuple):
    """For how long a slot stays taken by a client that is gone, and why."""

    ns: float
    """Infinite where nothing ever frees it."""
    why: str


class Slots(NamedTuple):
    """Of one node."""

    tunnels: int
    ghosts: int
    half_open: int

    @property
    def total(self) -> int:
        """In use."""
        return self.tunnels + self.ghosts + self.half_open


def idle_timer_ns(fleet: Fleet) -> float:
    """After so long a silence HAProxy ends a tunnel; infinite without any timer."""
    return idle_timer(fleet.timeouts_ns) or math.inf


def ghost_hold(fleet: Fleet, release: str) -> Hold:
    """How long a vanished client's slot is held, at most: D of ``slots = N (1 + v D)``."""
    timer_ns = idle_timer_ns(fleet)
    every_ns = fleet.ping_every_ns if fleet.ping_from is PingFrom.SERVER else None
    if every_ns is None or every_ns >= timer_ns:
        return Hold(timer_ns, f"the idle timer, {_text(timer_ns)}, ends it")
    gives_up_ns = fleet.tcp_user_timeout_ns or TCP_GIVES_UP_NS
    pings = f"the server's pings, every {_text(every_ns)}, start the idle timer anew"
    pong_ns = fleet.pong_timeout_ns
    if pong_ns is None or pong_ns >= gives_up_ns:
        name = "tcp-ut" if fleet.tcp_user_timeout_ns else "the kernel's retries"
        return Hold(every_ns + gives_up_ns, f"{pings}; {name}, {_text(gives_up_ns)}, end it after the next")
    words = f"{pings}; the server closes {_text(pong_ns)} after the next"
    hold_ns = every_ns + pong_ns
    if _release(release) >= _HOLDS_AFTER_SERVER_FIN:
        # The client's side never closes, and this release waits for it.
        more_ns = min(timer_ns, gives_up_ns)
        return Hold(hold_ns + more_ns, f"{words}, and HAProxy {release} then waits {_text(more_ns)} more")
    return Hold(hold_ns, words)


def half_open_hold(fleet: Fleet, release: str) -> Hold:
    """How long a half-closed client's slot is held."""
    fin_ns = fleet.timeouts_ns.get("server-fin")
    if fin_ns and _release(release) < _IGNORES_FIN_TIMERS:
        return Hold(fin_ns, f"timeout server-fin, {_text(fin_ns)}, ends it")
    timer_ns = idle_timer_ns(fleet)
    return Hold(timer_ns, f"the idle timer, {_text(timer_ns)}, ends it")


def slots_of(tunnels: int, fleet: Fleet, release: str) -> Slots:
    """Slots of one node with so many live tunnels. Holds must be finite where their rates are not 0."""
    held = [
        math.ceil(round(tunnels * rate_per_s * hold.ns / NS_PER_S, 6)) if rate_per_s else 0
        for rate_per_s, hold in (
            (fleet.vanish_per_s, ghost_hold(fleet, release)),
            (fleet.half_close_per_s, half_open_hold(fleet, release)),
        )
    ]
    return Slots(tunnels, *held)


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2])


def _text(ns: float) -> str:
    return format_duration(ns) if math.isfinite(ns) else "none set"
