"""Why a tunnel never opened: a table over HAProxy's answer and log line, first match wins.

A row cites where it is from. "run" means: seen on HAProxy 2.6.12, 3.0.11 and 3.2.26, and again by every run
of tests/e2e/test_causes.py.
"""

from collections.abc import Sequence

import msgspec

from wsload.analysis.folder import FailureRow, RunFolder
from wsload.analysis.log_formats import LogFormat, LogRecord
from wsload.record.outcome import Cause, Confidence

_NEVER_TRIED = "<NOSRV>"
_CLOCKS_AGREE_S = 0.02
_NO_PORT_ERRS = frozenset({7, 8, 9})
"""``bc_err`` from HAProxy 3.0 on: none left of ``source``'s range, no such address to bind, none of the
kernel's left (src/connection.c; 7 and 9 seen)."""
_FULL_SHARE = 0.995
"""Slots in use from which HAProxy counts as full: it is sampled once an interval."""


class FailureRule(msgspec.Struct, frozen=True, kw_only=True):
    """One row; what is empty asks nothing."""

    cause: Cause
    confidence: Confidence
    status: str = ""
    flags: str = ""
    reason: str = ""
    unconnected: bool | None = None
    """Whether HAProxy ever chose a server (False) or had none to choose (True)."""
    has_source: bool | None = None
    """Whether HAProxy had an address and port of its own toward the server. Lines that do not say so fit
    neither."""
    no_port: bool = False
    """HAProxy said that it found no port: by bc_err, or before 3.0 in its announcements."""
    haproxy_full: bool = False
    unserved: bool = False
    """HAProxy had not accepted it when the client gave up: no line, or one that begins later."""
    say: str
    source: str


CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
RULES: tuple[FailureRule, ...] = (
    FailureRule(
        cause=Cause.QUEUE_TIMEOUT,
        confidence=CERTAIN,
        status="503",
        flags="sQ",
        say="waited for a server's slot",
        source="run: queue timeout",
    ),
    FailureRule(
        cause=Cause.SERVER_DOWN,
        confidence=CERTAIN,
        status="503",
        flags="SC",
        unconnected=True,
        say="no server was up",
        source="run: server in maintenance",
    ),
    FailureRule(
        cause=Cause.SOURCE_PORTS,
        confidence=CERTAIN,
        status="503",
        flags="SC",
        has_source=False,
        no_port=True,
        say="HAProxy had no free port toward the server",
        source="run: no source port left",
    ),
    FailureRule(
        cause=Cause.SOURCE_PORTS,
        confidence=LIKELY,
        status="503",
        flags="SC",
        has_source=False,
        say="HAProxy did not come so far as to have a port toward the server",
        source="run: no source port left",
    ),
    FailureRule(
        cause=Cause.BACKEND_REFUSED,
        confidence=CERTAIN,
        status="503",
        flags="SC",
        has_source=True,
        say="the server refused the connection",
        source="run: connection refused",
    ),
    FailureRule(
        cause=Cause.BACKEND_REFUSED,
        confidence=LIKELY,
        status="503",
        flags="SC",
        say="the server refused the connection, or HAProxy had no free port toward it",
        source="run: connection refused, no source port left",
    ),
    FailureRule(
        cause=Cause.BACKEND_TIMEOUT,
        confidence=CERTAIN,
        flags="sC",
        say="the server did not accept within timeout connect",
        source="manual: 8.5, sC",
    ),
    FailureRule(
        cause=Cause.BACKEND_TIMEOUT,
        confidence=CERTAIN,
        status="504",
        flags="sH",
        say="the server did not answer within timeout server",
        source="run: no 101 in time",
    ),
    FailureRule(
        cause=Cause.BACKEND_REFUSED,
        confidence=CERTAIN,
        status="502",
        flags="SH",
        say="the server closed or reset before it answered",
        source="run: closed, reset before the 101",
    ),
    FailureRule(
        cause=Cause.BACKLOG_WAIT,
        confidence=CERTAIN,
        reason="timeout",
        unserved=True,
        haproxy_full=True,
        say="all slots were taken: the kernel accepted, HAProxy did not",
        source="run: all slots taken",
    ),
    FailureRule(
        cause=Cause.HANDSHAKE_TIMEOUT,
        confidence=LIKELY,
        reason="timeout",
        say="no answer within load.handshake_timeout",
        source="client",
    ),
    FailureRule(
        cause=Cause.HANDSHAKE_TIMEOUT,
        confidence=LIKELY,
        reason="unfinished",
        haproxy_full=True,
        unserved=True,
        say="still waiting when the drain began, all slots taken",
        source="run: all slots taken",
    ),
)


def attribute_failure(
    row: FailureRow,
    record: LogRecord | None,
    full_s: Sequence[tuple[float, float]],
    started_unix_s: float,
    no_port_announced: bool = False,
) -> tuple[Cause, Confidence, str]:
    """Cause, confidence and one sentence.

    Args:
        row: The client's story.
        record: HAProxy's line, where there is one.
        full_s: The spans in which HAProxy was full.
        started_unix_s: The run's start, by the clock of the log.
        no_port_announced: HAProxy wrote in its log that it found no port toward a server.
    """
    full = any(begin_s <= row.t_s and row.t_s - row.waited_s <= end_s for begin_s, end_s in full_s)
    gave_up = row.reason in ("timeout", "unfinished")
    served = record is not None and not (
        gave_up and record.accept_unix_s >= started_unix_s + row.t_s - _CLOCKS_AGREE_S
    )
    seen = f"{_seen(row)}{_logged(record)}" + ("" if served or record is None else ", accepted after that")
    for rule in RULES:
        if _applies(rule, row, record, full, served) and (
            not rule.no_port or _no_port(record, no_port_announced)
        ):
            return rule.cause, rule.confidence, f"{seen}; {rule.say}"
    if row.reason.isdigit():
        return Cause.REFUSED_STATUS, CERTAIN, seen
    return Cause.HANDSHAKE_FAILED, CERTAIN, seen


def full_times(folder: RunFolder) -> list[tuple[float, float]]:
    """Spans, in seconds since the start, in which some HAProxy process had all its slots taken."""
    spans: list[tuple[float, float]] = []
    slack_s = 1.5 * folder.info.interval_s
    for row in folder.iter_haproxy_stats():
        if row["maxconn"] and row["slots"] >= _FULL_SHARE * row["maxconn"]:
            begin_s, end_s = row["t_s"] - slack_s, row["t_s"] + slack_s
            if spans and begin_s <= spans[-1][1]:
                spans[-1] = (spans[-1][0], end_s)
            else:
                spans.append((begin_s, end_s))
    return spans


def _applies(rule: FailureRule, row: FailureRow, record: LogRecord | None, full: bool, served: bool) -> bool:
    flags = record.termination[:2] if record is not None else ""
    untried = record is not None and record.server.endswith(_NEVER_TRIED)
    return (
        (not rule.status or row.reason == rule.status)
        and (not rule.reason or row.reason == rule.reason)
        and (not rule.flags or flags == rule.flags)
        and (rule.unconnected is None or untried is rule.unconnected)
        and (rule.has_source is None or _has_source(record) is rule.has_source)
        and (not rule.haproxy_full or full)
        and (not rule.unserved or not served)
    )


def _has_source(record: LogRecord | None) -> bool | None:
    """None where nothing says so: of the formats, only the JSON has HAProxy's own address."""
    if record is None or record.format is not LogFormat.JSON:
        return None
    return record.backend_source_ip is not None


def _no_port(record: LogRecord | None, announced: bool) -> bool:
    if record is None or record.bc_err is None:
        return announced
    return record.bc_err in _NO_PORT_ERRS


def _seen(row: FailureRow) -> str:
    what = f"status {row.reason}" if row.reason.isdigit() else row.reason
    return f"{what} after {row.waited_s:.3f} s"


def _logged(record: LogRecord | None) -> str:
    if record is None:
        return ""
    return f", HAProxy logged {record.termination} with status {record.status}"
