"""Folders with chosen ends and failed handshakes, their verdicts made, for tests of what tells of them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.sources import LogFit, Sources
from wsload.record import layout
from wsload.record.outcome import Cause, Confidence, Phase, PlanAct, Wire
from wsload.record.summary import Attribution, Completeness

READ = LogFit(formats={"option httplog": 1}, early=0, unread_examples=[])
"""Of a log that was joined."""


@dataclass(frozen=True)
class Ended:
    """``count`` tunnels that ended alike."""

    count: int
    cause: Cause
    termination: str = ""
    wire: Wire = Wire.FIN
    confidence: Confidence = Confidence.CERTAIN
    cohort: str = "idle"
    plan: PlanAct = PlanAct.NOTHING
    close_code: int | None = None
    idle_s: float = 2.0


@dataclass(frozen=True)
class Failed:
    """``count`` tunnels that never opened, alike."""

    count: int
    cause: Cause
    reason: str
    confidence: Confidence = Confidence.CERTAIN


MANY_ENDS = (
    Ended(1204, Cause.HAPROXY_CLIENT_TIMEOUT, "cD--"),
    Ended(9, Cause.HAPROXY_CLIENT_TIMEOUT, confidence=Confidence.GUESS),
    Ended(310, Cause.PLANNED, "----", Wire.CLOSE, cohort="chatty", plan=PlanAct.CLOSE, close_code=1000),
    Ended(42, Cause.BACKEND_IDLE_TIMEOUT, "----", Wire.CLOSE, cohort="chatty", close_code=1001),
    Ended(17, Cause.BACKEND_RESET, "SD--", cohort="chatty", confidence=Confidence.LIKELY),
    Ended(5, Cause.BACKEND_FIN, "----", cohort="chatty"),
    Ended(80, Cause.HAPROXY_TUNNEL_TIMEOUT, "sD--", cohort="half-closed", plan=PlanAct.HALF_CLOSE),
    Ended(60, Cause.PLANNED, "cD--", Wire.VANISHED, cohort="ghost", plan=PlanAct.VANISH),
    Ended(25, Cause.HAPROXY_KILLED, "K---", cohort="chatty"),
    Ended(3, Cause.PEER_RESET, "", Wire.RST, Confidence.LIKELY, cohort="chatty"),
)
"""One of nearly everything."""


def ended_folder(
    path: Path,
    ends: Sequence[Ended],
    failures: Sequence[Failed] = (),
    *,
    counts: Completeness | None = None,
    findings: Sequence[str] = (),
    sources: Sources | None = None,
    **choices: Any,
) -> RunFolder:
    """A run's folder at ``path``; ``choices`` are those of :func:`tests.made_folder.make_folder`."""
    cohorts: dict[str, int] = {}
    for end in ends:
        cohorts[end.cohort] = cohorts.get(end.cohort, 0) + end.count
    failed = sum(failure.count for failure in failures)
    cohorts["idle"] = cohorts.get("idle", 0) + failed
    make_folder(path, **({"cohorts": cohorts} | choices))
    ended = sum(end.count for end in ends)
    whole = Completeness(ended=ended, log_lines=ended, matched=ended)
    attribution = Attribution(completeness=counts or whole, findings=list(findings))
    (path / layout.ATTRIBUTION).write_bytes(msgspec.json.encode(attribution))
    (path / layout.EVIDENCE).write_bytes(msgspec.json.encode(sources or Sources(log=READ)))
    _write(path / layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, _end_rows(ends))
    _write(path / layout.HANDSHAKE_FAILURES, layout.HANDSHAKE_FAILURE_COLUMNS, _failure_rows(failures))
    return RunFolder(path)


def _end_rows(ends: Sequence[Ended]) -> list[tuple[Any, ...]]:
    return [
        (
            *("9.0", 0, end.cohort, number, "127.0.0.2", 40000 + number, "127.0.0.1:8080", Phase.HOLD, "8.0"),
            *(f"{end.idle_s:.6f}", f"{end.idle_s:.6f}", end.wire, end.close_code, ""),
            *(end.cause, end.confidence, f"made: {end.cause}", end.plan, end.termination),
        )
        for end in ends
        for number in range(end.count)
    ]


def _failure_rows(failures: Sequence[Failed]) -> list[tuple[Any, ...]]:
    return [
        (
            *("3.0", 0, "idle", number, "127.0.0.2", 50000 + number, "127.0.0.1:8080", "1.0"),
            *(failure.reason, failure.cause, failure.confidence, f"made: {failure.cause}"),
        )
        for failure in failures
        for number in range(failure.count)
    ]


def _write(path: Path, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
