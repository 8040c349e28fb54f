"""Capacity, ghosts, cuts and handshakes as functions of the idle timer T: closed form, steady state.

A client that is there has gaps G between its bytes, and goes at a constant rate r = v + 1/E[session], where
v is the rate at which it vanishes; then another takes its place at once. Its tunnel lasts until HAProxy cuts
it, T after its last byte. With m = min(G, T) and nobody going (r = 0) that gives, per client offered,

- the share of time it is live, ``E[m] / E[G]`` where it comes back with its next message,
- cuts per live second, ``P(G > T) / E[m]``,
- how long the slot of one that vanished is held, ``D = T - E[m^2] / 2 E[m]``: T less its last byte's age.

With r > 0 the same holds of m = min(G, T, going), by renewal and reward over the time from one byte to the
next (:func:`wsload.plan.distributions.below`). Ghosts are v D per live tunnel (Little's law), so that N live
ones need N (1 + v D) slots, which maxconn bounds. Sessions count by their mean alone: exact where they are
exponential, and where they are far longer than gaps and timer.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from wsload.plan.distributions import below, share_above
from wsload.profile.model import (
    Aggregation,
    Arrivals,
    BackendMode,
    Cohort,
    Distribution,
    Profile,
    Reconnect,
    Reply,
    Slo,
    Spread,
    Traffic,
    Via,
)
from wsload.profile.plateaus import idle_timer_ns, plateau_ns, settled_ns
from wsload.units import NS_PER_S

CUT_METRICS = ("disconnect", "disconnect_unexpected")
_NEVER_NS = 2**62
_CLOSED_LOOP_NS = 1_000_000
"""Gap of a cohort that sends as fast as replies come: any that is far below every timer."""
_LEAST_WEIGHT = 1e-7
"""Runs of lost pings less likely than this count as the longest that is likelier."""
_NOT_MODELLED = frozenset({Traffic.HALF_CLOSED, Traffic.STALLED, Traffic.GHOST, Traffic.RESET})
_UPPER_BOUNDS = ("<", "<=")

Mixture = Sequence[tuple[float, Distribution]]
"""Weights, which add up to 1, and distributions."""


@dataclass(frozen=True)
class CohortPrediction:
    """One cohort under one timer. Rates are per live tunnel and second."""

    name: str
    offered_share: float
    """Of all clients offered."""
    live_share: float
    """Of its offered clients, those that are live at a time."""
    cuts_per_s: float
    going_per_s: float
    """Vanishing and leaving."""
    hold_s: float
    """How long the slot of one that vanished is held."""
    ghosts: float
    """Slots of vanished ones, per live tunnel."""
    handshakes_per_s: float


@dataclass(frozen=True)
class Prediction:
    """What the model says of one value of the timer. Rates are per live tunnel and second."""

    timer_ns: int
    cohorts: tuple[CohortPrediction, ...]
    live_share: float
    """Live tunnels per client offered."""
    cuts_per_live_s: float
    hold_s: float
    ghosts_per_live: float
    handshakes_per_live_s: float
    live_by_slots: float
    """Live tunnels that fill maxconn together with their ghosts; infinite without maxconn."""
    live_by_offer: float
    """Live tunnels of all that the search offers; infinite without a search."""
    live_by_cuts: float
    """Live tunnels up to which the SLOs on cuts hold: 0 or infinite where they are shares."""

    @property
    def slots_per_live(self) -> float:
        """1 + v D."""
        return 1.0 + self.ghosts_per_live

    @property
    def live_at_limit(self) -> float:
        """The most live tunnels, whatever is cut."""
        return min(self.live_by_slots, self.live_by_offer)

    @property
    def capacity(self) -> float:
        """The most live tunnels within the SLO; 0 where its bound on cuts cannot hold."""
        return min(self.live_at_limit, self.live_by_cuts)

    @property
    def cuts_hold(self) -> bool:
        """Whether the SLO's bound on cuts can hold at all."""
        return self.live_by_cuts > 0


def not_modelled(profile: Profile) -> str:
    """Why there is no model of a profile; empty where there is one."""
    if profile.target.via is not Via.HAPROXY:
        return "wsload does not manage its HAProxy"
    if profile.backend.mode is not BackendMode.EMBEDDED:
        return "its backend is not ours, and may speak or close by itself"
    if profile.backend.reply is Reply.PUSH:
        return "its backend pushes, and each write refreshes the timer"
    if profile.backend.idle_close_ns or profile.backend.ends_after_ns:
        return "its backend ends tunnels itself"
    strange = [cohort.traffic.value for cohort in profile.cohorts if cohort.traffic in _NOT_MODELLED]
    return f"it has {strange[0]} tunnels" if strange else ""


def with_timer(profile: Profile, timer_ns: int) -> Profile:
    """The profile with another ``timeout tunnel``."""
    timeouts_ns = profile.haproxy.timeouts_ns | {"tunnel": timer_ns}
    return msgspec.structs.replace(
        profile, haproxy=msgspec.structs.replace(profile.haproxy, timeouts_ns=timeouts_ns)
    )


def predict(profile: Profile, timer_ns: int | None = None, maxconn: int | None = None) -> Prediction:
    """A profile under ``timeout tunnel``; None: the timer, and the slots of all processes, that it states.

    Cohorts with a ``tunnel_timeout`` of their own keep it. ``profile`` must be one that is modelled.
    """
    if timer_ns is not None:
        profile = with_timer(profile, timer_ns)
    timer_ns = idle_timer_ns(profile.haproxy) or _NEVER_NS
    if maxconn is None:
        maxconn = profile.haproxy.maxconn * profile.haproxy.processes
    total = math.fsum(cohort.share for cohort in profile.cohorts)
    cohorts = tuple(
        predict_cohort(cohort, timer_ns, cohort.share / total, _watched_s(profile))
        for cohort in profile.cohorts
    )
    live_share = math.fsum(each.offered_share * each.live_share for each in cohorts)
    ghosts = _over_live(cohorts, [each.ghosts for each in cohorts])
    vanishing = [
        cohort.vanish_per_s * each.offered_share * each.live_share
        for cohort, each in zip(profile.cohorts, cohorts, strict=True)
    ]
    held = [rate * each.hold_s for rate, each in zip(vanishing, cohorts, strict=True)]
    capacity = profile.capacity
    return Prediction(
        timer_ns=timer_ns,
        cohorts=cohorts,
        live_share=live_share,
        cuts_per_live_s=_over_live(cohorts, [each.cuts_per_s for each in cohorts]),
        hold_s=math.fsum(held) / math.fsum(vanishing) if any(vanishing) else 0.0,
        ghosts_per_live=ghosts,
        handshakes_per_live_s=_over_live(cohorts, [each.handshakes_per_s for each in cohorts]),
        live_by_slots=maxconn / (1 + ghosts) if maxconn else math.inf,
        live_by_offer=capacity.most * live_share if capacity is not None else math.inf,
        live_by_cuts=min((_live_within(slo, cohorts, profile) for slo in profile.slos), default=math.inf),
    )


def predict_cohort(cohort: Cohort, timer_ns: int, offered_share: float, watched_s: float) -> CohortPrediction:
    """One cohort. Clients that never come back are fewer the longer one waits: ``watched_s`` says when."""
    timer_ns = cohort.tunnel_timeout_ns or timer_ns
    timer_s = timer_ns / NS_PER_S
    going = cohort.vanish_per_s + (NS_PER_S / cohort.session.mean_ns if cohort.session is not None else 0.0)
    gaps = gaps_of(cohort)
    parts = [(weight, below(gap, timer_ns, going)) for weight, gap in gaps]
    live_s = math.fsum(weight * part.time_ns for weight, part in parts) / NS_PER_S
    age_s = math.fsum(weight * part.time_ns * part.age_ns for weight, part in parts) / NS_PER_S**2 / live_s
    stays = math.exp(-going * timer_s)
    cuts = stays * math.fsum(weight * share_above(gap, timer_ns) for weight, gap in gaps)
    comes_back = cohort.reconnect is Reconnect.WHEN_DUE
    if comes_back:
        lengths = [weight * (gap.mean_ns - below(gap, timer_ns).time_ns) for weight, gap in gaps]
        away_s = stays * math.fsum(lengths) / NS_PER_S
        live_share = live_s / (live_s + away_s)
    else:
        live_share = _left(cuts / live_s, timer_s, watched_s, is_certain=cuts == 1.0)
    return CohortPrediction(
        name=cohort.name,
        offered_share=offered_share,
        live_share=live_share,
        cuts_per_s=cuts / live_s,
        going_per_s=going,
        hold_s=timer_s - age_s,
        ghosts=cohort.vanish_per_s * (timer_s - age_s),
        handshakes_per_s=going + (cuts / live_s if comes_back else 0.0),
    )


def gaps_of(cohort: Cohort) -> Mixture:
    """The gaps between a client's bytes."""
    if cohort.traffic is Traffic.QUIET:
        return [(1.0, cohort.gaps)]
    if cohort.traffic is Traffic.CHATTY:
        if cohort.rate_per_s is None:
            return [(1.0, _fixed(_CLOSED_LOOP_NS))]
        mean = round(NS_PER_S / cohort.rate_per_s)
        is_even = cohort.arrivals is Arrivals.EVEN
        return [(1.0, Distribution(spread=Spread.FIXED if is_even else Spread.EXPONENTIAL, scale_ns=mean))]
    if cohort.traffic is Traffic.PINGED and cohort.ping_loss < 1:
        return list(_pings(cohort.every_ns, cohort.ping_loss))
    return [(1.0, _fixed(_NEVER_NS))]


def _pings(every_ns: int, loss: float) -> Iterator[tuple[float, Distribution]]:
    """A run of k lost pings makes a gap of k + 1 intervals."""
    weight, left, length_ns = 1.0 - loss, 1.0, every_ns
    while weight > _LEAST_WEIGHT and left - weight > _LEAST_WEIGHT:
        yield weight, _fixed(length_ns)
        left -= weight
        weight *= loss
        length_ns += every_ns
    yield left, _fixed(length_ns)


def _fixed(length_ns: int) -> Distribution:
    return Distribution(spread=Spread.FIXED, scale_ns=length_ns)


def _left(cuts_per_s: float, timer_s: float, watched_s: float, *, is_certain: bool) -> float:
    """The share of clients that have not been cut, where who was cut stays away."""
    if is_certain:  # none ever speaks
        return float(timer_s > watched_s)
    return math.exp(-cuts_per_s * watched_s) if cuts_per_s else 1.0


def _watched_s(profile: Profile) -> float:
    """From the opening of a level to the middle of its judged part, or of a run's hold."""
    if profile.capacity is None:
        return (profile.load.ramp_ns + profile.load.hold_ns) / 2 / NS_PER_S
    return (settled_ns(profile) + plateau_ns(profile)) / 2 / NS_PER_S


def _judged_s(profile: Profile) -> float:
    if profile.capacity is None:
        return profile.load.hold_ns / NS_PER_S
    return (plateau_ns(profile) - settled_ns(profile)) / NS_PER_S


def _over_live(cohorts: Sequence[CohortPrediction], values: Sequence[float]) -> float:
    """The mean of a value of each cohort over live tunnels; over offered clients where none is live."""
    weights = [each.offered_share * each.live_share for each in cohorts]
    if not any(weights):
        weights = [each.offered_share for each in cohorts]
    return math.fsum(w * value for w, value in zip(weights, values, strict=True)) / math.fsum(weights)


def _live_within(slo: Slo, cohorts: Sequence[CohortPrediction], profile: Profile) -> float:
    """Live tunnels up to which a bound on disconnects holds in the judged part; infinite for other SLOs.

    ``rate`` is over the tunnels that were open at its beginning and those that opened in it, as
    :mod:`wsload.analysis.plateau` counts.
    """
    if slo.metric not in CUT_METRICS or slo.operator not in _UPPER_BOUNDS:
        return math.inf
    ending = [
        each.cuts_per_s + (each.going_per_s if slo.metric == "disconnect" else 0.0)
        if slo.cohort in (None, each.name)
        else 0.0
        for each in cohorts
    ]
    counted = [float(slo.cohort in (None, each.name)) for each in cohorts]
    judged_s = _judged_s(profile)
    ended = _over_live(cohorts, ending) * judged_s
    if slo.aggregation is Aggregation.RATE:
        opening = [share * each.handshakes_per_s for share, each in zip(counted, cohorts, strict=True)]
        tunnels = _over_live(cohorts, counted) + _over_live(cohorts, opening) * judged_s
        rate = ended / tunnels if tunnels else 0.0
        return math.inf if rate < slo.bound or (slo.operator == "<=" and rate == slo.bound) else 0.0
    if slo.aggregation is Aggregation.COUNT and ended:
        return slo.bound / ended
    return math.inf
