"""Why a tunnel ended: a table of rules over the evidence, the first that applies gives the verdict.

A row states what it wants of each side and cites where it is from. "run" means: seen on HAProxy 2.6.12,
3.0.11 and 3.2.26, and again by every run of tests/e2e/test_causes.py (docs/causes.md has the table).
"""

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from wsload.analysis.evidence import Evidence, timer_words, told
from wsload.record.backend_log import BackendWire
from wsload.record.outcome import Cause, Confidence, PlanAct, Wire
from wsload.record.snapshot import Disconnect

CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
KILLED = frozenset({"K-", "D-", "KC", "DC", "KD", "DD"})
NOT_ITS_DOING = frozenset({BackendWire.FIN, BackendWire.RST, BackendWire.LOST})
CLOSED = frozenset({PlanAct.CLOSE, PlanAct.HALF_CLOSE})
ENDS = frozenset({Wire.FIN, Wire.RST})
ANY: frozenset[str] = frozenset()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One row. An empty set asks nothing; all that is asked must hold."""

    cause: Cause
    confidence: Confidence
    source: str
    wire: frozenset[str] = ANY
    plan: frozenset[str] = frozenset({PlanAct.NOTHING, PlanAct.STALL})
    flags: frozenset[str] = ANY
    """HAProxy's first two flags."""
    without_log: bool = False
    backend: frozenset[str] = ANY
    """How the backend ended it."""
    backend_saw: frozenset[str] = ANY
    """What ended it in the backend's eyes, which did nothing itself."""
    root: tuple[str, ...] = ()
    """What the session's term_events begin with."""
    client_reset: bool = False
    """By fc_err."""
    server_reset: bool = False
    """By bc_err."""
    idle_is: str = ""
    """The timer that an idle time must match."""
    idle_past: str = ""
    """The timer that an idle time must lie shortly past."""
    is_set: tuple[str, ...] = ()
    is_off: tuple[str, ...] = ()
    haproxy_ended: bool = False
    note: str = ""

    def admits(self, wire: str, plan: str, flags: str) -> bool:
        """Whether what the row asks of these three holds; :meth:`applies` asks the rest."""
        return (
            (not self.wire or wire in self.wire)
            and (not self.plan or plan in self.plan)
            and (not self.flags or flags in self.flags)
        )

    def applies(self, evidence: Evidence) -> bool:
        """Whether the rest of what the row asks holds."""
        log = evidence.log
        return (
            (not self.without_log or log is None)
            and (not self.backend or evidence.backend_did in self.backend)
            and (not self.backend_saw or evidence.backend_saw in self.backend_saw)
            and (not self.root or (log is not None and log.events.startswith(self.root)))
            and (not self.client_reset or (log is not None and log.client_reset))
            and (not self.server_reset or (log is not None and log.server_reset))
            and (not self.idle_is or evidence.matches(self.idle_is))
            and (not self.idle_past or evidence.shortly_after(self.idle_past))
            and (not self.is_set or all(evidence.timer_ns(name) for name in self.is_set))
            and (not self.is_off or not any(evidence.timer_ns(name) for name in self.is_off))
            and (not self.haproxy_ended or evidence.haproxy_ended)
        )

    def sentence(self, evidence: Evidence) -> str:
        """The evidence, the timer that decided, and the row's note."""
        timer = self.idle_is or self.idle_past
        parts = [told(evidence)] + ([timer_words(evidence, timer)] if timer else [])
        return "; ".join(parts + ([self.note] if self.note else []))


def _one(*flags: str) -> frozenset[str]:
    return frozenset(flags)


PLANNED_RULES = (
    Rule(
        cause=Cause.GENERATOR_LOST,
        confidence=CERTAIN,
        wire=_one(Wire.UNSEEN),
        plan=ANY,
        source="wsload: collector",
    ),
    Rule(cause=Cause.PLANNED, confidence=CERTAIN, plan=_one(PlanAct.VANISH), source="plan"),
    Rule(
        cause=Cause.CLIENT_RESET, confidence=CERTAIN, plan=_one(PlanAct.RESET), source="plan; run: client RST"
    ),
    # A half-closed tunnel that a timer had to end. 2.6 uses server-fin, 3.0.11 and 3.2.26 the tunnel timer.
    Rule(
        cause=Cause.HAPROXY_SERVER_FIN,
        confidence=CERTAIN,
        plan=_one(PlanAct.HALF_CLOSE),
        flags=_one("sD"),
        idle_is="server-fin",
        source="run: half-close, 2.6.12",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_FIN,
        confidence=CERTAIN,
        plan=_one(PlanAct.HALF_CLOSE),
        flags=_one("cD"),
        idle_is="client-fin",
        source="manual: timeout client-fin",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=CERTAIN,
        plan=_one(PlanAct.HALF_CLOSE),
        flags=_one("sD", "cD"),
        idle_is="tunnel",
        source="run: half-close, 3.0.11 and 3.2.26",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=CERTAIN,
        plan=_one(PlanAct.HALF_CLOSE),
        flags=_one("sD"),
        idle_is="server",
        is_off=("tunnel",),
        source="manual: timeout tunnel, fall-back to client and server",
    ),
    Rule(
        cause=Cause.HAPROXY_KILLED, confidence=CERTAIN, plan=CLOSED, flags=KILLED, source="run: K and D flags"
    ),
    Rule(
        cause=Cause.PLANNED,
        confidence=LIKELY,
        plan=CLOSED,
        wire=ENDS,
        flags=_one("cD", "sD", "CD", "SD"),
        note="the plan's close and this end crossed",
        source="wsload: drain",
    ),
    Rule(cause=Cause.PLANNED, confidence=CERTAIN, plan=CLOSED, source="plan"),
)
BACKEND_FRAME_RULES = (
    Rule(
        cause=Cause.BACKEND_IDLE_TIMEOUT,
        confidence=CERTAIN,
        wire=_one(Wire.CLOSE),
        backend=_one("idle_close"),
        note="HAProxy never sends a close frame",
        source="backend's record",
    ),
    Rule(
        cause=Cause.BACKEND_IDLE_TIMEOUT,
        confidence=LIKELY,
        wire=_one(Wire.CLOSE),
        idle_is="backend-idle-close",
        note="HAProxy never sends a close frame",
        source="run: backend idle close",
    ),
    Rule(
        cause=Cause.BACKEND_CLOSE,
        confidence=CERTAIN,
        wire=_one(Wire.CLOSE),
        note="HAProxy never sends a close frame",
        source="run: backend FIN with a close frame",
    ),
)
LOG_RULES = (
    Rule(cause=Cause.HAPROXY_KILLED, confidence=CERTAIN, flags=KILLED, source="run: K and D flags"),
    # A reset right behind data: HAProxy reads the data, then an end that it may take for a clean one.
    Rule(
        cause=Cause.BACKEND_RESET,
        confidence=CERTAIN,
        flags=_one("SD", "--"),
        backend=_one("rst"),
        note="HAProxy turns a backend's RST into a FIN",
        source="run: backend RST; logged ---- on 2.6.12 where a pong went just before it",
    ),
    Rule(
        cause=Cause.PEER_RESET,
        confidence=LIKELY,
        flags=_one("SD"),
        backend_saw=NOT_ITS_DOING,
        note="HAProxy was cut off on its server side, and not by the backend: something between them did it",
        source="manual: 8.5, SD; backend's record",
    ),
    Rule(
        cause=Cause.BACKEND_RESET,
        confidence=CERTAIN,
        flags=_one("SD", "--"),
        server_reset=True,
        note="HAProxy turns a backend's RST into a FIN",
        source="run: backend RST, bc_err from 3.0 on",
    ),
    Rule(
        cause=Cause.BACKEND_RESET,
        confidence=LIKELY,
        flags=_one("SD"),
        note="HAProxy turns a backend's RST into a FIN",
        source="run: backend RST",
    ),
    Rule(
        cause=Cause.CLIENT_RESET,
        confidence=LIKELY,
        flags=_one("CD", "--"),
        client_reset=True,
        note="HAProxy was reset on its client side, and not by the plan: something between them did it",
        source="run: client RST, fc_err from 3.0 on",
    ),
    Rule(
        cause=Cause.CLIENT_RESET,
        confidence=LIKELY,
        flags=_one("CD"),
        note="the plan did not, so something between client and HAProxy did",
        source="run: client RST",
    ),
    # A stalled client's idle time starts when the buffers on the way are full, which only HAProxy knows.
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=CERTAIN,
        plan=_one(PlanAct.STALL),
        flags=_one("cD"),
        is_set=("tunnel",),
        source="run: client stops reading",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=CERTAIN,
        plan=_one(PlanAct.STALL),
        flags=_one("cD"),
        is_off=("tunnel",),
        source="run: client stops reading",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=CERTAIN,
        flags=_one("cD", "sD"),
        idle_is="tunnel",
        source="run: tunnel timeout, idle",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=CERTAIN,
        flags=_one("cD"),
        idle_is="client",
        is_off=("tunnel",),
        source="run: no timeout tunnel, client the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=CERTAIN,
        flags=_one("sD"),
        idle_is="server",
        is_off=("tunnel",),
        source="run: no timeout tunnel, server the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=LIKELY,
        flags=_one("cD", "sD"),
        idle_past="tunnel",
        note="it came late",
        source="run: tunnel timeout, many at once",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=GUESS,
        flags=_one("cD", "sD"),
        is_set=("tunnel",),
        note="HAProxy's flags say a timer, and the idle times seen match none",
        source="manual: timeout tunnel overrides client and server",
    ),
    # Which timer ran out where no length is known: HAProxy says which side's, or that both did at once.
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=LIKELY,
        flags=_one("cD"),
        root=("s7S1",),
        note="a timer of the client's side alone ran out",
        source="run: no timeout tunnel, client the smaller, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=LIKELY,
        flags=_one("sD"),
        root=("S7s1",),
        note="a timer of the server's side alone ran out",
        source="run: no timeout tunnel, server the smaller, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=GUESS,
        flags=_one("cD"),
        root=("s7S7",),
        note="both sides' timers ran out at once: timeout tunnel, or timeout client and server of one length",
        source="run: tunnel timeout; client and server equal; term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=GUESS,
        flags=_one("cD"),
        note="HAProxy's flags say a timer of the client's side; which, is not known",
        source="manual: 8.5, cD",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=GUESS,
        flags=_one("sD"),
        note="HAProxy's flags say a timer of the server's side; which, is not known",
        source="manual: 8.5, sD",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=CERTAIN,
        flags=_one("--"),
        backend=_one("fin", "half_open", "stop"),
        note="no close frame came",
        source="run: backend FIN",
    ),
    Rule(
        cause=Cause.PEER_FIN,
        confidence=LIKELY,
        wire=_one(Wire.FIN),
        flags=_one("--"),
        backend_saw=NOT_ITS_DOING,
        note="neither the plan nor the backend began it: something between client and HAProxy did",
        source="manual: 8.5, clean close; backend's record",
    ),
    Rule(
        cause=Cause.PEER_FIN,
        confidence=LIKELY,
        wire=_one(Wire.FIN),
        flags=_one("--"),
        root=("s2",),
        note="HAProxy's client side closed first, and not by the plan: something between them did it",
        source="run: both close, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=CERTAIN,
        flags=_one("--"),
        root=("S2",),
        note="no close frame came",
        source="run: backend FIN, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=LIKELY,
        flags=_one("--"),
        note="a clean end that the client did not begin, so the backend did",
        source="run: backend FIN",
    ),
)
NO_LOG_RULES = (
    Rule(
        cause=Cause.HAPROXY_KILLED,
        confidence=CERTAIN,
        wire=ENDS,
        without_log=True,
        haproxy_ended=True,
        note="the HAProxy process ended then, and logs nothing for its live tunnels",
        source="run: SIGTERM, SIGKILL",
    ),
    Rule(
        cause=Cause.BACKEND_RESET,
        confidence=LIKELY,
        wire=ENDS,
        without_log=True,
        backend=_one("rst"),
        source="backend's record",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=LIKELY,
        wire=ENDS,
        without_log=True,
        backend=_one("fin", "half_open", "stop"),
        source="backend's record",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=LIKELY,
        wire=_one(Wire.FIN),
        without_log=True,
        idle_is="tunnel",
        source="run: tunnel timeout, idle",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=LIKELY,
        wire=_one(Wire.FIN),
        without_log=True,
        idle_is="client",
        is_off=("tunnel",),
        source="run: no timeout tunnel, client the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=LIKELY,
        wire=_one(Wire.FIN),
        without_log=True,
        idle_is="server",
        is_off=("tunnel",),
        source="run: no timeout tunnel, server the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=GUESS,
        wire=_one(Wire.FIN),
        without_log=True,
        idle_past="tunnel",
        note="it came late",
        source="run: tunnel timeout, many at once",
    ),
    # HAProxy turns a backend's RST into a FIN: who ended it, the client alone cannot tell.
    Rule(
        cause=Cause.PEER_FIN,
        confidence=LIKELY,
        wire=_one(Wire.FIN),
        note="no timer in force matches",
        source="client",
    ),
    Rule(
        cause=Cause.PEER_RESET,
        confidence=LIKELY,
        wire=_one(Wire.RST),
        note="HAProxy ends tunnels with FIN, so it was something else on the way",
        source="client",
    ),
    Rule(cause=Cause.UNKNOWN, confidence=GUESS, plan=ANY, source="nothing applies"),
)
RULES: tuple[Rule, ...] = PLANNED_RULES + BACKEND_FRAME_RULES + LOG_RULES + NO_LOG_RULES


@lru_cache
def _rules_for(wire: str, plan: str, flags: str) -> tuple[Rule, ...]:
    """The rows that may apply: of these three few combinations occur, and they exclude most rows."""
    return tuple(rule for rule in RULES if rule.admits(wire, plan, flags))


def attribute(evidence: Evidence) -> tuple[Cause, Confidence, str]:
    """The cause of one tunnel's end, how sure it is, and one sentence with the figures that say so.

    Pure; every end has a verdict. A log line that should be there and is not lowers the confidence of what
    is concluded without it.
    """
    end = evidence.disconnect
    rules = _rules_for(end.wire, end.plan, evidence.flags)
    rule = next(rule for rule in rules if rule.applies(evidence))
    confidence = rule.confidence
    if evidence.log_is_lost and confidence is LIKELY:
        confidence = GUESS
    return rule.cause, confidence, rule.sentence(evidence)


def first_cause(disconnect: Disconnect, timers_ms: Mapping[str, int]) -> tuple[Cause, Confidence, str]:
    """The verdict from the client's side alone, while the run lasts; :func:`attribute` knows more later."""
    return attribute(Evidence(disconnect, timers_ms))
