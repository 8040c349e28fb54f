"""Where verdicts come from beside the run's own records: what a user said, and how well a log fitted.

It stands in ``evidence.json``, so that a later report of the folder comes to the same verdicts.
History of :data:`VERSION`:
1  first.
"""

import ipaddress
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from wsload.analysis.folder import DisconnectRow
from wsload.analysis.join import SLACK_S, AddressIndex
from wsload.analysis.log_formats import LogFile, LogRecord
from wsload.errors import FolderError
from wsload.record import layout
from wsload.record.summary import Completeness

VERSION = 1

_FITTING_SHARE = 0.5
"""A log that fewer of a run's ends are in than this is asked for the reason."""
_FEWEST, _SPREAD_S = 5, 1.0
"""So many ends have to agree, the middle half of them to so much, before a clock is said to be wrong."""
_ADDRESSES = 3


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a user said of a HAProxy that wsload did not start."""

    haproxy_log: str = ""
    """Path of its log; empty: the run's own."""
    timers_ms: dict[str, int] = {}
    """Timers in force, by HAProxy's names; they take precedence over those that the run knew."""
    log_ahead_s: float = 0.0
    """By how much the clock that dated the log is ahead of the run's."""


class LogFit(msgspec.Struct, frozen=True, kw_only=True):
    """How the log that was joined read. What follows ``to_unix_s`` is known only where it did not fit."""

    formats: dict[str, int]
    """Format -> lines."""
    early: int
    """Lines written at the 101 (``option logasap``), which say nothing of an end."""
    unread_examples: list[tuple[int, str]]
    """Number and text of the first lines that could not be read."""
    from_unix_s: float = 0.0
    """First beginning and last end of what was logged; both 0 where nothing could be read."""
    to_unix_s: float = 0.0
    likely_ahead_s: float | None = None
    """By how much its clock seems to be ahead: ends of the same addresses agree on it."""
    foreign_ips: list[str] = []
    """Some clients of the log, where none of them is one of the run's."""


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """``evidence.json``."""

    v: int = VERSION
    given: Given = Given()
    log: LogFit | None = None
    """None where there was no log."""


def read_sources(folder: Path) -> Sources:
    """What stands in a run's folder; nothing where its verdicts are not made yet.

    Raises:
        FolderError: it cannot be read.
    """
    path = folder / layout.EVIDENCE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sources)
    except FileNotFoundError:
        return Sources()
    except (OSError, msgspec.MsgspecError) as error:
        raise FolderError(f"{path}: cannot be read ({error}); delete it to start over") from error


def fits(counts: Completeness) -> bool:
    """Whether a log holds so many of a run's ends that it is the right one, and read right."""
    return counts.matched >= _FITTING_SHARE * counts.ended


def fit_of(
    log: LogFile, index: AddressIndex[LogRecord], rows: Iterable[DisconnectRow], started_unix_s: float
) -> LogFit:
    """How the log fitted. ``rows`` are those to find out with why it did not; none where it did."""
    rows_ips: set[str] = set()
    ahead_s = []
    for row in rows:
        rows_ips.add(row.local_ip)
        ends_s = index.ends_s(row.local_ip, row.local_port or 0)
        if len(ends_s) == 1:
            ahead_s.append(ends_s[0] - started_unix_s - row.t_s)
    began_s, ended_s = index.span_s
    return LogFit(
        formats={str(name): count for name, count in log.read.items()},
        early=log.early,
        unread_examples=log.examples,
        from_unix_s=began_s,
        to_unix_s=ended_s,
        likely_ahead_s=_agreed_s(ahead_s),
        foreign_ips=_some(index.ips) if rows_ips and not rows_ips & index.ips else [],
    )


def _agreed_s(ahead_s: list[float]) -> float | None:
    if len(ahead_s) < _FEWEST:
        return None
    low_s, middle_s, high_s = np.quantile(ahead_s, (0.25, 0.5, 0.75))
    return float(middle_s) if high_s - low_s <= _SPREAD_S and abs(middle_s) > SLACK_S else None


def _some(ips: set[str]) -> list[str]:
    return sorted(ips, key=_by_number)[:_ADDRESSES]


def _by_number(ip: str) -> tuple[int, int, str]:
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return 9, 0, ip
    return address.version, int(address), ip
