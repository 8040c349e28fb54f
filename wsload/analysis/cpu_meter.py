"""CPU time from the readings of processes."""

from typing import Any

from wsload.record.layout import RunInfo


class CpuMeter:
    """CPU used between first and last readings, in all and within the hold, per process and together.

    A stretch between two readings that reaches over the hold's edge counts to it in proportion. A reading
    below the one before it is of a new process: it starts anew.
    """

    def __init__(self, info: RunInfo, hold_end_s: float) -> None:
        self._hold_from_s, self._hold_to_s = info.ramp_s, hold_end_s
        self._last: dict[int, tuple[float, float]] = {}
        self.total_s = 0.0
        self.hold_s: dict[int, float] = {}
        self.hold_span_s: dict[int, float] = {}

    def add(self, process: int, t_s: float, cpu_s: float) -> None:
        """Take one process's reading; ``cpu_s`` counts since it started."""
        before_s, before_cpu_s = self._last.get(process, (t_s, cpu_s))
        self._last[process] = (t_s, cpu_s)
        used_s = cpu_s - before_cpu_s
        if used_s < 0 or t_s <= before_s:
            return
        self.total_s += used_s
        within_s = min(t_s, self._hold_to_s) - max(before_s, self._hold_from_s)
        if within_s > 0:
            share = within_s / (t_s - before_s)
            self.hold_s[process] = self.hold_s.get(process, 0.0) + used_s * share
            self.hold_span_s[process] = self.hold_span_s.get(process, 0.0) + within_s

    def figures(self) -> dict[str, Any]:
        """``cpu_s`` and ``hold`` of the summary."""
        return {"cpu_s": round(self.total_s, 4), "hold": {"cpu_s": round(sum(self.hold_s.values()), 4)}}

    def hold_shares(self) -> dict[int, float]:
        """Each process's share of a core over the hold."""
        return {
            process: self.hold_s[process] / span_s for process, span_s in self.hold_span_s.items() if span_s
        }
