"""From measured points and model to the values to set, and what they cost. Pure.

``timeout tunnel`` has to be long enough that the SLO's bound on cuts holds, and not longer: each second of it
holds the slots of vanished clients for a second more. So the recommended value is the shortest at which cuts
are at most half of what the SLO allows, rounded up to a value that people write.
"""

import math
from collections.abc import Callable, Sequence

import msgspec

from wsload.analysis.backoff import Backoff, Server, storm
from wsload.analysis.campaign import CampaignInfo
from wsload.analysis.heartbeat import Pings, safe_pings
from wsload.analysis.measured import TUNNEL_AXIS, AtTimer, Searched, by_timer, typical_difference
from wsload.analysis.model import CUT_METRICS, Prediction, predict
from wsload.plan.preflight import SOMAXCONN
from wsload.profile.model import Profile
from wsload.record.outcome import Limit
from wsload.units import NS_PER_S, format_duration

SCHEMA = "wsload.recommendation/1"
BUDGET = 0.5
"""The share of the cuts that the SLO allows which the recommended value uses."""
RESERVE = 0.1
"""Of the slots, on top of what live tunnels and their ghosts need on average."""
BEFORE_101_S = 30.0
"""``timeout client`` and ``server``: they end at the 101 (haproxy-facts.md, section 1)."""
FIN_S = 10.0
"""``timeout client-fin``: how long a half-closed tunnel may linger where HAProxy heeds it."""
BACKOFF = Backoff(first_s=1.0, factor=2.0, most_s=30.0, jitter=1.0)
_SHORTEST_S, _LONGEST_S = 0.01, 86_400.0
_MOST_STORMED = 200_000
_NICE_S = tuple(
    sorted(
        [step * 10.0**power for power in (-2, -1, 0, 1) for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)][:-2]
        + [60.0 * minutes for minutes in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)]
        + [3600.0 * hours for hours in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 48)]
    )
)
"""Values that people write."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What one value of ``timeout tunnel`` brings, by the model, scaled to what was measured."""

    timer_s: float
    capacity: float
    """Live tunnels within the SLO; 0 where its bound on cuts breaks."""
    live: float
    """Live tunnels at the limit, whatever is cut; the next three are at so many."""
    cuts_per_hour: float
    ghosts: float
    handshakes_per_s: float


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured at one value, and what the model says; the mean over repeats."""

    timer_s: float
    live_low: float
    live_high: float
    modelled: float | None
    difference: float | None
    """Of the bracket's middle from the model: 0.02 is 2 % more."""
    meets_slo: bool
    limit: str


class Storm(msgspec.Struct, frozen=True, kw_only=True):
    """All live tunnels end at once, and come back with a backoff; simulated."""

    tunnels: int
    accept_per_s: float
    peak_arrivals_per_s: float
    recovered_s: float | None


class Recommendation(msgspec.Struct, frozen=True, kw_only=True):
    """``recommendation.json``. Where no value meets the SLO, ``timer_s`` is None and ``reason`` says why."""

    schema: str = SCHEMA
    reason: str = ""
    timer_s: float | None = None
    least_s: float | None = None
    """The shortest value at which the SLO's bound on cuts holds; None where no SLO bounds cuts."""
    most_s: float | None = None
    """The longest at which the search's lowest level still finds slots; None: no end was found."""
    least_level: int = 0
    """That level."""
    is_extrapolated: bool = False
    """The recommended value lies outside those measured."""
    expected: tuple[Expected, ...] = ()
    """At the recommended value, at half and at twice of it."""
    points: tuple[Point, ...] = ()
    typical_difference: float | None = None
    pings: Pings | None = None
    client_s: float = BEFORE_101_S
    client_fin_s: float = FIN_S
    fixed: dict[str, str] = {}
    """A second axis: the value at which most was held."""
    wanted_live: int = 0
    """The most clients that the search was asked about."""
    maxconn: int = 0
    """Slots for so many live tunnels at the recommended value, with a reserve."""
    slots_per_live: float = 1.0
    storm: Storm | None = None
    slos: tuple[str, ...] = ()
    """The bounds on cuts."""


def recommend(searches: Sequence[Searched], info: CampaignInfo) -> Recommendation | None:
    """None where the campaign did not sweep ``timeout tunnel``, or no cell searched for capacity."""
    believed = [each for each in searches if each.is_believed and each.timer_s > 0]
    if TUNNEL_AXIS not in info.axes or not believed:
        return None
    fixed, chosen = _best_of_other_axis(believed, info.axes)
    capacity = chosen[0].profile.capacity
    assert capacity is not None
    found = Recommendation(
        points=tuple(_point(each) for each in by_timer(chosen)),
        typical_difference=typical_difference(chosen),
        fixed=fixed,
        slos=tuple(f"{slo.metric} {slo.text}" for slo in chosen[0].profile.slos if slo.metric in CUT_METRICS),
        least_level=capacity.least,
        wanted_live=capacity.most,
    )
    met = [point.timer_s for point in found.points if point.meets_slo]
    if not met:
        return _with(found, reason=_why_none(chosen, found))
    if chosen[0].said is None:
        within = [each for each in chosen if each.timer_s in met]
        best = max(within, key=lambda each: (each.capacity.middle, -each.timer_s))
        return _beside(_with(found, timer_s=best.timer_s), best.profile)
    return _beside(_by_model(found, chosen, met), chosen[0].profile)


def nice_above_s(seconds: float) -> float:
    """The next value that people write: 5.3 -> 6 s, 75 -> 90 s, 2000 -> 40 min."""
    return next((value for value in _NICE_S if value >= seconds * (1 - 1e-9)), seconds)


def _with(found: Recommendation, **fields: object) -> Recommendation:
    return msgspec.structs.replace(found, **fields)


def _by_model(found: Recommendation, chosen: Sequence[Searched], met: Sequence[float]) -> Recommendation:
    profile, maxconn = chosen[0].profile, chosen[0].cell.maxconn or None

    def said(timer_s: float) -> Prediction:
        return predict(profile, round(timer_s * NS_PER_S), maxconn)

    least_s = _least_s(found, met, said) if found.slos else None
    most_s = _most_s(said, found.least_level, max(met))
    timer_s = max(met, key=lambda timer: said(timer).capacity)
    if least_s is not None:
        tighter = _with_tighter_cuts(profile)
        careful_s = _first_s(lambda at: predict(tighter, round(at * NS_PER_S)).cuts_hold)
        timer_s = nice_above_s(max(careful_s or least_s, least_s))
        if most_s is not None and timer_s > most_s:
            timer_s = max(least_s, most_s)
    factor = 1 + (found.typical_difference or 0.0)
    expected = tuple(_expected(said(at), at, factor) for at in (timer_s, timer_s / 2, timer_s * 2))
    slots = said(timer_s).slots_per_live
    measured_s = [point.timer_s for point in found.points]
    return _with(
        found,
        timer_s=timer_s,
        least_s=least_s,
        most_s=most_s,
        is_extrapolated=not min(measured_s) <= timer_s <= max(measured_s),
        expected=expected,
        slots_per_live=slots,
        maxconn=_rounded_up(found.wanted_live * slots * (1 + RESERVE)),
        storm=_storm(profile, expected[0].capacity, maxconn),
    )


def _beside(found: Recommendation, profile: Profile) -> Recommendation:
    """The other values to set, which follow from ``timeout tunnel``."""
    assert found.timer_s is not None
    lost = max(cohort.ping_loss for cohort in profile.cohorts)
    pings = safe_pings(found.timer_s, loss=lost) if 0 < lost < 1 else safe_pings(found.timer_s)
    return _with(found, pings=pings, client_fin_s=min(FIN_S, found.timer_s))


def _with_tighter_cuts(profile: Profile) -> Profile:
    """The profile with :data:`BUDGET` of what its SLOs allow in cuts."""
    slos = tuple(
        msgspec.structs.replace(slo, bound=slo.bound * BUDGET) if slo.metric in CUT_METRICS else slo
        for slo in profile.slos
    )
    return msgspec.structs.replace(profile, slos=slos)


def _best_of_other_axis(
    searches: Sequence[Searched], axes: Sequence[str]
) -> tuple[dict[str, str], list[Searched]]:
    """With a second axis: its value at which most was held within the SLO, and the cells that have it."""
    others = [axis for axis in axes if axis != TUNNEL_AXIS]
    best = max(searches, key=lambda each: each.capacity.middle)
    fixed = {axis: best.cell.axes[axis] for axis in others}
    return fixed, [each for each in searches if all(each.cell.axes[key] == fixed[key] for key in others)]


def _point(measured: AtTimer) -> Point:
    return Point(
        timer_s=measured.timer_s,
        live_low=measured.at_limit.low,
        live_high=measured.at_limit.high,
        modelled=measured.modelled,
        difference=measured.difference,
        meets_slo=measured.meets_slo,
        limit=measured.limits[0],
    )


def _least_s(found: Recommendation, met: Sequence[float], said: Callable[[float], Prediction]) -> float:
    """Where the model's cuts come within the SLO, but between the values at which that was measured."""
    broken = [point.timer_s for point in found.points if point.timer_s < min(met)]
    modelled_s = _first_s(lambda at: said(at).cuts_hold) or min(met)
    return min(max(modelled_s, max(broken, default=0.0)), min(met))


def _most_s(said: Callable[[float], Prediction], level: int, measured_s: float) -> float | None:
    """Up to where the slots suffice for ``level`` clients; at least as far as that was measured."""

    def is_full(timer_s: float) -> bool:
        prediction = said(timer_s)
        return level * prediction.live_share > prediction.live_by_slots

    full_s = _first_s(is_full)
    return None if full_s is None else max(full_s, measured_s)


def _first_s(holds: Callable[[float], bool]) -> float | None:
    """The shortest timer from which on it holds; None: not within a day."""
    if not holds(_LONGEST_S):
        return None
    low, high = _SHORTEST_S, _LONGEST_S
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _expected(said: Prediction, timer_s: float, factor: float) -> Expected:
    live = said.live_at_limit * factor
    return Expected(
        timer_s=timer_s,
        capacity=said.capacity * factor,
        live=live,
        cuts_per_hour=said.cuts_per_live_s * 3600 * live,
        ghosts=said.ghosts_per_live * live,
        handshakes_per_s=said.handshakes_per_live_s * live,
    )


def _storm(profile: Profile, live: float, maxconn: int | None) -> Storm | None:
    """At the rate at which the search's first level opened, which HAProxy is known to take."""
    tunnels, capacity = round(live), profile.capacity
    if capacity is None or not 0 < tunnels <= _MOST_STORMED or not profile.load.ramp_ns:
        return None
    rate_per_s = capacity.least * NS_PER_S / profile.load.ramp_ns
    server = Server(
        accept_per_s=rate_per_s,
        backlog=min(maxconn or SOMAXCONN, SOMAXCONN),
        handshake_timeout_s=profile.load.handshake_timeout_ns / NS_PER_S,
    )
    course = storm(tunnels, BACKOFF, server, profile.load.seed)
    return Storm(
        tunnels=tunnels,
        accept_per_s=rate_per_s,
        peak_arrivals_per_s=course.peak_arrivals_per_s,
        recovered_s=course.recovered_s,
    )


def _why_none(chosen: Sequence[Searched], found: Recommendation) -> str:
    longest = found.points[-1]
    tried = f"no value that was measured meets the SLO, up to {format_duration(longest.timer_s * NS_PER_S)}"
    if longest.limit != Limit.TIMER or chosen[0].said is None:
        return f"{tried}; there, what bound was: {longest.limit or 'unknown'}"
    profile = chosen[0].profile
    modelled_s = _first_s(lambda at: predict(profile, round(at * NS_PER_S)).cuts_hold)
    if modelled_s is None:
        return f"{tried}, and by the model none up to a day does: the SLO on cuts is too tight"
    return f"{tried}; by the model the SLO on cuts holds from {format_duration(modelled_s * NS_PER_S)} on"


def _rounded_up(number: float) -> int:
    """To three digits."""
    unit = 10 ** max(math.floor(math.log10(number)) - 2, 0) if number >= 1 else 1
    return math.ceil(number / unit - 1e-9) * unit
