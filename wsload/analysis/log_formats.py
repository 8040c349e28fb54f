"""HAProxy log files read line by line: wsload's JSON, ``option httplog`` and ``option tcplog``, also mixed.

A line may stand behind what syslog put before it (RFC 3164, RFC 5424, ISO stamps, journald's prefix). Formats
are those of the configuration manual, section 8.2, and of lines from HAProxy 2.6.12, 3.0.11 and 3.2.26.
``option httpslog`` is httplog with more behind it and read as that.

**Time zone.** HAProxy writes local time and no zone. Where the header before a line has a time with a zone,
that moment is the line's end to well within a quarter of an hour, so the zone of the date follows from both,
whatever machine wrote the header. Else the date is taken as in the zone that :func:`read_log` is given, or
in this machine's. In the hour that is repeated when summer ends, the first is taken.
"""

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from pathlib import Path
from typing import IO

import msgspec

from wsload.errors import FolderError

EXAMPLES = 5
"""How many lines that could not be read are kept to show."""
_EXAMPLE_CHARS = 200
_LONGEST_LINE = 65536
_QUARTER_HOUR_S = 900
_FURTHEST_ZONE_S = 15 * 3600


class LogFormat(StrEnum):
    """What a line was recognised as."""

    JSON = "wsload's JSON"
    HTTP = "option httplog"
    TCP = "option tcplog"


class LogRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One tunnel, request or TCP session. Spans are None where HAProxy writes -1: it never came so far."""

    line: int
    """Number of its line in the file, from 1."""
    format: LogFormat
    client_ip: str
    client_port: int
    accept_unix_s: float
    """``option httplog`` dates the request, not the connection: later by what the client took to send it."""
    end_unix_s: float
    """To the millisecond: the line's date and its last timer."""
    frontend: str
    backend: str
    server: str
    """``<NOSRV>`` where none was chosen."""
    status: int | None
    termination: str
    """As written: ``cD--``, of TCP ``cD``."""
    queue_ms: int | None
    """``Tw``."""
    connect_ms: int | None
    """``Tc``."""
    response_ms: int | None
    """``Tr``: to the 101. None of TCP."""
    total_ms: int
    """``Ta`` (from the request), of TCP ``Tt`` (from accept)."""
    bytes_to_client: int
    backend_source_ip: str | None = None
    """HAProxy's own address toward the server; only the JSON says it, as all below."""
    backend_source_port: int | None = None
    fc_err: int | None = None
    """Error of the client's connection (HAProxy 3.0 and later), 0 for none."""
    bc_err: int | None = None
    term_events: str | None = None
    """HAProxy 3.2 and later."""


class _JsonLine(msgspec.Struct, gc=False):
    """The fields of the managed HAProxy's ``log-format`` that records are made of."""

    ts: str
    t: str
    ci: str
    cp: int
    Tt: int
    st: int = -1
    Tw: int = -1
    Tc: int = -1
    Tr: int = -1
    Ta: int | None = None
    B: int = 0
    bi: str = "-"
    bp: str = "-"
    f: str = ""
    b: str = ""
    s: str = ""
    fc_err: str | None = None
    bc_err: str | None = None
    term_events: str | None = None


class _Wrapped(msgspec.Struct, gc=False):
    """A line inside JSON: what was none in ``haproxy-log.jsonl``, or a message of ``journalctl -o json``."""

    raw: str | None = None
    MESSAGE: str | None = None


_DATE = r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d\.\d{3})\]"
_WHO = rf"(?<![^\s<>])([^\s<>]+):(\d+) {_DATE} (\S+) ([^\s/]+)/(\S+) "
_LOADS = r" \d+/\d+/\d+/\d+/\+?\d+ \d+/\d+"
_SPAN, _GROWING = r"(-1|\d+)", r"(\+?)(\d+)"
_HTTP = re.compile(
    _WHO + rf"-?\d+/{_SPAN}/{_SPAN}/{_SPAN}/{_GROWING} (-1|\d+) {_GROWING} \S+ \S+ ([A-Za-z-]{{4}}){_LOADS}"
)
_TCP = re.compile(_WHO + rf"{_SPAN}/{_SPAN}/{_GROWING} {_GROWING} ([A-Za-z-]{{2}}){_LOADS}")
_NO_PORT = re.compile(
    r"Connect\(\) failed for backend \S+: no free ports|Cannot bind to source address before connect"
)
"""What HAProxy announces then (src/proto_tcp.c)."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?:Z|[+-]\d\d:?\d\d)")


class LogFile:
    """A log file being read. What is counted is complete once :meth:`records` has come to its end."""

    def __init__(self, path: Path, zone: tzinfo | None = None) -> None:
        self.path = path
        self.read: Counter[LogFormat] = Counter()
        self.notices = 0
        """Lines of ``haproxy-log.jsonl`` that are HAProxy's own announcements."""
        self.no_port_announced = False
        """Whether HAProxy wrote that it found no port of its own toward a server."""
        self.early = 0
        """Lines written at the 101 (``option logasap``): they say nothing of the end, and are left out."""
        self.unread = 0
        self.examples: list[tuple[int, str]] = []
        """Number and text of the first lines that could not be read, cut to 200 characters."""
        self._clock = _Clock(zone)
        self._json = msgspec.json.Decoder(_JsonLine, strict=False)
        self._wrapped = msgspec.json.Decoder(_Wrapped)

    def records(self) -> Iterator[LogRecord]:
        """Each line that can be read, in the file's order, in bounded memory. Call once.

        Raises:
            FolderError: the file cannot be read.
        """
        try:
            with _open(self.path) as file:
                number = 0
                while text := file.readline(_LONGEST_LINE):
                    number += 1
                    record = self._record(number, text)
                    if record is not None:
                        self.read[record.format] += 1
                        yield record
        except (OSError, EOFError) as error:
            why = getattr(error, "strerror", None) or error
            raise FolderError(
                f"{self.path}: cannot be read: {why}; name HAProxy's log with --haproxy-log"
            ) from error

    def _record(self, number: int, text: str) -> LogRecord | None:
        brace = text.find('{"')
        if brace >= 0:
            json = text[brace:].encode()
            try:
                return self._from_json(number, text[:brace], self._json.decode(json))
            except (msgspec.MsgspecError, ValueError):
                inner = self._unwrapped(json)
                if inner is not None:
                    return self._from_text(number, inner, is_notice=brace == 0 and '"raw"' in text[:8])
        return self._from_text(number, text) if text.strip() else None

    def _unwrapped(self, json: bytes) -> str | None:
        try:
            wrapped = self._wrapped.decode(json)
        except (msgspec.MsgspecError, ValueError):
            return None
        return wrapped.raw or wrapped.MESSAGE

    def _from_json(self, number: int, header: str, line: _JsonLine) -> LogRecord:
        total_ms = line.Tt if line.Ta is None else line.Ta
        end_unix_s = self._clock.unix_s(line.t, total_ms, header) + total_ms / 1000
        return LogRecord(
            line=number,
            format=LogFormat.JSON,
            client_ip=line.ci,
            client_port=line.cp,
            accept_unix_s=end_unix_s - line.Tt / 1000,
            end_unix_s=end_unix_s,
            frontend=line.f.rstrip("~"),
            backend=line.b,
            server=line.s,
            status=line.st if line.st > 0 else None,
            termination=line.ts,
            queue_ms=_span_ms(line.Tw),
            connect_ms=_span_ms(line.Tc),
            response_ms=_span_ms(line.Tr),
            total_ms=total_ms,
            bytes_to_client=line.B,
            backend_source_ip=None if line.bi in ("-", "") else line.bi,
            backend_source_port=int(line.bp) if line.bp.isdigit() else None,
            fc_err=_number(line.fc_err),
            bc_err=_number(line.bc_err),
            term_events=line.term_events,
        )

    def _from_text(self, number: int, text: str, *, is_notice: bool = False) -> LogRecord | None:
        found = _HTTP.search(text)
        if found:
            *who, queue, connect, response, growing, total, status, _, size, termination = found.groups()
            kind = LogFormat.HTTP
        else:
            found = _TCP.search(text)
            if not found:
                self._not_read(number, text, is_notice)
                return None
            *who, queue, connect, growing, total, _, size, termination = found.groups()
            kind, response, status = LogFormat.TCP, "-1", "-1"
        if growing:
            self.early += 1
            return None
        client_ip, client_port, date, frontend, backend, server = who
        try:
            accept_unix_s = self._clock.unix_s(date, int(total), text[: found.start()])
        except ValueError:
            self._not_read(number, text, is_notice)
            return None
        return LogRecord(
            line=number,
            format=kind,
            client_ip=client_ip,
            client_port=int(client_port),
            accept_unix_s=accept_unix_s,
            end_unix_s=accept_unix_s + int(total) / 1000,
            frontend=frontend.rstrip("~"),  # "~": it came in over TLS
            backend=backend,
            server=server,
            status=int(status) if int(status) > 0 else None,
            termination=termination,
            queue_ms=_span_ms(int(queue)),
            connect_ms=_span_ms(int(connect)),
            response_ms=_span_ms(int(response)),
            total_ms=int(total),
            bytes_to_client=int(size),
        )

    def _not_read(self, number: int, text: str, is_notice: bool) -> None:
        self.no_port_announced |= bool(_NO_PORT.search(text))
        if is_notice:
            self.notices += 1
            return
        self.unread += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append((number, text.strip()[:_EXAMPLE_CHARS]))


class _Clock:
    """HAProxy's dates to Unix time, worked out once for each minute that occurs."""

    def __init__(self, zone: tzinfo | None) -> None:
        self._zone = zone
        self._minutes: dict[str, float] = {}

    def unix_s(self, date: str, total_ms: int, header: str) -> float:
        """``22/Nov/2026:14:45:02.760``; ``header`` is all before the line itself. Raises ValueError."""
        minute = date[:17]
        start_s = self._minutes.get(minute)
        if start_s is None:
            start_s = self._minutes[minute] = self._minute_s(minute, total_ms, header)
        return start_s + float(date[18:])

    def _minute_s(self, minute: str, total_ms: int, header: str) -> float:
        local = datetime.strptime(minute, "%d/%b/%Y:%H:%M")  # noqa: DTZ007 - the zone is what is looked for
        stamp = _STAMP.search(header)
        if stamp:
            end_s = datetime.fromisoformat(stamp[0].replace(",", ".")).timestamp()
            as_utc_s = local.replace(tzinfo=UTC).timestamp()
            ahead_s = as_utc_s + total_ms / 1000 - end_s
            if abs(ahead_s) < _FURTHEST_ZONE_S:  # else the stamp is of another moment: an import, say
                return as_utc_s - _QUARTER_HOUR_S * round(ahead_s / _QUARTER_HOUR_S)
        return (local.replace(tzinfo=self._zone) if self._zone else local).timestamp()


def read_log(path: Path, zone: tzinfo | None = None) -> LogFile:
    """A log of HAProxy's, plain or ``.gz``; ``zone`` is that of the machine HAProxy ran on, None this one's.

    Raises:
        FolderError: there is no such file.
    """
    if not path.is_file():
        raise FolderError(f"{path}: no such file; name HAProxy's log with --haproxy-log")
    return LogFile(path, zone)


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", errors="replace", newline="\n")
    return path.open(encoding="utf-8", errors="replace", newline="\n")


def _span_ms(ms: int) -> int | None:
    return ms if ms >= 0 else None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None
