"""Why a tunnel never opened: a table over HAProxy's answer and log line, first match wins.

Termination states are from runs on HAProxy 2.6.12, 3.0.11 and 3.2.26 (haproxy-facts.md, "What each cause
looks like"), and of the configuration manual, section 8.5.
"""

from collections.abc import Sequence

import msgspec

from wsload.analysis.folder import FailureRow, RunFolder
from wsload.analysis.log_formats import LogRecord
from wsload.record.outcome import Cause, Confidence

_NEVER_TRIED = "<NOSRV>"
_CLOCKS_AGREE_S = 0.02
_AT_ONCE_MS = 20
"""A try, of several, that takes less on average did not wait."""
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
    tried_at_once: bool = False
    """HAProxy's further tries took no time."""
    haproxy_full: bool = False
    unserved: bool = False
    """HAProxy had not accepted it when the client gave up: no line, or one that begins later."""
    say: str


CERTAIN, LIKELY, GUESS = Confidence.CERTAIN, Confidence.LIKELY, Confidence.GUESS
RULES: tuple[FailureRule, ...] = (
    FailureRule(
        cause=Cause.QUEUE_TIMEOUT,
        confidence=CERTAIN,
        status="503",
        flags="sQ",
        say="waited for a server's slot",
    ),
    FailureRule(
        cause=Cause.SERVER_DOWN,
        confidence=CERTAIN,
        status="503",
        flags="SC",
        unconnected=True,
        say="no server was up",
    ),
    # HAProxy waits a second (or timeout connect, if that is less) before it tries a server again, but not
    # where it had no local port (connect_server: SF_ERR_RESOURCE is tried again at once). Run: all three.
    FailureRule(
        cause=Cause.SOURCE_PORTS,
        confidence=LIKELY,
        status="503",
        flags="SC",
        tried_at_once=True,
        say="HAProxy had no local port toward the server (or no memory), as it did not wait to try again",
    ),
    FailureRule(
        cause=Cause.BACKEND_REFUSED,
        confidence=CERTAIN,
        status="503",
        flags="SC",
        say="the server refused the connection",
    ),
    FailureRule(
        cause=Cause.BACKEND_TIMEOUT,
        confidence=CERTAIN,
        flags="sC",
        say="the server did not accept within timeout connect",
    ),
    FailureRule(
        cause=Cause.BACKEND_TIMEOUT,
        confidence=CERTAIN,
        status="504",
        flags="sH",
        say="the server did not answer within timeout server",
    ),
    FailureRule(
        cause=Cause.BACKEND_REFUSED,
        confidence=CERTAIN,
        status="502",
        flags="SH",
        say="the server closed or reset before it answered",
    ),
    FailureRule(
        cause=Cause.BACKLOG_WAIT,
        confidence=CERTAIN,
        reason="timeout",
        unserved=True,
        haproxy_full=True,
        say="all slots were taken: the kernel accepted, HAProxy did not",
    ),
    FailureRule(
        cause=Cause.HANDSHAKE_TIMEOUT,
        confidence=LIKELY,
        reason="timeout",
        say="no answer within load.handshake_timeout",
    ),
    FailureRule(
        cause=Cause.HANDSHAKE_TIMEOUT,
        confidence=LIKELY,
        reason="unfinished",
        haproxy_full=True,
        unserved=True,
        say="still waiting when the drain began, all slots taken",
    ),
)


def attribute_failure(
    row: FailureRow,
    record: LogRecord | None,
    full_s: Sequence[tuple[float, float]],
    started_unix_s: float,
) -> tuple[Cause, Confidence, str]:
    """Cause, confidence and one sentence. ``full_s`` are the spans in which HAProxy was full."""
    full = any(begin_s <= row.t_s and row.t_s - row.waited_s <= end_s for begin_s, end_s in full_s)
    gave_up = row.reason in ("timeout", "unfinished")
    served = record is not None and not (
        gave_up and record.accept_unix_s >= started_unix_s + row.t_s - _CLOCKS_AGREE_S
    )
    seen = f"{_seen(row)}{_logged(record)}" + ("" if served or record is None else ", accepted after that")
    for rule in RULES:
        if _applies(rule, row, record, full, served):
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
        and (not rule.tried_at_once or _tried_at_once(record))
        and (not rule.haproxy_full or full)
        and (not rule.unserved or not served)
    )


def _tried_at_once(record: LogRecord | None) -> bool:
    """Several times, without a wait between."""
    if record is None or not record.retries:
        return False
    return record.total_ms <= _AT_ONCE_MS * record.retries


def _seen(row: FailureRow) -> str:
    what = f"status {row.reason}" if row.reason.isdigit() else row.reason
    return f"{what} after {row.waited_s:.3f} s"


def _logged(record: LogRecord | None) -> str:
    if record is None:
        return ""
    return f", HAProxy logged {record.termination} with status {record.status}"
