"""From the plateaus on record to the knee of a search: the capacity, and what bound."""

import math
from collections.abc import Iterable, Sequence

import msgspec

from wsload.analysis.folder import PLATEAU, HaproxySample, RunFolder
from wsload.analysis.limits import name_limit, shown_of
from wsload.analysis.plateau import outcome_of
from wsload.plan.knee import Outcome
from wsload.profile.model import Profile
from wsload.profile.plateaus import plateau_words
from wsload.record.summary import CapacityResult, Plateau, SloRow


def read_knee(folder: RunFolder, profile: Profile) -> CapacityResult | None:
    """A run's knee; None where the profile does not search, or no plateau was judged."""
    judged = [
        msgspec.convert(action.detail, Plateau) for action in folder.actions() if action.action == PLATEAU
    ]
    if profile.capacity is None or not judged:
        return None
    derived = not profile.haproxy.maxconn
    failures = list(folder.iter_failures())
    refused = _refused_memory(folder.iter_haproxy_stats(), judged)
    for number, plateau in enumerate(judged):
        plateau.allocations_failed = refused[number]
        if not plateau.passed:
            plateau.limit, plateau.evidence = name_limit(shown_of(plateau, folder.info, failures, derived))
    return msgspec.structs.replace(knee_of(judged), held=plateau_words(profile))


def knee_of(plateaus: Sequence[Plateau]) -> CapacityResult:
    """The highest level that passed, and the lowest above it that did not. ``plateaus`` has one at least."""
    passed = max((each for each in plateaus if each.passed), key=lambda each: each.level, default=None)
    level = passed.level if passed is not None else 0
    above = [each for each in plateaus if not each.passed and each.level > level]
    failed = min(above, key=lambda each: each.level, default=None)
    at_limit = plateau_at_limit(plateaus)
    return CapacityResult(
        capacity=passed.live if passed is not None else 0.0,
        level=level,
        first_failed=failed.level if failed is not None else None,
        limit=failed.limit if failed is not None else "",
        evidence=failed.evidence if failed is not None else "",
        live_at_limit=at_limit.live if at_limit is not None else 0.0,
        plateaus=list(plateaus),
    )


def plateau_at_limit(plateaus: Sequence[Plateau]) -> Plateau | None:
    """The highest level where nothing broke the SLO but cuts by a timer; None: there is no such level."""
    held = [each for each in plateaus if outcome_of(each) is not Outcome.FAILED]
    return max(held, key=lambda each: each.level, default=None)


def knee_rows(result: CapacityResult) -> list[SloRow]:
    """The SLO where it decides: at the highest level that passed, or at the lowest, where none did."""
    return min(
        result.plateaus, key=lambda each: (not each.passed, -each.level if each.passed else each.level)
    ).slo_rows


def _refused_memory(samples: Iterable[HaproxySample], plateaus: Sequence[Plateau]) -> list[int]:
    """How many allocations HAProxy was refused in each plateau.

    From the last sample before it to the first that HAProxy answers after it, before the next one begins.
    """
    ends_s = [later.opened_s for later in plateaus[1:]] + [math.inf]
    readings = [[0, 0] for _ in plateaus]
    latest: dict[int, int] = {}
    for row in samples:
        latest[row["process"]] = row.get("pool_failed", 0)
        for reading, plateau, end_s in zip(readings, plateaus, ends_s, strict=True):
            if row["t_s"] <= plateau.opened_s:
                reading[0] = reading[1] = sum(latest.values())
            elif row["t_s"] <= end_s:
                reading[1] = sum(latest.values())
    return [max(after - before, 0) for before, after in readings]
