"""Whole verdicts of made runs: rows, HAProxy's lines and the backend's records, joined."""

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.made_folder import make_folder
from tests.made_tunnels import STARTED_UNIX_S
from wsload.analysis.folder import DisconnectRow, RunFolder
from wsload.record import layout
from wsload.record.backend_log import VERSION, BackendEnd, BackendWire, EndedBy, Kind
from wsload.record.outcome import Cause, Confidence, Phase, PlanAct, Wire
from wsload.run.verdicts import write_verdicts
from wsload.units import NS_PER_S

HOUR_MS = {"tunnel": 3_600_000}


def end_row(number: int = 0, **changes: Any) -> dict[str, Any]:
    """One end, 8 s after the 101 and 10 s after the run's start."""
    row = dict.fromkeys(layout.DISCONNECT_COLUMNS, "") | {
        "t_s": 10.0,
        "worker": 0,
        "cohort": "idle",
        "tunnel": number,
        "local_ip": "127.0.0.2",
        "local_port": 40000 + number,
        "remote": "127.0.0.1:8080",
        "phase": Phase.HOLD,
        "age_s": 8.0,
        "idle_rx_s": 8.0,
        "idle_tx_s": 8.0,
        "wire": Wire.FIN,
        "cause": Cause.PEER_FIN,
        "confidence": Confidence.GUESS,
    }
    return row | changes


def line_of(started_unix_s: float, row: dict[str, Any], termination: str) -> dict[str, Any]:
    """HAProxy's, for that row."""
    accepted = datetime.fromtimestamp(started_unix_s + row["t_s"] - row["age_s"])  # noqa: DTZ006 - as HAProxy's
    return {
        "ts": termination,
        "st": 101,
        "Ta": round(row["age_s"] * 1000),
        "Tt": round(row["age_s"] * 1000),
        "ci": row["local_ip"],
        "cp": row["local_port"],
        "bi": "127.0.0.1",
        "bp": str(50000 + row["tunnel"]),
        "t": f"{accepted:%d/%b/%Y:%H:%M:%S.%f}"[:-3],
    }


def judged(
    path: Path,
    rows: list[dict[str, Any]],
    termination: str,
    backend: list[BackendEnd] | None = None,
    log_ahead_s: float = 0.0,
) -> list[DisconnectRow]:
    """A run of these ends, all logged alike, by a clock so far ahead, with its final verdicts."""
    make_folder(path, timers_ms=HOUR_MS)
    with (path / layout.DISCONNECTS).open("w", newline="") as file:
        writer = csv.DictWriter(file, layout.DISCONNECT_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = [line_of(STARTED_UNIX_S + log_ahead_s, row, termination) for row in rows]
    (path / layout.HAPROXY_LOG).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    ends = b"".join(msgspec.json.encode(end) + b"\n" for end in backend or [])
    (path / layout.BACKEND_LOG).write_bytes(ends)
    write_verdicts(path, log_ahead_s=log_ahead_s)
    return RunFolder(path).disconnects()


@pytest.mark.parametrize(
    ("backend_ended_s", "cause"),
    [(9.9, Cause.BACKEND_IDLE_TIMEOUT), (9.9999, Cause.PLANNED)],
    ids=["backend first", "plan first"],
)
def test_where_the_plans_close_and_the_backends_crossed_the_earlier_is_the_cause(
    backend_ended_s: float, cause: Cause, tmp_path: Path
) -> None:
    # Our close frame went out 1 ms before the backend's was read.
    row = end_row(phase=Phase.DRAIN, wire=Wire.CLOSE, close_code=1001, plan=PlanAct.CLOSE, idle_tx_s=0.001)
    end = BackendEnd(
        v=VERSION,
        kind=Kind.TUNNEL,
        process=0,
        ip="127.0.0.1",
        port=50000,
        opened_ns=2 * NS_PER_S,
        ended_ns=round(backend_ended_s * NS_PER_S),
        ended_by=EndedBy.BACKEND,
        wire=BackendWire.IDLE_CLOSE,
    )
    (verdict,) = judged(tmp_path / "run", [row], "----", [end])
    assert (verdict.cause, verdict.confidence) == (cause, Confidence.CERTAIN), verdict.evidence


def test_resets_that_nobody_sent_at_one_idle_time_are_a_box_on_the_way(tmp_path: Path) -> None:
    rows = [
        end_row(number, t_s=400.0 + number, age_s=390.0, idle_rx_s=350.0, idle_tx_s=350.02, wire=Wire.RST)
        for number in range(30)
    ]
    verdicts = judged(tmp_path / "run", rows, "CD--")
    assert {(row.cause, row.confidence) for row in verdicts} == {(Cause.PATH_IDLE_TIMEOUT, Confidence.LIKELY)}
    assert "AWS NLB" in verdicts[0].evidence
    assert "HAProxy logged CD--" in verdicts[0].evidence


@pytest.mark.parametrize("log_ahead_s", [0.0, 3600.0, -3600.0])
def test_a_log_of_another_time_zone_does_not_make_the_plans_closes_come_too_late(
    tmp_path: Path, log_ahead_s: float
) -> None:
    closed = end_row(plan=PlanAct.CLOSE, idle_tx_s=0.002)
    (row,) = judged(tmp_path, [closed], "----", log_ahead_s=log_ahead_s)
    assert (row.cause, row.confidence, row.termination) == (Cause.PLANNED, Confidence.CERTAIN, "----")


@pytest.mark.parametrize("log_ahead_s", [0.0, 3600.0, -3600.0])
def test_a_client_that_haproxy_served_was_not_left_in_the_backlog_whatever_its_logs_time_zone(
    tmp_path: Path, log_ahead_s: float
) -> None:
    judged(tmp_path, [], "", log_ahead_s=log_ahead_s)
    failed = dict.fromkeys(layout.HANDSHAKE_FAILURE_COLUMNS, "") | {
        "t_s": 10.0,
        "cohort": "idle",
        "local_ip": "127.0.0.2",
        "local_port": 40_000,
        "remote": "127.0.0.1:8080",
        "waited_s": 5.0,
        "reason": "timeout",
    }
    with (tmp_path / layout.HANDSHAKE_FAILURES).open("w", newline="") as file:
        writer = csv.DictWriter(file, layout.HANDSHAKE_FAILURE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerow(failed)
    line = line_of(STARTED_UNIX_S + log_ahead_s, end_row(age_s=4.0), "cD--")
    (tmp_path / layout.HAPROXY_LOG).write_bytes(msgspec.json.encode(line) + b"\n")
    write_verdicts(tmp_path, log_ahead_s=log_ahead_s)
    (row,) = RunFolder(tmp_path).iter_failures()
    assert "HAProxy logged cD--" in row.evidence
    assert "accepted after that" not in row.evidence
