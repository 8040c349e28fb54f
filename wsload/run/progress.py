"""What the live view is told: a run's state, kept up interval by interval."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wsload.record.layout import RunInfo
from wsload.record.outcome import Phase
from wsload.report.live import CohortProgress, HaproxyProgress, Progress
from wsload.run.collector import ClosedInterval, percentile_ms

ProgressListener = Callable[[Progress], None]


class ProgressKeeper:
    """Adds up what the live block shows. Holds sums only."""

    def __init__(self, info: RunInfo, cell: str) -> None:
        self._info, self._cell = info, cell
        self._failed: dict[str, int] = {}
        self._lost: dict[str, int] = {}
        self._latest: ClosedInterval | None = None
        self._opening_rate_per_s = self._echoes_per_s = 0.0
        self._haproxy: HaproxyProgress | None = None
        self._haproxy_cpu: tuple[float, float] | None = None
        self.warnings: list[str] = []
        self.drain_at_s: float | None = None
        """When the drain began, if not when planned."""

    def interval(self, closed: ClosedInterval) -> None:
        """An interval was closed."""
        opened = echoes = 0
        for cohort, phases in closed.merged.items():
            for phase, part in phases.items():
                opened += part.counters.get("opened", 0)
                echoes += part.counters.get("received", 0)
                failed = part.counters.get("handshake_failed", 0)
                self._failed[cohort] = self._failed.get(cohort, 0) + failed
                if phase is not Phase.DRAIN:
                    lost = part.counters.get("disconnect", 0)
                    self._lost[cohort] = self._lost.get(cohort, 0) + lost
        length_s = max(closed.length_s, 1e-3)
        self._opening_rate_per_s, self._echoes_per_s = opened / length_s, echoes / length_s
        self._latest = closed

    def haproxy(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """HAProxy was sampled."""
        if not rows:
            return
        at_s, cpu_s = time.monotonic(), sum(row["cpu_s"] for row in rows)
        before = self._haproxy_cpu or (at_s, cpu_s)
        self._haproxy_cpu = (at_s, cpu_s)
        share = (cpu_s - before[1]) / (at_s - before[0]) if at_s > before[0] else 0.0
        self._haproxy = HaproxyProgress(
            connections=sum(row["curr_conns"] for row in rows),
            slots=sum(row["slots"] for row in rows),
            maxconn=sum(row["maxconn"] for row in rows),
            cpu_share=max(share, 0.0),
        )

    def now(self, elapsed_s: float) -> Progress:
        """The state ``elapsed_s`` after the run's start."""
        info, latest = self._info, self._latest
        drain_s = info.ramp_s + info.hold_s if self.drain_at_s is None else self.drain_at_s
        phase = Phase.OPEN if elapsed_s < min(info.ramp_s, drain_s) else Phase.HOLD
        if elapsed_s >= drain_s:
            phase = Phase.DRAIN
        merged = latest.merged if latest is not None else {}
        echo = "echo_corrected"
        return Progress(
            title=info.title,
            phase=phase,
            elapsed_s=elapsed_s,
            left_s=max(drain_s + info.drain_s - elapsed_s, 0.0),
            cohorts={
                name: CohortProgress(
                    planned=planned,
                    open=latest.line.open.get(name, 0) if latest is not None else 0,
                    connecting=latest.line.connecting.get(name, 0) if latest is not None else 0,
                    failed=self._failed.get(name, 0),
                    lost=self._lost.get(name, 0),
                )
                for name, planned in info.cohorts.items()
            },
            opening_rate_per_s=self._opening_rate_per_s,
            echoes_per_s=self._echoes_per_s,
            p50_ms=percentile_ms(merged, echo, 50),
            p99_ms=percentile_ms(merged, echo, 99),
            lag_ms=percentile_ms(merged, "lag", 99),
            haproxy=self._haproxy,
            warnings=tuple(self.warnings),
            cell=self._cell,
        )
