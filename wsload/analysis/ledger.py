"""The slot ledger: who holds HAProxy's slots, moment by moment, and what nobody can explain.

Each line stands at the moment of a sample of HAProxy's. Live tunnels come from the clients, openings, ghosts
and half-open ones from each client's own record and the end in HAProxy's log: none of them is worked out
from the slots that they are held against.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsload.analysis.folder import DisconnectRow, FailureRow, HaproxySample, LedgerRow
from wsload.analysis.log_formats import LogRecord
from wsload.profile.plateaus import idle_timer
from wsload.record.layout import IntervalLine, RunInfo
from wsload.record.outcome import Phase, PlanAct, Wire
from wsload.record.summary import SlotLedger
from wsload.units import NS_PER_MS, NS_PER_S

Floats = NDArray[np.float64]

NEVER_S = math.inf
STEADY_SHARE = 0.005
"""Of the slots: more than this unexplained in steady state wants an explanation."""


class Occupancy:
    """When each connection of a run held a slot, as its client and HAProxy's log tell; 50 bytes each.

    Times are seconds since the run's start; NaN where nobody knows.
    """

    def __init__(self, started_unix_s: float, timers_ms: Mapping[str, Mapping[str, int]]) -> None:
        """``started_unix_s`` is the run's time 0 by the clock of the log; ``timers_ms`` are each cohort's."""
        self._started_unix_s = started_unix_s
        self._idle_s = {
            cohort: idle_timer(timers) * NS_PER_MS / NS_PER_S or NEVER_S
            for cohort, timers in timers_ms.items()
        }
        self.accepted = array("d")
        self.opened = array("d")
        self.half_closed = array("d")
        self.ended = array("d")
        self.freed = array("d")
        """By HAProxy's log."""
        self.due = array("d")
        """When the idle timer frees a ghost's slot; NaN for all others."""

    def add_end(self, row: DisconnectRow, record: LogRecord | None) -> None:
        """A tunnel that was open, and its line in HAProxy's log."""
        idle_s = [each for each in (row.idle_rx_s, row.idle_tx_s) if each is not None]
        shut_s = row.t_s - (row.idle_tx_s or 0.0) if row.plan is PlanAct.HALF_CLOSE else math.nan
        is_ghost = row.wire is Wire.VANISHED
        due_s = row.t_s - min(idle_s, default=0.0) + self._idle_s[row.cohort] if is_ghost else math.nan
        self._add(record, row.t_s - (row.age_s or 0.0), shut_s, row.t_s, due_s)

    def add_failure(self, row: FailureRow, record: LogRecord | None) -> None:
        """A tunnel that never opened: it held a slot from its accept on, if there was one."""
        self._add(record, NEVER_S, math.nan, row.t_s, math.nan)

    def _add(
        self, record: LogRecord | None, opened_s: float, shut_s: float, ended_s: float, due_s: float
    ) -> None:
        accepted_s = freed_s = math.nan
        if record is not None:
            accepted_s = record.accept_unix_s - self._started_unix_s
            freed_s = record.end_unix_s - self._started_unix_s
        for column, value_s in (
            (self.accepted, accepted_s),
            (self.opened, opened_s),
            (self.half_closed, shut_s),
            (self.ended, ended_s),
            (self.freed, freed_s),
            (self.due, due_s),
        ):
            column.append(value_s)


class Spans(NamedTuple):
    """Stretches of time, begins and ends each sorted: how many hold at a moment is two look-ups."""

    begins: Floats
    ends: Floats

    def at(self, times_s: Floats) -> Floats:
        """How many stretches each moment lies in."""
        begun, over = (np.searchsorted(edges, times_s, side="right") for edges in self)
        return np.asarray(begun - over, dtype=np.float64)


def ledger(
    samples: Sequence[HaproxySample],
    lines: Iterable[IntervalLine],
    occupancy: Occupancy,
    info: RunInfo,
    hold_end_s: float,
    *,
    log_is_whole: bool,
) -> Iterator[LedgerRow]:
    """A line for each moment at which all of HAProxy's processes that then lived were sampled.

    Args:
        samples: Rows of ``haproxy-stats.csv``.
        lines: The run's intervals; of them only the number of open tunnels at each end.
        occupancy: All ends and failed handshakes.
        info: The run's phases.
        hold_end_s: When the hold really ended.
        log_is_whole: No line was lost. HAProxy logs each tunnel at its end, so that a ghost without a line
            then still has its slot; else its idle timer says when the slot was free.
    """
    moments = whole_moments(samples)
    if not moments:
        return
    times_s = np.array([t_s for t_s, _ in moments])
    held = _spans(occupancy, log_is_whole)
    live = _live(times_s, lines, held["open"])
    parts = {name: spans.at(times_s) for name, spans in held.items()}
    for number, (t_s, slots) in enumerate(moments):
        known = {name: int(values[number]) for name, values in parts.items()}
        explained = (
            round(float(live[number]))
            - known["unaware"]
            + known["opening"]
            + known["ghosts"]
            + known["half_open"]
        )
        yield LedgerRow(
            t_s=t_s,
            phase=_phase(t_s, info, hold_end_s),
            live=round(float(live[number])),
            unaware=known["unaware"],
            half_closed=known["half_closed"],
            opening=known["opening"],
            ghosts=known["ghosts"],
            half_open=known["half_open"],
            slots=slots,
            unexplained=slots - explained,
        )


def summarise_ledger(rows: Iterable[LedgerRow]) -> SlotLedger | None:
    """What the hold's lines come to; None where it has none."""
    hold = [row for row in rows if row.phase is Phase.HOLD]
    if not hold:
        return None
    off = [abs(row.unexplained) for row in hold]
    slots = sum(row.slots for row in hold)
    last = hold[-1]
    return SlotLedger(
        samples=len(hold),
        slots=last.slots,
        live=last.live,
        ghosts=last.ghosts,
        half_open=last.half_open,
        half_closed=last.half_closed,
        peak_ghosts=max(row.ghosts for row in hold),
        unexplained_share=round(sum(off) / slots, 6) if slots else 0.0,
        unexplained_most=max(off),
    )


def whole_moments(samples: Sequence[HaproxySample]) -> list[tuple[float, int]]:
    """When HAProxy was sampled, and its slots in use, all processes together.

    A moment at which a process was silent that answered later is left out: its slots are not known.
    """
    last_s: dict[int, float] = {}
    by_time: dict[float, dict[int, int]] = {}
    for row in samples:
        by_time.setdefault(row["t_s"], {})[row["process"]] = row["slots"]
        last_s[row["process"]] = max(row["t_s"], last_s.get(row["process"], 0.0))
    return [
        (t_s, sum(slots.values()))
        for t_s, slots in sorted(by_time.items())
        if all(process in slots or last_s[process] < t_s for process in last_s)
    ]


def _spans(occupancy: Occupancy, log_is_whole: bool) -> dict[str, Spans]:
    """Part of the ledger -> when connections were part of it."""
    accepted, opened, half_closed, ended, freed, due = (
        np.frombuffer(column, dtype=np.float64) if len(column) else np.empty(0)
        for column in (
            occupancy.accepted,
            occupancy.opened,
            occupancy.half_closed,
            occupancy.ended,
            occupancy.freed,
            occupancy.due,
        )
    )
    is_ghost = ~np.isnan(due)
    ghost_freed = np.where(np.isnan(freed), NEVER_S if log_is_whole else due, freed)
    opens = np.minimum(opened, ended)
    was_open = np.isfinite(opened)
    return {
        "open": _sorted(opened[was_open], ended[was_open]),
        "opening": _sorted(accepted, np.fmin(opens, freed)),
        "ghosts": _sorted(ended[is_ghost], ghost_freed[is_ghost]),
        "half_open": _sorted(ended[~is_ghost], freed[~is_ghost]),
        "half_closed": _sorted(half_closed, ended),
        "unaware": _sorted(np.maximum(freed, opened)[was_open], ended[was_open]),
    }


def _sorted(begins: Floats, ends: Floats) -> Spans:
    """Those that last at all; NaN at either end is none."""
    real = begins < ends
    return Spans(np.sort(begins[real]), np.sort(ends[real]))


def _live(times_s: Floats, lines: Iterable[IntervalLine], opens: Spans) -> Floats:
    """Open tunnels at each moment: the clients' own count at the nearest end of an interval, and what opened
    and ended between the two."""
    gauges = [(line.t_s, sum(line.open.values())) for line in lines]
    if not gauges:
        return opens.at(times_s)
    ends_s, counts = (np.array(column, dtype=np.float64) for column in zip(*gauges, strict=True))
    after = np.minimum(np.searchsorted(ends_s, times_s), len(ends_s) - 1)
    before = np.maximum(after - 1, 0)
    is_nearer = times_s - ends_s[before] <= ends_s[after] - times_s
    nearest = np.where(is_nearer, before, after)
    return np.asarray(counts[nearest] + opens.at(times_s) - opens.at(ends_s[nearest]))


def _phase(t_s: float, info: RunInfo, hold_end_s: float) -> Phase:
    if t_s > hold_end_s:
        return Phase.DRAIN
    return Phase.HOLD if t_s >= min(info.ramp_s, hold_end_s) else Phase.OPEN
