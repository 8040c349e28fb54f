"""The table of why tunnels end: rows over the evidence, of which the first that applies gives the verdict.

Each cites where it is from. "run" means: seen on HAProxy 2.6.12, 3.0.11 and 3.2.26, and again by every run of
tests/e2e/test_causes.py (docs/causes.md has the table).
"""

from wsload.analysis.end_rule import ANY, Rule, one
from wsload.record.backend_log import BackendWire
from wsload.record.layout import BACKEND_IDLE_CLOSE
from wsload.record.outcome import Cause, Confidence, PlanAct, Wire

CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
KILLED = frozenset({"K-", "D-", "KC", "DC", "KD", "DD"})
NOT_ITS_DOING = frozenset({BackendWire.FIN, BackendWire.RST, BackendWire.LOST})
CLOSED = frozenset({PlanAct.CLOSE, PlanAct.HALF_CLOSE})
ENDS = frozenset({Wire.FIN, Wire.RST})

PLANNED_RULES = (
    Rule(
        cause=Cause.GENERATOR_LOST,
        confidence=CERTAIN,
        wire=one(Wire.UNSEEN),
        plan=ANY,
        source="wsload: collector",
    ),
    Rule(cause=Cause.PLANNED, confidence=CERTAIN, plan=one(PlanAct.VANISH), source="plan"),
    Rule(
        cause=Cause.CLIENT_RESET, confidence=CERTAIN, plan=one(PlanAct.RESET), source="plan; run: client RST"
    ),
    # A half-closed tunnel that a timer had to end. 2.6 uses server-fin, 3.0.11 and 3.2.26 the tunnel timer.
    Rule(
        cause=Cause.HAPROXY_SERVER_FIN,
        confidence=CERTAIN,
        plan=one(PlanAct.HALF_CLOSE),
        flags=one("sD"),
        idle_is="server-fin",
        source="run: half-close, 2.6.12",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_FIN,
        confidence=CERTAIN,
        plan=one(PlanAct.HALF_CLOSE),
        flags=one("cD"),
        idle_is="client-fin",
        source="manual: timeout client-fin",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=CERTAIN,
        plan=one(PlanAct.HALF_CLOSE),
        flags=one("sD", "cD"),
        idle_is="tunnel",
        source="run: half-close, 3.0.11 and 3.2.26",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=CERTAIN,
        plan=one(PlanAct.HALF_CLOSE),
        flags=one("sD"),
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
        flags=one("cD", "sD", "CD", "SD"),
        note="the plan's close and this end crossed",
        source="wsload: drain",
    ),
    Rule(cause=Cause.PLANNED, confidence=CERTAIN, plan=CLOSED, source="plan"),
)
BACKEND_FRAME_RULES = (
    Rule(
        cause=Cause.BACKEND_IDLE_TIMEOUT,
        confidence=CERTAIN,
        wire=one(Wire.CLOSE),
        backend=one("idle_close"),
        note="HAProxy never sends a close frame",
        source="backend's record",
    ),
    Rule(
        cause=Cause.BACKEND_IDLE_TIMEOUT,
        confidence=LIKELY,
        wire=one(Wire.CLOSE),
        idle_is=BACKEND_IDLE_CLOSE,
        note="HAProxy never sends a close frame",
        source="run: backend idle close",
    ),
    Rule(
        cause=Cause.BACKEND_CLOSE,
        confidence=CERTAIN,
        wire=one(Wire.CLOSE),
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
        flags=one("SD", "--"),
        backend=one("rst"),
        note="HAProxy turns a backend's RST into a FIN",
        source="run: backend RST; logged ---- on 2.6.12 where a pong went just before it",
    ),
    Rule(
        cause=Cause.PEER_RESET,
        confidence=LIKELY,
        flags=one("SD"),
        backend_saw=NOT_ITS_DOING,
        note="HAProxy was cut off on its server side, and not by the backend: something between them did it",
        source="manual: 8.5, SD; backend's record",
    ),
    Rule(
        cause=Cause.BACKEND_RESET,
        confidence=CERTAIN,
        flags=one("SD", "--"),
        server_reset=True,
        note="HAProxy turns a backend's RST into a FIN",
        source="run: backend RST, bc_err from 3.0 on",
    ),
    Rule(
        cause=Cause.BACKEND_RESET,
        confidence=LIKELY,
        flags=one("SD"),
        note="HAProxy turns a backend's RST into a FIN",
        source="run: backend RST",
    ),
    Rule(
        cause=Cause.CLIENT_RESET,
        confidence=LIKELY,
        flags=one("CD", "--"),
        client_reset=True,
        note="HAProxy was reset on its client side, and not by the plan: something between them did it",
        source="run: client RST, fc_err from 3.0 on",
    ),
    Rule(
        cause=Cause.CLIENT_RESET,
        confidence=LIKELY,
        flags=one("CD"),
        note="the plan did not, so something between client and HAProxy did",
        source="run: client RST",
    ),
    # A stalled client's idle time starts when the buffers on the way are full, which only HAProxy knows.
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=CERTAIN,
        plan=one(PlanAct.STALL),
        flags=one("cD"),
        is_set=("tunnel",),
        source="run: client stops reading",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=CERTAIN,
        plan=one(PlanAct.STALL),
        flags=one("cD"),
        is_off=("tunnel",),
        source="run: client stops reading",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=CERTAIN,
        flags=one("cD", "sD"),
        idle_is="tunnel",
        source="run: tunnel timeout, idle",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=CERTAIN,
        flags=one("cD"),
        idle_is="client",
        is_off=("tunnel",),
        source="run: no timeout tunnel, client the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=CERTAIN,
        flags=one("sD"),
        idle_is="server",
        is_off=("tunnel",),
        source="run: no timeout tunnel, server the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=LIKELY,
        flags=one("cD", "sD"),
        idle_past="tunnel",
        note="it came late",
        source="run: tunnel timeout, many at once",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=GUESS,
        flags=one("cD", "sD"),
        is_set=("tunnel",),
        note="HAProxy's flags say a timer, and the idle times seen match none",
        source="manual: timeout tunnel overrides client and server",
    ),
    # Which timer ran out where no length is known: HAProxy says which side's, or that both did at once.
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=LIKELY,
        flags=one("cD"),
        root=("s7S1",),
        note="a timer of the client's side alone ran out",
        source="run: no timeout tunnel, client the smaller, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=LIKELY,
        flags=one("sD"),
        root=("S7s1",),
        note="a timer of the server's side alone ran out",
        source="run: no timeout tunnel, server the smaller, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=GUESS,
        flags=one("cD"),
        root=("s7S7",),
        note="both sides' timers ran out at once: timeout tunnel, or timeout client and server of one length",
        source="run: tunnel timeout; client and server equal; term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=GUESS,
        flags=one("cD"),
        note="HAProxy's flags say a timer of the client's side; which, is not known",
        source="manual: 8.5, cD",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=GUESS,
        flags=one("sD"),
        note="HAProxy's flags say a timer of the server's side; which, is not known",
        source="manual: 8.5, sD",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=CERTAIN,
        flags=one("--"),
        backend=one("fin", "half_open", "stop"),
        note="no close frame came",
        source="run: backend FIN",
    ),
    Rule(
        cause=Cause.PEER_FIN,
        confidence=LIKELY,
        wire=one(Wire.FIN),
        flags=one("--"),
        backend_saw=NOT_ITS_DOING,
        note="neither the plan nor the backend began it: something between client and HAProxy did",
        source="manual: 8.5, clean close; backend's record",
    ),
    Rule(
        cause=Cause.PEER_FIN,
        confidence=LIKELY,
        wire=one(Wire.FIN),
        flags=one("--"),
        root=("s2",),
        note="HAProxy's client side closed first, and not by the plan: something between them did it",
        source="run: both close, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=CERTAIN,
        flags=one("--"),
        root=("S2",),
        note="no close frame came",
        source="run: backend FIN, term_events from 3.2 on",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=LIKELY,
        flags=one("--"),
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
        backend=one("rst"),
        source="backend's record",
    ),
    Rule(
        cause=Cause.BACKEND_FIN,
        confidence=LIKELY,
        wire=ENDS,
        without_log=True,
        backend=one("fin", "half_open", "stop"),
        source="backend's record",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=LIKELY,
        wire=one(Wire.FIN),
        without_log=True,
        idle_is="tunnel",
        source="run: tunnel timeout, idle",
    ),
    Rule(
        cause=Cause.HAPROXY_CLIENT_TIMEOUT,
        confidence=LIKELY,
        wire=one(Wire.FIN),
        without_log=True,
        idle_is="client",
        is_off=("tunnel",),
        source="run: no timeout tunnel, client the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_SERVER_TIMEOUT,
        confidence=LIKELY,
        wire=one(Wire.FIN),
        without_log=True,
        idle_is="server",
        is_off=("tunnel",),
        source="run: no timeout tunnel, server the smaller",
    ),
    Rule(
        cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
        confidence=GUESS,
        wire=one(Wire.FIN),
        without_log=True,
        idle_past="tunnel",
        note="it came late",
        source="run: tunnel timeout, many at once",
    ),
    # HAProxy turns a backend's RST into a FIN: who ended it, the client alone cannot tell.
    Rule(
        cause=Cause.PEER_FIN,
        confidence=LIKELY,
        wire=one(Wire.FIN),
        note="no timer in force matches",
        source="client",
    ),
    Rule(
        cause=Cause.PEER_RESET,
        confidence=LIKELY,
        wire=one(Wire.RST),
        note="HAProxy ends tunnels with FIN, so it was something else on the way",
        source="client",
    ),
    Rule(cause=Cause.UNKNOWN, confidence=GUESS, plan=ANY, source="nothing applies"),
)
RULES: tuple[Rule, ...] = PLANNED_RULES + BACKEND_FRAME_RULES + LOG_RULES + NO_LOG_RULES
