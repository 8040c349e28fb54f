"""What a run set out to do, with chosen numbers."""

from typing import Any

from wsload.record.layout import RunInfo


def run_info(**changes: Any) -> RunInfo:
    """Of a run of 100 idle tunnels through HAProxy: ramp 1 s, hold 10 s, drain 2 s, an interval a second."""
    fields: dict[str, Any] = {
        "title": "made",
        "started": "2026-11-22T10:00:00Z",
        "started_unix_s": 0.0,
        "tunnels": 100,
        "cohorts": {"idle": 100},
        "workers": 1,
        "sources": 1,
        "endpoints": [],
        "ramp_s": 1.0,
        "hold_s": 10.0,
        "drain_s": 2.0,
        "interval_s": 1.0,
        "via": "haproxy",
        "timers_ms": {},
        "maxconn": 100,
        "lag_limit_ms": 50.0,
    }
    return RunInfo(**(fields | changes))
