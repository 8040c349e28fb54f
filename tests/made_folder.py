"""Result folders with chosen numbers, for tests of everything that reads a folder.

The tunnels are worked out one by one (when each opens and ends), so gauges, counters, disconnects.csv
and HAProxy's figures agree with each other. ``summary.json`` is made from the same numbers, apart from
:mod:`wsload.analysis`, so that tests of plots and campaigns need nothing but this file.
"""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from tests.made_tunnels import (
    STARTED_UNIX_S,
    TIMERS_MS,
    Choices,
    Ends,
    Tunnel,
    disconnect_rows,
    intervals,
    open_at,
    stats_rows,
    times_s,
    tunnels_of,
)
from wsload.record import layout
from wsload.record.layout import RunInfo
from wsload.record.outcome import Cause
from wsload.record.summary import Summary, TunnelsPart, VerdictPart

__all__ = ["Choices", "Ends", "make_campaign", "make_folder"]

CAPACITY_COLUMNS = (
    "planned",
    "opened",
    "held",
    "held_share",
    "disconnect_unexpected",
    "peak_slots",
    "slo",
    "validity",
    "run",
)
"""Those of a cell that does not search."""


def make_folder(path: Path, **choices: Any) -> Path:
    """Write a run's folder at ``path``; ``choices`` are the fields of :class:`Choices`."""
    made = Choices(**choices)
    path.mkdir(parents=True, exist_ok=True)
    tunnels = tunnels_of(made)
    (path / layout.PROFILE).write_text(_profile_text(made))
    (path / layout.PLAN).write_bytes(msgspec.json.encode(_info(made)))
    (path / layout.ENVIRONMENT).write_bytes(
        msgspec.json.encode(
            {"wsload": "0.1.0", "python": "3.11.2", "kernel": "6.1.0", "cores": 2, "haproxy": "2.6.12"}
        )
    )
    lines = list(intervals(made, tunnels))
    _write_lines(path / layout.SNAPSHOTS, [msgspec.json.encode(line).decode() for line in lines], made.torn)
    _write_csv(
        path / layout.DISCONNECTS, layout.DISCONNECT_COLUMNS, disconnect_rows(made, tunnels), made.torn
    )
    if made.via == "haproxy":
        _write_csv(
            path / layout.HAPROXY_STATS, layout.HAPROXY_STATS_COLUMNS, stats_rows(made, tunnels), made.torn
        )
    actions = [msgspec.json.encode(action).decode() for action in made.actions if action.t_s <= made.end_s]
    _write_lines(path / layout.ACTIONS, actions, torn=False)
    if made.summary and made.cut_at_s is None:
        (path / layout.SUMMARY).write_bytes(msgspec.json.encode(_summary(made, tunnels)))
    return path


def make_campaign(path: Path, *, tunnels_s: Sequence[float] = (1, 2, 5, 10, 30), **choices: Any) -> Path:
    """Write a campaign's folder: one cell (a run folder) per ``timeout tunnel``, and ``capacity.csv``.

    Idle tunnels die of a timeout shorter than the hold, pinged ones (every 3 s) of one below 3 s.
    """
    path.mkdir(parents=True, exist_ok=True)
    base = Choices(**({"hold_s": 20.0} | choices))
    rows = []
    for number, tunnel_s in enumerate(tunnels_s, 1):
        text = f"{tunnel_s:g}s"
        quiet = {"idle": tunnel_s < base.hold_s, "pinged": tunnel_s < 3}
        ends = [
            Ends(
                name,
                base.cohorts[name],
                tunnel_s + 0.002,
                tunnel_s + 0.002,
                cause=Cause.HAPROXY_TUNNEL_TIMEOUT,
            )
            for name, dies in quiet.items()
            if dies and name in base.cohorts
        ]
        settings = {"haproxy.timeouts.tunnel": text}
        timers_ms = TIMERS_MS | {"tunnel": int(tunnel_s * 1000)}
        cell = replace(base, ends=ends, settings=settings, timers_ms=timers_ms)
        name = f"{number:02d}-tunnel-{text}"
        make_folder(path / name, **{key: getattr(cell, key) for key in Choices.__dataclass_fields__})
        summary = _summary(cell, tunnels_of(cell))
        part = summary.tunnels
        unexpected = sum(end.count for end in ends)
        rows.append(
            (
                text,
                part.planned,
                part.opened,
                part.held,
                part.held / part.planned,
                unexpected,
                summary.haproxy["peak_slots"],
                summary.verdict.slo,
                summary.verdict.validity,
                name,
            )
        )
    _write_csv(path / layout.CAPACITY, ("haproxy.timeouts.tunnel", *CAPACITY_COLUMNS), rows, torn=False)
    return path


def _info(made: Choices) -> RunInfo:
    return RunInfo(
        title=made.title,
        started="2026-11-22T10:00:00Z",
        started_unix_s=STARTED_UNIX_S,
        tunnels=sum(made.cohorts.values()),
        cohorts=dict(made.cohorts),
        workers=made.workers,
        sources=1,
        endpoints=["127.0.0.1:8080"],
        ramp_s=made.ramp_s,
        hold_s=made.hold_s,
        drain_s=made.drain_s,
        interval_s=made.interval_s,
        via=made.via,
        timers_ms=dict(made.timers_ms),
        cohort_timers_ms={name: dict(own) for name, own in made.cohort_timers_ms.items()},
        maxconn=made.maxconn if made.via == "haproxy" else 0,
        lag_limit_ms=made.lag_limit_ms,
        settings=dict(made.settings),
    )


def _summary(made: Choices, tunnels: Sequence[Tunnel]) -> Summary:
    """The facts a campaign's table and plots read; latencies are the chosen medians."""
    drain_s = made.ramp_s + made.hold_s
    held = {name: open_at(tunnels, name, drain_s, drain_s + 1) for name in made.cohorts}
    open_by_time = [
        sum(open_at(tunnels, name, t_s, drain_s + 1) for name in made.cohorts) for t_s in times_s(made)
    ]
    opened = sum(tunnel.failed is None for tunnel in tunnels)
    peak = max(open_by_time, default=0)
    causes: dict[str, dict[str, int]] = {}
    for row in disconnect_rows(made, tunnels):
        by_cause = causes.setdefault(row[2], {})
        by_cause[str(row[14])] = by_cause.get(str(row[14]), 0) + 1
    statistics = {
        "unit": "ms",
        "count": 100,
        "mean": made.latency_ms,
        "p50": made.latency_ms,
        "p99": made.latency_ms,
    }
    return Summary(
        schema=layout.SUMMARY_SCHEMA,
        title=made.title,
        started="2026-11-22T10:00:00Z",
        duration_s=made.end_s,
        partial=False,
        verdict=VerdictPart(slo="none", validity="valid", reasons=[], slo_rows=[]),
        tunnels=TunnelsPart(
            planned=len(tunnels),
            attempted=len(tunnels),
            opened=opened,
            failed=len(tunnels) - opened,
            peak=peak,
            held=sum(held.values()),
            held_by_cohort=held,
            planned_by_cohort=dict(made.cohorts),
        ),
        metrics={"echo_corrected": {"chatty": statistics}} if "chatty" in made.cohorts else {},
        counters={
            "opened": {
                name: sum(tunnel.cohort == name and tunnel.failed is None for tunnel in tunnels)
                for name in made.cohorts
            }
        },
        disconnects=causes,
        handshake_failures=dict(made.failures),
        haproxy={
            "version": "2.6.12",
            "timers_ms": dict(made.timers_ms),
            "peak_slots": peak,
            "peak_connections": peak + 1,
        },
        driver={"workers": made.workers},
        backend={},
    )


def _profile_text(made: Choices) -> str:
    total = max(sum(made.cohorts.values()), 1)
    lines = [
        f'title = "{made.title}"',
        f'[target]\nvia = "{made.via}"',
        f'[load]\ntunnels = {total}\nramp = "{made.ramp_s:g}s"',
        f'hold = "{made.hold_s:g}s"\ndrain = "{made.drain_s:g}s"',
        *(
            f'[[cohort]]\nname = "{name}"\nshare = {count}\n'
            f'traffic = "{name if name in ("chatty", "pinged") else "idle"}"'
            for name, count in made.cohorts.items()
        ),
    ]
    if made.slos:
        lines.append("[slo]")
        lines += [
            f'"{metric}" = {msgspec.json.encode(list(texts)).decode()}' for metric, texts in made.slos.items()
        ]
    return "\n".join(lines) + "\n"


def _write_lines(path: Path, lines: Sequence[str], torn: bool) -> None:
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(text[: -len(lines[-1]) // 2] if torn and lines else text)


def _write_csv(path: Path, columns: Sequence[str], rows: Any, torn: bool) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    text = path.read_text()
    if torn and text.count("\n") > 1:
        path.write_text(text[: text.rstrip().rindex("\n") + 5])
