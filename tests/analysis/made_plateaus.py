"""Plateaus, and the intervals and samples they are judged from, with chosen numbers."""

from collections.abc import Sequence
from typing import Any

from tests.made_info import run_info
from wsload.analysis.plateau import Watched
from wsload.record.histogram import Histogram
from wsload.record.layout import IntervalLine, ProcessLine
from wsload.record.outcome import Phase
from wsload.record.snapshot import MergedCohort
from wsload.record.summary import Plateau, SloRow
from wsload.units import NS_PER_MS

CUT_ROW = SloRow(metric="disconnect_unexpected", assertion="rate<1%", value=0.2, passed=False)
FAILED_ROW = SloRow(metric="handshake_failed", assertion="rate<1%", value=0.2, passed=False)

INFO = run_info(cohorts={"quiet": 100}, hold_s=100.0)


def plateau(level: int = 100, *, passed: bool = True, **figures: Any) -> Plateau:
    """One that passed, or whose handshakes failed."""
    fields: dict[str, Any] = {
        "opened_s": 0.0,
        "judged_s": 8.0,
        "end_s": 13.0,
        "live": float(level),
        "slots": float(level),
        "peak_slots": level,
        "maxconn": 1000,
        "lag_p99_ms": 1.0,
        "slo_rows": [] if passed else [FAILED_ROW],
    }
    return Plateau(level=level, passed=passed, **(fields | figures))


def watched(
    t_s: float, live: int, *, times_ms: Sequence[float] = (), driver_cpu_s: float = 0.0, **counters: int
) -> Watched:
    """An interval of one cohort; its times are handshakes."""
    part = MergedCohort()
    part.counters = {name.replace("__", ":"): count for name, count in counters.items()}
    if times_ms:
        part.histograms["handshake"] = Histogram()
        part.histograms["handshake"].record_many([int(each * NS_PER_MS) for each in times_ms])
    line = IntervalLine(
        v=1,
        seq=round(t_s),
        t_s=t_s,
        phase=Phase.HOLD,
        cohorts={},
        open={"quiet": live},
        connecting={"quiet": 0},
        processes=[ProcessLine("driver", 0, driver_cpu_s, 0)],
    )
    return Watched(line, {"quiet": {Phase.HOLD: part}})


def sample(t_s: float, slots: int, **figures: float) -> dict[str, Any]:
    """What a HAProxy process said."""
    return {"t_s": t_s, "process": 0, "slots": slots, "maxconn": 1000, "cpu_s": 0.0} | figures
