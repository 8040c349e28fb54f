"""Keepalive margin: how many pinged tunnels outlive a timer when pings are lost, measured and worked out.

The rule of thumb is in :mod:`.heartbeat`. How many tunnels it saves over a given time,
:func:`expected_alive` works out exactly.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from wsload.analysis.campaign import CellResult
from wsload.analysis.folder import RunFolder, stored_profile
from wsload.profile.model import Traffic
from wsload.profile.plateaus import idle_timer
from wsload.record.outcome import Validity
from wsload.units import NS_PER_S

_Z_95 = 1.96
_PHASES = (32, 8)
"""Tunnels differ in when their first ping comes, and in how long they are watched: so many of each are
averaged over."""
_ROUNDING = 1e-12


class KeepalivePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: a cohort pinged ``every_s``, under a timer, some of whose pings are lost."""

    every_s: float
    timer_s: float
    loss: float
    """Share of the pings."""
    tunnels: int
    alive: int
    """Of these, at the end of the hold."""
    expected: float
    """The share that should be alive."""
    rtt_s: float
    """Median of the pings' round trips, and how far their p99 lies above it."""
    jitter_s: float
    watched_s: tuple[float, float]
    """How long the last tunnel and the first to open were there until the hold's end."""
    run: str
    validity: str = Validity.VALID

    @property
    def share(self) -> float:
        """The share that was alive."""
        return self.alive / self.tunnels

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of that share (E. B. Wilson, JASA 22, 1927)."""
        return wilson(self.alive, self.tunnels)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share: stays within 0 and 1, also where none or all were hit."""
    share, spread = hits / trials, _Z_95**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z_95 / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def expected_alive(every_s: float, timer_s: float, loss: float, watched_s: tuple[float, float]) -> float:
    """The share of tunnels that a timer has not cut after ``watched_s`` (from, to; evenly spread).

    A tunnel's first ping comes at an even chance within the first interval, the others an interval apart;
    each is lost by itself with the chance ``loss``. The opening itself counts as a sign of life.
    """
    firsts, lengths = (np.arange(count) + 0.5 for count in _PHASES)
    first_s = np.repeat(every_s * firsts / _PHASES[0], _PHASES[1])
    length_s = np.tile(watched_s[0] + (watched_s[1] - watched_s[0]) * lengths / _PHASES[1], _PHASES[0])
    pings = np.maximum(np.ceil((length_s - first_s) / every_s), 0).astype(np.int64)
    outlived = math.floor(timer_s / every_s * (1 + _ROUNDING))
    """Intervals without a sign of life that the timer lets pass."""
    silent = np.ones_like(first_s)
    """The chance that a tunnel lives of which no ping has come yet, for each phase."""
    since = np.zeros((len(first_s), outlived + 1))
    """The chance that it lives and that its last ping to come was so many pings ago."""
    for number in range(int(pings.max(initial=0))):
        on = number < pings
        unheard = np.where(first_s + number * every_s <= timer_s, silent, 0.0)
        reached = unheard + since[:, :outlived].sum(axis=1)
        moved = np.column_stack(((1 - loss) * reached, loss * since[:, :outlived]))
        silent, since = np.where(on, loss * unheard, silent), np.where(on[:, None], moved, since)
    last_s = first_s + (pings - 1) * every_s
    quiet_s = (length_s - last_s)[:, None] + every_s * np.arange(outlived + 1)
    alive = np.where(length_s <= timer_s, silent, 0.0) + np.where(quiet_s <= timer_s, since, 0.0).sum(axis=1)
    return float(alive.mean())


def keepalive_points(campaign: Path, cells: Sequence[CellResult]) -> list[KeepalivePoint]:
    """Cells that differ in a pinged cohort's ``every``, by timer and then by interval; empty where none do.

    Raises:
        FolderError: A cell's profile cannot be read.
    """
    axes = [axis for axis in (cells[0].axes if cells else {}) if axis.endswith(".every")]
    if not axes:
        return []
    cohort = axes[0].removeprefix("cohort.").removesuffix(".every")
    made = [_point(campaign / cell.run, cell, cohort) for cell in cells]
    points = [point for point in made if point is not None]
    return sorted(points, key=lambda point: (point.timer_s, point.every_s))


def _point(path: Path, cell: CellResult, name: str) -> KeepalivePoint | None:
    """None where the cohort is not pinged evenly, no timer is known, or none of its tunnels opened."""
    folder = RunFolder(path)
    info, summary = folder.info, folder.summary()
    cohort = next((each for each in stored_profile(path).profile.cohorts if each.name == name), None)
    timer_s = idle_timer(info.timers_of_ms(name)) / 1000
    tunnels = summary.counters.get("opened", {}).get(name, 0) if summary is not None else 0
    if cohort is None or cohort.traffic is not Traffic.PINGED or not (timer_s and tunnels):
        return None
    every_s, watched_s = cohort.every_ns / NS_PER_S, (info.hold_s, info.hold_s + info.ramp_s)
    times_ms = cell.metrics.get("ping_rtt", {}).get(name, {})
    rtt_s = times_ms.get("p50", 0.0) / 1000
    return KeepalivePoint(
        every_s=every_s,
        timer_s=timer_s,
        loss=cohort.ping_loss,
        tunnels=tunnels,
        alive=cell.held_by_cohort.get(name, 0),
        expected=expected_alive(every_s, timer_s, cohort.ping_loss, watched_s),
        rtt_s=rtt_s,
        jitter_s=max(times_ms.get("p99", 0.0) / 1000 - rtt_s, 0.0),
        watched_s=watched_s,
        run=cell.run,
        validity=cell.validity,
    )
