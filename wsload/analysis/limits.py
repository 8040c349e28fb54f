"""What bound at a level that failed: a table over what its plateau shows, first match wins.

The order is from who must be trusted first (the generator), over what is certain where it shows (HAProxy's
memory, ports and slots), to what is merely busy. Memory shows as allocations that HAProxy was refused
(``PoolFailed``); a host out of memory kills a process instead, and that makes a run invalid.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from wsload.analysis.folder import FailureRow
from wsload.analysis.plateau import is_full, outcome_of
from wsload.analysis.remedies import BUSY_WORKER
from wsload.plan.knee import Outcome
from wsload.record.layout import RunInfo
from wsload.record.outcome import Cause, Limit
from wsload.record.summary import Plateau
from wsload.units import format_count, format_share

_BUSY = 0.9
_OWN_FAILURES = ("no_port", "no_descriptor")
"""Reasons of failed handshakes that are the generator's own."""
_BACKEND_CAUSES = (Cause.BACKEND_REFUSED, Cause.BACKEND_TIMEOUT, Cause.QUEUE_TIMEOUT, Cause.SERVER_DOWN)


class Shown(NamedTuple):
    """What is known of a plateau that failed."""

    plateau: Plateau
    info: RunInfo
    reasons: Mapping[str, int]
    """Failed handshakes by reason, and by cause."""
    causes: Mapping[str, int]
    maxconn_is_derived: bool
    """HAProxy worked its maxconn out from its descriptor limit."""


Row = tuple[Limit, Callable[[Shown], str]]
"""A limit, and what says so: empty where nothing does."""


def name_limit(shown: Shown) -> tuple[Limit, str]:
    """The limit and its evidence, with the figures."""
    for limit, evidence in TABLE:
        if words := evidence(shown):
            return limit, words
    rows = ", ".join(f"{row.metric} {row.assertion}" for row in shown.plateau.slo_rows if not row.passed)
    return Limit.UNKNOWN, f"{rows} broken, and no limit shows"


def shown_of(
    plateau: Plateau, info: RunInfo, failures: Sequence[FailureRow], maxconn_is_derived: bool
) -> Shown:
    """Gathers what :func:`name_limit` needs; ``failures`` are the whole run's."""
    end_s = plateau.end_s + info.interval_s
    mine = [row for row in failures if plateau.opened_s <= row.t_s <= end_s]
    reasons, causes = Counter(row.reason for row in mine), Counter(row.cause for row in mine)
    return Shown(plateau, info, reasons, causes, maxconn_is_derived)


def _generator(shown: Shown) -> str:
    plateau = shown.plateau
    own = sum(shown.reasons.get(reason, 0) for reason in _OWN_FAILURES)
    if own:
        return f"{format_count(own)} openings found no port or descriptor of the generator's own"
    if plateau.lag_p99_ms is not None and plateau.lag_p99_ms > shown.info.lag_limit_ms:
        return f"the generator's lag p99 was {plateau.lag_p99_ms:.3g} ms"
    if plateau.driver_cpu > BUSY_WORKER:
        return f"a driver worker used {format_share(plateau.driver_cpu)} of a core"
    return ""


def _source_ports(shown: Shown) -> str:
    count = shown.causes.get(Cause.SOURCE_PORTS, 0)
    return f"{format_count(count)} handshakes: HAProxy had no free port toward the backend" if count else ""


def _memory(shown: Shown) -> str:
    count = shown.plateau.allocations_failed
    return f"HAProxy was refused memory {format_count(count)} times" if count else ""


def _slots(shown: Shown) -> str:
    plateau = shown.plateau
    if not is_full(plateau):
        return ""
    waited = shown.causes.get(Cause.BACKLOG_WAIT, 0)
    tail = f"; {format_count(waited)} clients waited in the backlog" if waited else ""
    return f"{format_count(plateau.peak_slots)} of {format_count(plateau.maxconn)} slots were taken{tail}"


def _maxconn(shown: Shown) -> str:
    return "" if shown.maxconn_is_derived else _slots(shown)


def _descriptors(shown: Shown) -> str:
    words = _slots(shown) if shown.maxconn_is_derived else ""
    return f"{words}; HAProxy worked out that maxconn from its descriptor limit" if words else ""


def _timer(shown: Shown) -> str:
    if outcome_of(shown.plateau) is not Outcome.CUT:
        return ""
    return f"only cuts broke the SLO: {format_count(shown.plateau.cuts_per_hour)} an hour, at any level"


def _haproxy_cpu(shown: Shown) -> str:
    share = shown.plateau.haproxy_cpu
    return f"HAProxy used {format_share(share)} of a core" if share > _BUSY else ""


def _backend(shown: Shown) -> str:
    count = sum(shown.causes.get(cause, 0) for cause in _BACKEND_CAUSES)
    if count:
        return f"{format_count(count)} handshakes failed at the backend"
    share = shown.plateau.backend_cpu
    return f"the backend used {format_share(share)} of a core" if share > _BUSY else ""


TABLE: tuple[Row, ...] = (
    (Limit.GENERATOR, _generator),
    (Limit.MEMORY, _memory),
    (Limit.SOURCE_PORTS, _source_ports),
    (Limit.DESCRIPTORS, _descriptors),
    (Limit.MAXCONN, _maxconn),
    (Limit.TIMER, _timer),
    (Limit.HAPROXY_CPU, _haproxy_cpu),
    (Limit.BACKEND, _backend),
)
