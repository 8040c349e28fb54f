"""First causes from what the client saw."""

from typing import Any

import pytest

from wsload.analysis.attribution import first_cause
from wsload.record.outcome import Cause, Confidence, Phase, Wire
from wsload.record.snapshot import Disconnect
from wsload.units import NS_PER_MS

TUNNEL_5S = {"tunnel": 5_000, "client": 30_000, "server": 30_000}
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
        "planned": False,
    }
    return Disconnect(**(fields | changes))


@pytest.mark.parametrize(
    ("wire", "idle_ms", "timers_ms", "cause", "confidence"),
    [
        (Wire.FIN, 5003, TUNNEL_5S, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (Wire.FIN, 4901, TUNNEL_5S, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (Wire.FIN, 4899, TUNNEL_5S, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 5100, TUNNEL_5S, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (Wire.FIN, 5900, TUNNEL_5S, Cause.HAPROXY_TUNNEL_TIMEOUT, GUESS),
        (Wire.FIN, 6001, TUNNEL_5S, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 59_000, {"tunnel": 60_000}, Cause.HAPROXY_TUNNEL_TIMEOUT, LIKELY),
        (Wire.FIN, 58_500, {"tunnel": 60_000}, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 5003, {"tunnel": 0}, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 5003, {}, Cause.PEER_FIN, LIKELY),
        (Wire.FIN, 5003, TUNNEL_5S | {"backend-idle-close": 5_000}, Cause.HAPROXY_TUNNEL_TIMEOUT, GUESS),
        (Wire.RST, 5003, TUNNEL_5S, Cause.PEER_RESET, LIKELY),
        (Wire.CLOSE, 5003, TUNNEL_5S, Cause.BACKEND_CLOSE, CERTAIN),
        (Wire.UNSEEN, 5003, TUNNEL_5S, Cause.GENERATOR_LOST, CERTAIN),
        (Wire.TIMEOUT, 0, TUNNEL_5S, Cause.PLANNED, GUESS),
    ],
)
def test_a_cause_follows_from_wire_idle_time_and_timers(
    wire: Wire, idle_ms: float, timers_ms: dict[str, int], cause: Cause, confidence: Confidence
) -> None:
    assert first_cause(ended(wire, idle_ms), timers_ms)[:2] == (cause, confidence)


@pytest.mark.parametrize("wire", list(Wire))
def test_what_the_plan_closed_is_planned_whatever_the_wire_says(wire: Wire) -> None:
    cause, confidence, evidence = first_cause(ended(wire, 5000, planned=True, close_code=1000), TUNNEL_5S)
    assert (cause, confidence) == (Cause.PLANNED, CERTAIN)
    assert evidence.startswith("the plan closed it, and ")


def test_a_byte_either_way_refreshes_the_timer() -> None:
    lately_sent = ended(Wire.FIN, 5000, idle_tx_ns=200 * NS_PER_MS)
    assert first_cause(lately_sent, TUNNEL_5S)[0] is Cause.PEER_FIN
    long_unheard = ended(Wire.FIN, 5000, idle_rx_ns=90_000 * NS_PER_MS)
    assert first_cause(long_unheard, TUNNEL_5S)[0] is Cause.HAPROXY_TUNNEL_TIMEOUT


@pytest.mark.parametrize(
    ("disconnect", "timers_ms", "evidence"),
    [
        (ended(Wire.FIN, 5003), TUNNEL_5S, "FIN 5.003 s after the last byte; timeout tunnel is 5s"),
        (
            ended(Wire.FIN, 5900),
            TUNNEL_5S,
            "FIN 5.900 s after the last byte; timeout tunnel is 5s, so it came late",
        ),
        (
            ended(Wire.FIN, 30_010),
            {"client": 30_000, "server": 60_000},
            "FIN 30.010 s after the last byte; timeout client is 30s",
        ),
        (
            ended(Wire.FIN, 300),
            TUNNEL_5S,
            "FIN 0.300 s after the last byte; timeout tunnel is 5s, which it does not match",
        ),
        (ended(Wire.RST, 300), {}, "RST 0.300 s after the last byte; no timer matches"),
        (
            ended(Wire.FIN, 2001),
            TUNNEL_5S | {"backend-idle-close": 2000},
            "FIN 2.001 s after the last byte; the backend's own idle close is 2s",
        ),
        (
            ended(Wire.CLOSE, 10, close_code=1001, close_reason="going away"),
            {},
            'close frame code 1001 "going away" 0.010 s after the last byte; HAProxy never sends one',
        ),
        (
            ended(Wire.CLOSE, 10),
            {},
            "close frame without a code 0.010 s after the last byte; HAProxy never sends one",
        ),
    ],
)
def test_the_evidence_is_one_sentence_with_its_figures(
    disconnect: Disconnect, timers_ms: dict[str, int], evidence: str
) -> None:
    assert first_cause(disconnect, timers_ms)[2] == evidence
