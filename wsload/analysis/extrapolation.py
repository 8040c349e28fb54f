"""The model beyond what was measured, and simulated clients beside it as a check that shares no formula."""

import math
from collections.abc import Sequence

from wsload.analysis.model import gaps_of, predict_cohort
from wsload.analysis.simulation import Clients, simulate
from wsload.profile.model import Profile
from wsload.units import NS_PER_S

_CLIENTS = 1500
_MOST_LIVES = 400_000
_STEPS = 400
_WARM = 0.3
"""The part of the simulated time after which levels are steady."""


def reach_s(measured_s: Sequence[float]) -> float:
    """How far the curve goes on: to an hour; to a day where minutes were measured."""
    return 3600.0 if max(measured_s) <= 180 else max(86_400.0, max(measured_s) * 4)


def simulated_live(profile: Profile, maxconn: int, timer_s: float, seed: int = 1) -> float | None:
    """Live tunnels that fill ``maxconn`` with their ghosts, as simulated; None where gaps are a mixture."""
    live, ghosts = 0.0, 0.0
    total = math.fsum(cohort.share for cohort in profile.cohorts)
    for cohort in profile.cohorts:
        gaps = gaps_of(cohort)
        if len(gaps) > 1:
            return None
        own_s = (cohort.tunnel_timeout_ns or timer_s * NS_PER_S) / NS_PER_S
        number = max(round(_CLIENTS * cohort.share / total), 1)
        expected = predict_cohort(cohort, round(own_s * NS_PER_S), 1.0, 0.0)
        per_s = expected.handshakes_per_s * expected.live_share * number
        wanted_s = 8 * own_s
        until_s = min(wanted_s, max(_MOST_LIVES / per_s, 2 * own_s)) if per_s else wanted_s
        clients = Clients(
            number=number,
            gaps=gaps[0][1],
            timer_s=own_s,
            vanish_per_s=cohort.vanish_per_s,
            session=cohort.session,
            comes_back=cohort.reconnect,
        )
        course = simulate(clients, until_s, until_s / _STEPS, seed)
        since_s = max(own_s, until_s * _WARM)
        live += course.mean(course.live, since_s)
        ghosts += course.mean(course.ghosts, since_s)
    return maxconn * live / (live + ghosts) if live else 0.0
