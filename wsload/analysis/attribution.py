"""Why a tunnel ended: a table of rules over the evidence, the first that applies gives the verdict.

What each cause looks like from the client, and that HAProxy never sends a close frame itself, is from
runs on HAProxy 2.6.12, 3.0.11 and 3.2.26 (haproxy-facts.md, "What each cause looks like").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wsload.record.outcome import Cause, Confidence, Wire
from wsload.record.snapshot import Disconnect
from wsload.units import NS_PER_MS, NS_PER_S, format_duration

TOLERANCE_NS = 100 * NS_PER_MS
TOLERANCE_SHARE = 0.02
"""How far idle time may lie from a timer and still be called it: 100 ms or 2 %, whichever is more. Idle
time is measured at the client: it starts up to a transit before or after HAProxy's timer does, and ends
when the client has got round to the FIN."""

LATE_NS = NS_PER_S
LATE_SHARE = 0.1
"""How far past a timer a FIN may come and still be guessed to be its: many timers that expire together
keep HAProxy and the client busy. No tunnel under that timer could have been idle for longer."""


@dataclass(frozen=True)
class Evidence:
    """All that is known about one tunnel's end. More sides (log line, backend) are more fields."""

    disconnect: Disconnect
    timers_ms: Mapping[str, int]
    """By HAProxy's names; 0 or absent is off."""

    @property
    def idle_ns(self) -> int:
        """Since the last byte either way: a byte in either direction refreshes ``timeout tunnel``."""
        return min(self.disconnect.idle_rx_ns, self.disconnect.idle_tx_ns)

    def timer_ns(self, name: str) -> int:
        """The timer in force, 0 where it is off."""
        return self.timers_ms.get(name, 0) * NS_PER_MS

    def matches(self, name: str) -> bool:
        """Whether the idle time is the timer's, within the tolerance."""
        timer_ns = self.timer_ns(name)
        return timer_ns > 0 and abs(self.idle_ns - timer_ns) <= max(TOLERANCE_NS, TOLERANCE_SHARE * timer_ns)

    def shortly_after(self, name: str) -> bool:
        """Whether the idle time lies past the timer, but not by more than a busy moment explains."""
        timer_ns = self.timer_ns(name)
        return timer_ns > 0 and timer_ns < self.idle_ns <= timer_ns + max(LATE_NS, LATE_SHARE * timer_ns)


@dataclass(frozen=True)
class Rule:
    """One row: when ``applies``, the cause is ``cause``, as surely as ``confidence``; ``say`` why."""

    cause: Cause
    confidence: Confidence
    applies: Callable[[Evidence], bool]
    say: Callable[[Evidence], str]


def _planned(evidence: Evidence) -> str:
    answer = {
        Wire.CLOSE: f"and the far side answered with close code {evidence.disconnect.close_code}",
        Wire.TIMEOUT: "and the far side did not answer in time",
        Wire.FIN: "and the far side answered with FIN, without a close frame",
        Wire.RST: "and the far side answered with RST, without a close frame",
        Wire.UNSEEN: "and nobody saw the answer",
    }
    return f"the plan closed it, {answer[evidence.disconnect.wire]}"


def _close_frame(evidence: Evidence) -> str:
    code, reason = evidence.disconnect.close_code, evidence.disconnect.close_reason
    named = "without a code" if code is None else f"code {code}"
    quoted = f' "{reason}"' if reason else ""
    return f"close frame {named}{quoted} {_idle(evidence)}; HAProxy never sends one"


def _idle(evidence: Evidence) -> str:
    return f"{evidence.idle_ns / NS_PER_S:.3f} s after the last byte"


def _setting(evidence: Evidence, name: str) -> str:
    words = "the backend's own idle close" if name == "backend-idle-close" else f"timeout {name}"
    return f"{words} is {format_duration(evidence.timer_ns(name))}"


def _tunnel_timer(evidence: Evidence) -> str:
    return f"FIN {_idle(evidence)}; {_setting(evidence, 'tunnel')}"


def _end_without_frame(evidence: Evidence) -> str:
    """Name the idle timers that the end matches beside ``timeout tunnel``, where there are any."""
    seen = f"{evidence.disconnect.wire.upper()} {_idle(evidence)}"
    names = ["backend-idle-close"]
    if not evidence.timer_ns("tunnel"):  # set, it overrides both
        names += ["client", "server"]
    matching = [_setting(evidence, name) for name in names if evidence.matches(name)]
    if matching:
        return f"{seen}; {' and '.join(matching)}"
    if evidence.timer_ns("tunnel"):
        return f"{seen}; {_setting(evidence, 'tunnel')}, which it does not match"
    return f"{seen}; no timer matches"


RULES: tuple[Rule, ...] = (
    Rule(Cause.PLANNED, Confidence.CERTAIN, lambda e: e.disconnect.planned, _planned),
    Rule(
        Cause.GENERATOR_LOST,
        Confidence.CERTAIN,
        lambda e: e.disconnect.wire is Wire.UNSEEN,
        lambda _: "the driver worker that held it is gone; nobody saw its end",
    ),
    Rule(Cause.BACKEND_CLOSE, Confidence.CERTAIN, lambda e: e.disconnect.wire is Wire.CLOSE, _close_frame),
    # Two timers of about the same length: the client alone cannot tell them apart.
    Rule(
        Cause.HAPROXY_TUNNEL_TIMEOUT,
        Confidence.GUESS,
        lambda e: e.disconnect.wire is Wire.FIN and e.matches("tunnel") and e.matches("backend-idle-close"),
        lambda e: f"{_tunnel_timer(e)}, and {_setting(e, 'backend-idle-close')}",
    ),
    Rule(
        Cause.HAPROXY_TUNNEL_TIMEOUT,
        Confidence.LIKELY,
        lambda e: e.disconnect.wire is Wire.FIN and e.matches("tunnel"),
        _tunnel_timer,
    ),
    Rule(
        Cause.HAPROXY_TUNNEL_TIMEOUT,
        Confidence.GUESS,
        lambda e: e.disconnect.wire is Wire.FIN and e.shortly_after("tunnel"),
        lambda e: f"{_tunnel_timer(e)}, so it came late",
    ),
    # HAProxy turns a backend's RST into a FIN: who ended it, the client alone cannot tell.
    Rule(Cause.PEER_FIN, Confidence.LIKELY, lambda e: e.disconnect.wire is Wire.FIN, _end_without_frame),
    Rule(Cause.PEER_RESET, Confidence.LIKELY, lambda e: e.disconnect.wire is Wire.RST, _end_without_frame),
    # Only our own closing handshake has a bound that can run out.
    Rule(
        Cause.PLANNED,
        Confidence.GUESS,
        lambda e: e.disconnect.wire is Wire.TIMEOUT,
        lambda _: "our bound on the closing handshake ran out and we aborted",
    ),
)


def first_cause(disconnect: Disconnect, timers_ms: Mapping[str, int]) -> tuple[Cause, Confidence, str]:
    """The cause of one tunnel's end, how sure it is, and one sentence with the figures that say so.

    ``timers_ms`` are the timers in force (``RunInfo.timers_ms``). Pure; every end has a verdict.
    """
    evidence = Evidence(disconnect, timers_ms)
    rule = next(rule for rule in RULES if rule.applies(evidence))
    return rule.cause, rule.confidence, rule.say(evidence)
