"""What is known about one tunnel's end, from three sides: the client, HAProxy's log, the backend's record."""

from collections.abc import Iterator, Mapping

import msgspec

from wsload.record.layout import OWN_TIMERS
from wsload.record.outcome import PlanAct, Wire
from wsload.record.snapshot import Disconnect
from wsload.units import NS_PER_MS, NS_PER_S, format_duration

TOLERANCE_NS = 100 * NS_PER_MS
TOLERANCE_SHARE = 0.02
"""How far idle time may lie from a timer and still be called it: 100 ms or 2 %, whichever is more. Idle
time is measured at an end: it starts up to a transit before or after HAProxy's timer does, and ends when
that end has got round to the FIN."""

LATE_NS = NS_PER_S
LATE_SHARE = 0.1
"""How far past a timer an end may come and still be guessed to be its: many timers that expire together
keep HAProxy and the client busy. No tunnel under that timer could have been idle for longer."""

ECONNRESET_ERR = 47
"""``fc_err`` and ``bc_err`` from HAProxy 3.0 on: the connection was reset."""


class HaproxyEnd(msgspec.Struct, frozen=True):
    """HAProxy's log line of the tunnel."""

    termination: str
    """``cD--``: session state at disconnection (configuration manual, section 8.5)."""
    status: int | None = None
    total_ms: int | None = None
    """Accept to end (%Tt)."""
    client_reset: bool = False
    server_reset: bool = False
    """By fc_err and bc_err, from 3.0 on."""
    events: str = ""
    """Those of the session, in order, from 3.2 on (fourth field of term_events): ``s2`` first where the
    client closed first, ``S2`` where the server did, ``s7`` and ``S7`` where a timer of that side ran out."""

    @property
    def root_event(self) -> str:
        """The first of them."""
        return self.events[:2]


class BackendEnd(msgspec.Struct, frozen=True):
    """What the embedded backend knows of its side of the tunnel."""

    ended_by_backend: bool
    wire: str
    """What it saw or did: ``fin``, ``rst``, ``close``, ``idle_close``, …"""
    idle_ns: int
    """Since the last byte either way."""


class Evidence(msgspec.Struct, frozen=True):
    """All of it. ``timers_ms`` is by HAProxy's names; 0 or absent is off."""

    disconnect: Disconnect
    timers_ms: Mapping[str, int]
    log: HaproxyEnd | None = None
    backend: BackendEnd | None = None
    log_is_lost: bool = False
    """There is a log, and this tunnel's line is not in it."""
    haproxy_ended: bool = False
    """HAProxy itself ended, or was ended, at about that time."""

    @property
    def flags(self) -> str:
        """HAProxy's first two: who ended it, in which state; empty without a line."""
        return self.log.termination[:2] if self.log is not None else ""

    @property
    def backend_did(self) -> str:
        """How the backend ended it, where it did; else empty."""
        return self.backend.wire if self.backend is not None and self.backend.ended_by_backend else ""

    @property
    def backend_saw(self) -> str:
        """What ended it in the backend's eyes, where it did nothing itself; else empty."""
        return self.backend.wire if self.backend is not None and not self.backend.ended_by_backend else ""

    @property
    def idle_ns(self) -> int:
        """At the client, since the last byte either way: either refreshes ``timeout tunnel``."""
        return min(self.disconnect.idle_rx_ns, self.disconnect.idle_tx_ns)

    def idle_times_ns(self) -> Iterator[int]:
        """Every reading of how long the tunnel was idle.

        What the client sent as the timer fired never reached the tunnel, so with HAProxy's word that a timer
        fired the client's receiving side counts alone, and so does the backend's.
        """
        yield self.idle_ns
        if self.log is not None:
            yield self.disconnect.idle_rx_ns
            if self.backend is not None:
                yield self.backend.idle_ns
        if self.disconnect.plan is PlanAct.HALF_CLOSE:
            yield self.disconnect.idle_tx_ns

    def timer_ns(self, name: str) -> int:
        """The timer in force, 0 where it is off."""
        return self.timers_ms.get(name, 0) * NS_PER_MS

    def matches(self, name: str) -> bool:
        """Whether an idle time is the timer's, within the tolerance."""
        timer_ns = self.timer_ns(name)
        slack_ns = max(TOLERANCE_NS, TOLERANCE_SHARE * timer_ns)
        return timer_ns > 0 and any(abs(idle_ns - timer_ns) <= slack_ns for idle_ns in self.idle_times_ns())

    def shortly_after(self, name: str) -> bool:
        """Whether an idle time lies past the timer, but not by more than a busy moment explains."""
        timer_ns = self.timer_ns(name)
        latest_ns = timer_ns + max(LATE_NS, LATE_SHARE * timer_ns)
        return timer_ns > 0 and any(timer_ns < idle_ns <= latest_ns for idle_ns in self.idle_times_ns())


def told(evidence: Evidence) -> str:
    """The evidence as one sentence's parts: client, HAProxy, backend."""
    parts = [_client(evidence.disconnect, evidence.idle_ns)]
    if evidence.log is not None:
        log = evidence.log
        status = f" with status {log.status}" if log.status not in (None, 101) else ""
        events = f", first event {log.root_event}" if log.root_event else ""
        parts.append(f"HAProxy logged {log.termination}{status}{events}")
    elif evidence.log_is_lost:
        parts.append("HAProxy's log line is missing")
    if evidence.backend is not None:
        who = "ended it" if evidence.backend.ended_by_backend else "saw"
        parts.append(f"the backend {who} with {evidence.backend.wire}".replace("saw with", "saw"))
    return ", ".join(parts)


def timer_words(evidence: Evidence, name: str) -> str:
    """``timeout tunnel is 5s``."""
    words = OWN_TIMERS.get(name, f"timeout {name}")
    timer_ns = evidence.timer_ns(name)
    return f"{words} is {format_duration(timer_ns)}" if timer_ns else f"{words} is not set"


_PLAN_WORDS = {
    PlanAct.CLOSE: "the plan closed it",
    PlanAct.HALF_CLOSE: "the plan shut the client's write side",
    PlanAct.STALL: "the plan made the client stop reading",
    PlanAct.VANISH: "the plan made the client vanish",
    PlanAct.RESET: "the plan reset the client's connection",
}


def _client(end: Disconnect, idle_ns: int) -> str:
    if end.wire is Wire.UNSEEN:
        return "the driver worker that held it is gone, so nobody saw its end"
    idle = f"{idle_ns / NS_PER_S:.3f} s after the last byte"
    quoted = f' "{end.close_reason}"' if end.close_reason else ""
    if end.plan is PlanAct.RESET:
        return _PLAN_WORDS[end.plan]
    seen = {
        Wire.FIN: f"FIN {idle}",
        Wire.RST: f"RST {idle}",
        Wire.CLOSE: f"close frame {end.close_code or 'without a code'}{quoted} {idle}",
        Wire.TIMEOUT: "no answer to our close within its bound",
        Wire.VANISHED: "without FIN or RST",
    }[end.wire]
    return f"{_PLAN_WORDS[end.plan]}, {seen}" if end.plan in _PLAN_WORDS else seen
