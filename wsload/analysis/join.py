"""Joins a tunnel's three stories: the client's row, HAProxy's log line, the backend's record.

Client and HAProxy share the client's ip:port and the time; HAProxy and the backend share HAProxy's source
ip:port (``%bi:%bp``). Ports are used again, within a run and by what ran before it, so among the entries of
one address the one whose beginning lies nearest before the tunnel's is taken, never one that had ended before
the tunnel opened, and each entry is given out once.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from wsload.analysis.log_formats import LogRecord
from wsload.record.backend_log import BackendEnd as BackendLine

Entry = TypeVar("Entry")

SLACK_S = 2.0
"""How far the two ends of a connection may disagree about its beginning: a backlog may hold a client that
long before HAProxy accepts it, and a busy machine a reader before it looks at its clock."""
_EARLY_S = 0.25
_CLOCKS_AGREE_S = 0.01
"""A beginning this little after the client had its answer is still one before it, on another clock."""


class AddressIndex(Generic[Entry]):
    """Entries by address and beginning."""

    def __init__(self) -> None:
        self._by_address: dict[tuple[str, int], list[tuple[float, float, Entry]]] = {}
        self.size = 0
        self.left = 0
        """Entries not given out yet."""
        self.span_s = (0.0, 0.0)
        """First beginning and last end; both 0 while there is no entry."""

    def add(self, ip: str, port: int, began_s: float, ended_s: float, entry: Entry) -> None:
        """Entries may come in any order."""
        self._by_address.setdefault((ip, port), []).append((began_s, ended_s, entry))
        first_s, last_s = self.span_s if self.size else (began_s, ended_s)
        if began_s <= first_s or ended_s >= last_s:
            self.span_s = (min(first_s, began_s), max(last_s, ended_s))
        self.size += 1
        self.left += 1

    def take(self, ip: str, port: int, earliest_s: float, there_s: float) -> Entry | None:
        """The entry of that address that fits best; it is not given out again.

        One that began or ended outside of the bounds is another connection's. Of the others it is the one
        that began last before the tunnel was there; where none did, as clocks differ, the first after that.
        """
        entries = self._by_address.get((ip, port))
        if not entries:
            return None
        fitting = [
            (began_s <= there_s + _CLOCKS_AGREE_S, -abs(began_s - there_s), number)
            for number, (began_s, ended_s, _) in enumerate(entries)
            if earliest_s <= began_s <= there_s + SLACK_S and ended_s >= there_s - SLACK_S
        ]
        if not fitting:
            return None
        self.left -= 1
        return entries.pop(max(fitting)[2])[2]

    def ends_s(self, ip: str, port: int) -> list[float]:
        """When the entries of that address ended that were not given out."""
        return [ended_s for _, ended_s, _ in self._by_address.get((ip, port), ())]

    @property
    def ips(self) -> set[str]:
        """Of all entries, also those given out."""
        return {ip for ip, _ in self._by_address}

    def __iter__(self) -> Iterator[Entry]:
        """What is left."""
        return (entry for entries in self._by_address.values() for *_, entry in entries)


def index_log(records: Iterable[LogRecord]) -> AddressIndex[LogRecord]:
    """HAProxy's lines by client address and the second they were accepted (Unix time)."""
    index: AddressIndex[LogRecord] = AddressIndex()
    for record in records:
        index.add(record.client_ip, record.client_port, record.accept_unix_s, record.end_unix_s, record)
    return index


def read_backend_log(path: Path) -> Iterator[BackendLine]:
    """``backend-log.jsonl``; a torn last line is left out, and a run without one has no records."""
    decoder = msgspec.json.Decoder(BackendLine)
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield decoder.decode(line)


def index_backend(lines: Iterable[BackendLine]) -> AddressIndex[BackendLine]:
    """The backend's records by its peer's address and the second they began (monotonic)."""
    index: AddressIndex[BackendLine] = AddressIndex()
    for line in lines:
        index.add(line.ip, line.port, line.opened_ns / 1e9, line.ended_ns / 1e9, line)
    return index


class Joiner:
    """All evidence of one run, given out tunnel by tunnel."""

    def __init__(
        self,
        log: AddressIndex[LogRecord] | None,
        backend: AddressIndex[BackendLine],
        started_unix_s: float,
        started_monotonic_s: float,
    ) -> None:
        """``log`` is None where there is none; the starts are those of the run's time 0."""
        self.log, self.backend = log, backend
        self._unix_s, self._monotonic_s = started_unix_s, started_monotonic_s
        self.matched = self.backend_matched = 0

    def find(
        self, ip: str, port: int, began_s: float, opened_s: float
    ) -> tuple[LogRecord | None, BackendLine | None]:
        """What HAProxy and the backend say of a tunnel.

        Args:
            ip: The client's address, with ``port``.
            port: 0 where the client has none; nothing is found then.
            began_s: Earliest moment, since the run's start, at which the connection can have been accepted.
            opened_s: When the client had its 101, or gave up.
        """
        if not port:
            return None, None
        record = None
        if self.log is not None:
            opened_unix_s = self._unix_s + opened_s
            record = self.log.take(ip, port, self._unix_s + began_s - _EARLY_S, opened_unix_s)
            self.matched += record is not None
        line = self._find_backend(ip, port, record, began_s, opened_s)
        self.backend_matched += line is not None
        return record, line

    def _find_backend(
        self, ip: str, port: int, record: LogRecord | None, began_s: float, opened_s: float
    ) -> BackendLine | None:
        if record is not None:
            if record.backend_source_ip is None or not record.backend_source_port:
                return None
            ip, port = record.backend_source_ip, record.backend_source_port
        elif self.log is not None:
            return None
        opened_monotonic_s = self._monotonic_s + opened_s
        return self.backend.take(ip, port, self._monotonic_s + began_s - _EARLY_S, opened_monotonic_s)
