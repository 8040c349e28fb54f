"""Why a tunnel never opened, from made evidence; tests/e2e/test_causes.py makes the same for real."""

from typing import Any

import pytest

from wsload.analysis.folder import FailureRow
from wsload.analysis.handshakes import attribute_failure
from wsload.analysis.log_formats import LogFormat, LogRecord
from wsload.record.outcome import Cause, Confidence

START_UNIX_S = 1_000_000.0
FULL = [(0.0, 10.0)]


def failed(reason: str, waited_s: float = 1.0) -> FailureRow:
    return FailureRow(
        t_s=5.0,
        worker=0,
        cohort="idle",
        tunnel=1,
        local_ip="127.0.0.1",
        local_port=40000,
        remote="127.0.0.1:80",
        waited_s=waited_s,
        reason=reason,
    )


def logged(termination: str, status: int, **changes: Any) -> LogRecord:
    fields: dict[str, Any] = {
        "line": 1,
        "format": LogFormat.JSON,
        "client_ip": "127.0.0.1",
        "client_port": 40000,
        "accept_unix_s": START_UNIX_S + 4.0,
        "end_unix_s": START_UNIX_S + 5.0,
        "frontend": "f",
        "backend": "b",
        "server": "s1",
        "status": status,
        "termination": termination,
        "queue_ms": 0,
        "connect_ms": 0,
        "response_ms": 0,
        "total_ms": 1000,
        "bytes_to_client": 0,
    }
    return LogRecord(**(fields | changes))


@pytest.mark.parametrize(
    ("reason", "record", "full", "cause", "confidence"),
    [
        ("503", logged("sQ--", 503), [], Cause.QUEUE_TIMEOUT, Confidence.CERTAIN),
        ("503", logged("SC--", 503, server="<NOSRV>"), [], Cause.SERVER_DOWN, Confidence.CERTAIN),
        ("503", logged("SC--", 503), [], Cause.BACKEND_REFUSED, Confidence.CERTAIN),
        ("503", logged("SC--", 503, retries=3, total_ms=3002), [], Cause.BACKEND_REFUSED, Confidence.CERTAIN),
        ("503", logged("SC--", 503, retries=3, total_ms=1), [], Cause.SOURCE_PORTS, Confidence.LIKELY),
        ("503", logged("SC--", 503, retries=0, total_ms=1), [], Cause.BACKEND_REFUSED, Confidence.CERTAIN),
        ("504", logged("sH--", 504), [], Cause.BACKEND_TIMEOUT, Confidence.CERTAIN),
        ("502", logged("SH--", 502), [], Cause.BACKEND_REFUSED, Confidence.CERTAIN),
        ("403", logged("----", 403), [], Cause.REFUSED_STATUS, Confidence.CERTAIN),
        ("403", None, [], Cause.REFUSED_STATUS, Confidence.CERTAIN),
        ("timeout", None, FULL, Cause.BACKLOG_WAIT, Confidence.CERTAIN),
        (
            "timeout",
            logged("CD--", 101, accept_unix_s=START_UNIX_S + 5.5),
            FULL,
            Cause.BACKLOG_WAIT,
            Confidence.CERTAIN,
        ),
        ("timeout", None, [], Cause.HANDSHAKE_TIMEOUT, Confidence.LIKELY),
        ("timeout", logged("CH--", 0), FULL, Cause.HANDSHAKE_TIMEOUT, Confidence.LIKELY),
        ("refused", None, [], Cause.HANDSHAKE_FAILED, Confidence.CERTAIN),
    ],
)
def test_a_failed_handshake_is_named(
    reason: str,
    record: LogRecord | None,
    full: list[tuple[float, float]],
    cause: Cause,
    confidence: Confidence,
) -> None:
    assert attribute_failure(failed(reason), record, full, START_UNIX_S)[:2] == (cause, confidence)


def test_a_quick_refusal_is_not_called_late() -> None:
    at_once = logged("----", 503, accept_unix_s=START_UNIX_S + 5.0)
    words = attribute_failure(failed("503", waited_s=0.001), at_once, [], START_UNIX_S)[2]
    assert words == "status 503 after 0.001 s, HAProxy logged ---- with status 503"
