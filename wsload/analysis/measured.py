"""What a campaign's searches measured, beside what the model says of the same cells."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from wsload.analysis.campaign import CellResult
from wsload.analysis.folder import stored_profile
from wsload.analysis.knee import plateau_at_limit
from wsload.analysis.model import Prediction, not_modelled, predict
from wsload.analysis.plateau import outcome_of
from wsload.plan.knee import Outcome
from wsload.profile.model import Profile
from wsload.profile.plateaus import idle_timer_ns
from wsload.record.outcome import Validity
from wsload.record.summary import CapacityResult, Plateau
from wsload.units import NS_PER_S

TUNNEL_AXIS = "haproxy.timeouts.tunnel"


@dataclass(frozen=True)
class Bracket:
    """A search's live tunnels, from the highest level that held to the first that did not."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """The best single figure."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Searched:
    """One cell that searched. ``said`` is the model's; None where the profile is not modelled."""

    cell: CellResult
    result: CapacityResult
    profile: Profile
    at_limit: Bracket
    """Whatever was cut: no level failed up to ``low`` for want of slots or of anything else."""
    said: Prediction | None

    @property
    def timer_s(self) -> float:
        """``timeout tunnel``, or what stands for it."""
        return idle_timer_ns(self.profile.haproxy) / NS_PER_S

    @property
    def plateau(self) -> Plateau | None:
        """The highest level that held, whatever was cut."""
        return plateau_at_limit(self.result.plateaus)

    @property
    def meets_slo(self) -> bool:
        """Whether any level passed."""
        return self.result.level > 0

    @property
    def capacity(self) -> Bracket:
        """Within the SLO; nothing where no level passed."""
        if not self.meets_slo:
            return Bracket(0.0, 0.0)
        low = min(self.result.capacity, self.at_limit.high)
        return Bracket(low, max(low, self.at_limit.high))

    @property
    def difference(self) -> float | None:
        """How far the measured live tunnels at the limit are from the model's: 0.02 is 2 % more.

        None without a model, and where not even the lowest level held: then nothing bounds them from below.
        """
        if self.said is None or not self.said.live_at_limit or not self.at_limit.low:
            return None
        return self.at_limit.middle / self.said.live_at_limit - 1

    @property
    def is_believed(self) -> bool:
        """Whether it counts for a recommendation."""
        return self.cell.validity != Validity.INVALID


def read_searches(folder: Path, cells: Sequence[CellResult]) -> list[Searched]:
    """The cells of a campaign's folder that searched, in its order; empty where none did."""
    return [
        searched(cell, cell.capacity, stored_profile(folder / cell.run).profile)
        for cell in cells
        if cell.capacity is not None
    ]


def searched(cell: CellResult, result: CapacityResult, profile: Profile) -> Searched:
    """One cell beside the model of its profile."""
    said = None if not_modelled(profile) else predict(profile, maxconn=cell.maxconn or None)
    return Searched(cell, result, profile, _at_limit(result), said)


@dataclass(frozen=True)
class AtTimer:
    """All repeats at one value of ``timeout tunnel``, at least one. Figures are means over them."""

    timer_s: float
    searches: tuple[Searched, ...]

    @property
    def meets_slo(self) -> bool:
        """In every repeat."""
        return all(each.meets_slo for each in self.searches)

    @property
    def is_held(self) -> bool:
        """Whether any level held, whatever was cut, in every repeat."""
        return all(each.at_limit.low for each in self.searches)

    @property
    def limits(self) -> list[str]:
        """What bound, each once; empty text where nothing did up to the search's end."""
        return list(dict.fromkeys(each.result.limit for each in self.searches))

    @property
    def at_limit(self) -> Bracket:
        """Live tunnels whatever is cut."""
        brackets = [each.at_limit for each in self.searches]
        return Bracket(fmean(each.low for each in brackets), fmean(each.high for each in brackets))

    @property
    def extremes(self) -> Bracket:
        """From the least to the most over all repeats."""
        brackets = [each.at_limit for each in self.searches]
        return Bracket(min(each.low for each in brackets), max(each.high for each in brackets))

    @property
    def modelled(self) -> float | None:
        """The model's live tunnels at the limit."""
        return _mean(each.said.live_at_limit for each in self.searches if each.said is not None)

    @property
    def difference(self) -> float | None:
        """See :attr:`Searched.difference`."""
        return _mean(each.difference for each in self.searches if each.difference is not None)

    @property
    def ghosts(self) -> float | None:
        """At the highest level that held, whatever was cut; likewise the next."""
        return _mean(each.plateau.ghosts for each in self.searches if each.plateau is not None)

    @property
    def cuts_per_hour(self) -> float | None:
        """Disconnects that no plan asked for."""
        return _mean(each.plateau.cuts_per_hour for each in self.searches if each.plateau is not None)


def by_timer(searches: Sequence[Searched]) -> list[AtTimer]:
    """Repeats together, by ``timeout tunnel`` ascending."""
    timers_s = sorted({each.timer_s for each in searches})
    return [
        AtTimer(timer_s, tuple(each for each in searches if each.timer_s == timer_s)) for timer_s in timers_s
    ]


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return fmean(known) if known else None


def typical_difference(searches: Sequence[Searched]) -> float | None:
    """The median over the points that may be believed."""
    differences = [each.difference for each in searches if each.is_believed]
    known = [difference for difference in differences if difference is not None]
    return median(known) if known else None


def _at_limit(result: CapacityResult) -> Bracket:
    held = plateau_at_limit(result.plateaus)
    low, level = (held.live, held.level) if held is not None else (0.0, 0)
    failed = [each for each in result.plateaus if each.level > level and outcome_of(each) is Outcome.FAILED]
    first = min(failed, key=lambda each: each.level, default=None)
    return Bracket(low, max(low, first.live) if first is not None else low)
