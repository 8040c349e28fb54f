"""The rule table, row by row, from made evidence; tests/e2e/test_causes.py makes the same ends for real."""

from typing import Any

import pytest

from wsload.analysis.attribution import attribute, first_cause
from wsload.analysis.end_rules import RULES
from wsload.analysis.evidence import BackendEnd, Evidence, HaproxyEnd
from wsload.record.outcome import Cause, Confidence, Phase, PlanAct, Wire
from wsload.record.snapshot import Disconnect
from wsload.units import NS_PER_MS

TUNNEL_5S = {"tunnel": 5_000, "client": 30_000, "server": 30_000}
NO_TUNNEL = {"client": 3_000, "server": 4_000}
CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS


def ended(wire: Wire, idle_ms: float = 0, **changes: Any) -> Disconnect:
    fields: dict[str, Any] = {
        "t_ns": 0,
        "tunnel": 1,
        "cohort": "idle",
        "local_ip": "127.0.0.2",
        "local_port": 40000,
        "remote": "127.0.0.1:8080",
        "phase": Phase.HOLD,
        "age_ns": 10**11,
        "idle_rx_ns": int(idle_ms * NS_PER_MS),
        "idle_tx_ns": int(idle_ms * NS_PER_MS),
        "wire": wire,
        "close_code": None,
        "close_reason": "",
        "plan": PlanAct.NOTHING,
    }
    return Disconnect(**(fields | changes))


def logged(termination: str, **more: Any) -> HaproxyEnd:
    return HaproxyEnd(termination, 101, **more)


def backend(wire: str, idle_ms: float = 0, by_backend: bool = True) -> BackendEnd:
    return BackendEnd(by_backend, wire, int(idle_ms * NS_PER_MS))


@pytest.mark.parametrize(
    ("wire", "idle_ms", "timers_ms", "cause", "confidence"),
    [
        (Wire.FIN, 5003, TUNNEL_5S, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (Wire.FIN, 4901, TUNNEL_5S, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (Wire.FIN, 4899, TUNNEL_5S, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 5900, TUNNEL_5S, Cause.HAPROXY_TUNNEL_TIMEOUT, GUESS),
        (Wire.FIN, 6001, TUNNEL_5S, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 59_000, {"tunnel": 60_000}, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (Wire.FIN, 58_500, {"tunnel": 60_000}, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 5003, {"tunnel": 0}, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 5003, {}, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 3003, NO_TUNNEL, Cause.HAPROXY_CLIENT_TIMEOUT, LIKELY),
        (Wire.FIN, 4003, NO_TUNNEL, Cause.HAPROXY_SERVER_TIMEOUT, LIKELY),
        (Wire.RST, 5003, TUNNEL_5S, Cause.PEER_RESET, LIKELY),
        (Wire.CLOSE, 5003, TUNNEL_5S, Cause.BACKEND_CLOSE, CERTAIN),
        (Wire.CLOSE, 2003, {"backend-idle-close": 2_000}, Cause.BACKEND_IDLE_TIMEOUT, LIKELY),
        (Wire.UNSEEN, 5003, TUNNEL_5S, Cause.GENERATOR_LOST, CERTAIN),
        (Wire.TIMEOUT, 0, TUNNEL_5S, Cause.UNKNOWN, GUESS),
    ],
)
def test_without_a_log_a_cause_follows_from_wire_idle_time_and_timers(
    wire: Wire, idle_ms: float, timers_ms: dict[str, int], cause: Cause, confidence: Confidence
) -> None:
    assert first_cause(ended(wire, idle_ms), timers_ms)[:2] == (cause, confidence)


@pytest.mark.parametrize(
    ("end", "timers_ms", "log", "seen", "cause", "confidence"),
    [
        (ended(Wire.FIN, 5003), TUNNEL_5S, logged("cD--"), None, Cause.HAPROXY_TUNNEL_TIMEOUT, CERTAIN),
        (ended(Wire.FIN, 5600), TUNNEL_5S, logged("cD--"), None, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (ended(Wire.FIN, 1234), TUNNEL_5S, logged("cD--"), None, Cause.HAPROXY_TUNNEL_TIMEOUT, GUESS),
        (ended(Wire.FIN, 3003), NO_TUNNEL, logged("cD--"), None, Cause.HAPROXY_CLIENT_TIMEOUT, CERTAIN),
        (ended(Wire.FIN, 4003), NO_TUNNEL, logged("sD--"), None, Cause.HAPROXY_SERVER_TIMEOUT, CERTAIN),
        (ended(Wire.FIN, 900), {}, logged("cD--"), None, Cause.HAPROXY_CLIENT_TIMEOUT, GUESS),
        (ended(Wire.FIN), TUNNEL_5S, logged("K---"), None, Cause.HAPROXY_KILLED, CERTAIN),
        (ended(Wire.FIN), TUNNEL_5S, logged("KC--"), None, Cause.HAPROXY_KILLED, CERTAIN),
        (ended(Wire.FIN), TUNNEL_5S, logged("D---"), None, Cause.HAPROXY_KILLED, CERTAIN),
        (ended(Wire.FIN), TUNNEL_5S, logged("SD--"), backend("rst"), Cause.BACKEND_RESET, CERTAIN),
        (
            ended(Wire.FIN),
            TUNNEL_5S,
            logged("SD--", server_reset=True),
            None,
            Cause.BACKEND_RESET,
            CERTAIN,
        ),
        (ended(Wire.FIN), TUNNEL_5S, logged("SD--"), None, Cause.BACKEND_RESET, LIKELY),
        # A reset right behind data: HAProxy reads the data, then an end that looks clean.
        (ended(Wire.FIN), TUNNEL_5S, logged("----"), backend("rst"), Cause.BACKEND_RESET, CERTAIN),
        (
            ended(Wire.FIN),
            TUNNEL_5S,
            logged("----", server_reset=True),
            None,
            Cause.BACKEND_RESET,
            CERTAIN,
        ),
        # What the backend saw is not what it did: then a box on the way did it.
        (ended(Wire.FIN), TUNNEL_5S, logged("SD--"), backend("rst", 0, False), Cause.PEER_RESET, LIKELY),
        (ended(Wire.FIN), TUNNEL_5S, logged("----"), backend("fin", 0, False), Cause.PEER_FIN, LIKELY),
        (ended(Wire.FIN), TUNNEL_5S, logged("----", events="s2S2"), None, Cause.PEER_FIN, LIKELY),
        (ended(Wire.RST), TUNNEL_5S, logged("----", client_reset=True), None, Cause.CLIENT_RESET, LIKELY),
        # Lengths unknown: HAProxy says whose timer it was.
        (ended(Wire.FIN, 900), {}, logged("cD--", events="s7S1"), None, Cause.HAPROXY_CLIENT_TIMEOUT, LIKELY),
        (ended(Wire.FIN, 900), {}, logged("sD--", events="S7s1"), None, Cause.HAPROXY_SERVER_TIMEOUT, LIKELY),
        (ended(Wire.FIN, 900), {}, logged("cD--", events="s7S7"), None, Cause.HAPROXY_TUNNEL_TIMEOUT, GUESS),
        (ended(Wire.RST), TUNNEL_5S, logged("CD--"), None, Cause.CLIENT_RESET, LIKELY),
        (ended(Wire.FIN), TUNNEL_5S, logged("----"), backend("fin"), Cause.BACKEND_FIN, CERTAIN),
        (ended(Wire.FIN), TUNNEL_5S, logged("----", events="S2s1"), None, Cause.BACKEND_FIN, CERTAIN),
        (ended(Wire.FIN), TUNNEL_5S, logged("----"), None, Cause.BACKEND_FIN, LIKELY),
        (
            ended(Wire.CLOSE, 10),
            TUNNEL_5S,
            logged("----"),
            backend("idle_close"),
            Cause.BACKEND_IDLE_TIMEOUT,
            CERTAIN,
        ),
        (ended(Wire.CLOSE, 10), TUNNEL_5S, logged("----"), backend("close"), Cause.BACKEND_CLOSE, CERTAIN),
        (
            ended(Wire.FIN, 10, plan=PlanAct.STALL),
            TUNNEL_5S,
            logged("cD--"),
            None,
            Cause.HAPROXY_TUNNEL_TIMEOUT,
            CERTAIN,
        ),
    ],
)
def test_the_log_and_the_backend_name_the_cause(
    end: Disconnect,
    timers_ms: dict[str, int],
    log: HaproxyEnd,
    seen: BackendEnd | None,
    cause: Cause,
    confidence: Confidence,
) -> None:
    assert attribute(Evidence(end, timers_ms, log, seen))[:2] == (cause, confidence)


@pytest.mark.parametrize(
    ("termination", "idle_tx_ms", "cause"),
    [
        ("sD--", 2003, Cause.HAPROXY_SERVER_FIN),
        ("sD--", 5003, Cause.HAPROXY_TUNNEL_TIMEOUT),
        ("----", 3, Cause.PLANNED),
    ],
)
def test_a_half_closed_tunnels_end_is_measured_from_its_own_fin(
    termination: str, idle_tx_ms: int, cause: Cause
) -> None:
    end = ended(Wire.FIN, 9000, idle_tx_ns=idle_tx_ms * NS_PER_MS, plan=PlanAct.HALF_CLOSE)
    timers_ms = TUNNEL_5S | {"server-fin": 2_000, "client-fin": 1_000}
    assert attribute(Evidence(end, timers_ms, logged(termination)))[:2] == (cause, CERTAIN)


@pytest.mark.parametrize("wire", [wire for wire in Wire if wire is not Wire.UNSEEN])
def test_what_the_plan_closed_is_planned_whatever_the_wire_says(wire: Wire) -> None:
    end = ended(wire, 5003, close_code=1000, plan=PlanAct.CLOSE)
    assert first_cause(end, TUNNEL_5S)[:2] == (Cause.PLANNED, CERTAIN)


def test_a_ghost_is_planned_however_haproxy_got_rid_of_it() -> None:
    end = ended(Wire.VANISHED, plan=PlanAct.VANISH)
    for termination in ("cD--", "CD--"):
        assert attribute(Evidence(end, TUNNEL_5S, logged(termination)))[:2] == (Cause.PLANNED, CERTAIN)


def test_a_message_sent_as_the_timer_fired_does_not_hide_the_timer() -> None:
    end = ended(Wire.FIN, 5003, idle_tx_ns=0)
    assert first_cause(end, TUNNEL_5S)[0] is Cause.PEER_FIN
    assert attribute(Evidence(end, TUNNEL_5S, logged("cD--")))[:2] == (
        Cause.HAPROXY_TUNNEL_TIMEOUT,
        CERTAIN,
    )


def test_a_missing_log_line_lowers_confidence_and_invents_no_cause() -> None:
    lost = Evidence(ended(Wire.FIN, 5003), TUNNEL_5S, log_is_lost=True)
    cause, confidence, words = attribute(lost)
    assert (cause, confidence) == (Cause.HAPROXY_TUNNEL_TIMEOUT, GUESS)
    assert "log line is missing" in words


def test_the_end_of_the_process_explains_its_tunnels() -> None:
    end = Evidence(ended(Wire.FIN, 700), TUNNEL_5S, log_is_lost=True, haproxy_ended=True)
    assert attribute(end)[:2] == (Cause.HAPROXY_KILLED, CERTAIN)


@pytest.mark.parametrize(
    ("evidence", "words"),
    [
        (
            Evidence(ended(Wire.FIN, 5003), TUNNEL_5S, logged("cD--"), backend("fin", 5002, False)),
            "FIN 5.003 s after the last byte, HAProxy logged cD--, the backend saw fin; timeout tunnel is 5s",
        ),
        (
            Evidence(ended(Wire.CLOSE, 10, close_code=1001, close_reason="away"), {}),
            'close frame 1001 "away" 0.010 s after the last byte; HAProxy never sends a close frame',
        ),
        (
            Evidence(ended(Wire.FIN), {}, HaproxyEnd("KC--", 500)),
            "FIN 0.000 s after the last byte, HAProxy logged KC-- with status 500",
        ),
    ],
)
def test_the_evidence_is_one_sentence_with_its_figures(evidence: Evidence, words: str) -> None:
    assert attribute(evidence)[2] == words


def test_every_row_cites_its_source_and_every_end_has_a_verdict() -> None:
    assert all(rule.source for rule in RULES)
    for wire in Wire:
        for plan in PlanAct:
            assert first_cause(ended(wire, 77, plan=plan), {})[2]
