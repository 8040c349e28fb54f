"""A search for capacity while the run lasts: offers a level, waits for its plateau, judges it, goes on."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from wsload.analysis.folder import PLATEAU
from wsload.analysis.plateau import Span, Watched, judge_plateau, outcome_of
from wsload.driver.messages import Offer
from wsload.engine.base import Engine
from wsload.plan.knee import KneeFinder
from wsload.profile.model import Profile
from wsload.profile.plateaus import judge_ns, recovery_ns, settled_ns
from wsload.record.summary import Plateau
from wsload.run.collector import ClosedInterval
from wsload.run.journal import Journal
from wsload.units import NS_PER_S

_NOTICE_S = 0.3
"""Between telling the workers of a level and its beginning, so that all have heard."""
_POLL_S = 0.1


class Search:
    """Made where a profile has ``[capacity]``. Fed by the run with intervals and HAProxy's samples."""

    def __init__(self, profile: Profile, engine: Engine, journal: Journal) -> None:
        assert profile.capacity is not None
        self._profile, self._engine, self._journal = profile, engine, journal
        self._finder = KneeFinder(profile.capacity)
        self._intervals: list[Watched] = []
        self._samples: list[Mapping[str, Any]] = []
        self._interval_s = profile.load.interval_ns / NS_PER_S

    def interval(self, closed: ClosedInterval) -> None:
        """An interval was closed."""
        self._intervals.append(Watched(closed.line, closed.merged))

    def sampled(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """HAProxy was sampled."""
        self._samples.extend(rows)

    async def until_found(self) -> None:
        """Through all levels that the finder asks for; each plateau goes on record as an action."""
        level: int | None = self._finder.first
        opened_s = 0.0
        while level is not None:
            span = self._span(level, opened_s)
            plateau = await self._hold(span)
            if not plateau.steady:  # it may only need more time, and gets as much again as was judged
                plateau = await self._hold(
                    Span(level, opened_s, span.end_s, span.end_s + span.end_s - span.judged_s)
                )
            self._journal.note(PLATEAU, **msgspec.to_builtins(plateau))
            following = self._finder.next(level, outcome_of(plateau))
            if following is not None:
                if following < level:
                    await self._fall_to(self._finder.held)
                opened_s = self._offer(following)
            level = following

    def _offer(self, level: int) -> float:
        """Offer it from the next whole interval on; returns when that begins."""
        since_s = self._on_grid(self._journal.elapsed_s + _NOTICE_S)
        self._engine.offer(Offer(level, round(since_s * NS_PER_S), self._profile.load.ramp_ns))
        self._forget_before(since_s)
        return since_s

    async def _fall_to(self, level: int) -> None:
        """Close down to a level that held, and wait until the one that was too much has left no traces.

        From there the next level is risen to like any other: who judges it sees clients arrive.
        """
        gone_s = self._offer(level) + recovery_ns(self._profile) / NS_PER_S
        while self._journal.elapsed_s < gone_s:
            await asyncio.sleep(_POLL_S)

    def _span(self, level: int, opened_s: float) -> Span:
        """From the offer to the end of the plateau, whose last part is judged."""
        risen_s = opened_s + self._profile.load.ramp_ns / NS_PER_S
        judged_s = self._on_grid(risen_s + settled_ns(self._profile) / NS_PER_S)
        return Span(level, opened_s, judged_s, judged_s + self._on_grid(judge_ns(self._profile) / NS_PER_S))

    async def _hold(self, span: Span) -> Plateau:
        """Wait for the plateau's end, and for its last interval."""
        while not (self._intervals and self._intervals[-1].line.t_s >= span.end_s - self._interval_s / 2):
            await asyncio.sleep(_POLL_S)
        return judge_plateau(self._profile, span, self._intervals, self._samples)

    def _on_grid(self, t_s: float) -> float:
        """The next end of an interval, so that a plateau consists of whole ones."""
        return math.ceil(round(t_s / self._interval_s, 6)) * self._interval_s

    def _forget_before(self, t_s: float) -> None:
        self._intervals = self._intervals[-1:]
        self._samples = [row for row in self._samples if row["t_s"] >= t_s - self._interval_s]
