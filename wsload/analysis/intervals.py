"""The fixed intervals among a run's unplanned ends, cohort by cohort: in idle times, then in ages.

A tunnel that was silent from the start has the same interval in both, so an age is looked at only where the
idle time lies in no interval. Tunnels that ended at one moment, such as at a restart, are nearly of one age
where the ramp was short; so an age is an interval only where the moments differ more than the ages do.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wsload.analysis.clusters import Cluster, explain, find_clusters, sentence
from wsload.record.outcome import Cause, Confidence

UNEXPLAINED = frozenset({Cause.PEER_FIN, Cause.PEER_RESET, Cause.UNKNOWN})
_MOMENTS_DIFFER = 2.0
"""How many times as wide as their ages' the spread of the ends' moments has to be."""

Floats = NDArray[np.float64]


def is_unexplained(cause: Cause, confidence: Confidence) -> bool:
    """Whether nobody that is known ended it, so that a box on the way may have."""
    return cause in UNEXPLAINED or (cause is Cause.CLIENT_RESET and confidence is not Confidence.CERTAIN)


class _Ends(NamedTuple):
    """Seconds, parallel."""

    idle_s: "array[float]"
    age_s: "array[float]"
    moment_s: "array[float]"


class Intervals:
    """Collects the ends, and then tells."""

    def __init__(self, timers_ms: Mapping[str, Mapping[str, int]]) -> None:
        """``timers_ms`` are those in force, for each cohort."""
        self._timers_ms = timers_ms
        self._ends: dict[tuple[str, bool], _Ends] = {}
        self._on_the_path: dict[str, list[Cluster]] | None = None

    def add(self, cohort: str, unexplained: bool, idle_s: float, age_s: float, moment_s: float) -> None:
        """One unplanned end, ``moment_s`` after the run's start."""
        key = (cohort, unexplained)
        if key not in self._ends:
            self._ends[key] = _Ends(array("d"), array("d"), array("d"))
        for values_s, value_s in zip(self._ends[key], (idle_s, age_s, moment_s), strict=True):
            values_s.append(value_s)

    def on_the_path(self) -> Mapping[str, Sequence[Cluster]]:
        """Cohort -> fixed idle times among ends that nothing explains: the mark of a box on the way."""
        if self._on_the_path is None:
            self._on_the_path = {}
            for (cohort, unexplained), ends in self._ends.items():
                found = find_clusters(np.frombuffer(ends.idle_s)) if unexplained else []
                unknown = [c for c in found if not explain(c, self._timers_ms[cohort], "idle").settings]
                if unknown:
                    self._on_the_path[cohort] = unknown
        return self._on_the_path

    def findings(self) -> Iterator[str]:
        """A sentence for each fixed interval."""
        for cohort in dict.fromkeys(cohort for cohort, _ in self._ends):
            parts = [self._ends[key] for key in ((cohort, False), (cohort, True)) if key in self._ends]
            idle_s, age_s, moment_s = (
                np.concatenate([np.frombuffer(values_s) for values_s in column])
                for column in zip(*parts, strict=True)
            )
            found = find_clusters(idle_s)
            for cluster in found:
                yield sentence(cohort, cluster, explain(cluster, self._timers_ms[cohort], "idle"))
            rest = ~_within(found, idle_s)
            for cluster in find_clusters(age_s[rest]):
                if _moments_differ(cluster, age_s[rest], moment_s[rest]):
                    yield sentence(cohort, cluster, explain(cluster, self._timers_ms[cohort], "age"))


def _within(clusters: Sequence[Cluster], values_s: Floats) -> NDArray[np.bool_]:
    inside = np.zeros(len(values_s), dtype=np.bool_)
    for cluster in clusters:
        inside |= (values_s >= cluster.low_s) & (values_s <= cluster.high_s)
    return inside


def _moments_differ(cluster: Cluster, age_s: Floats, moment_s: Floats) -> bool:
    p5, p95 = np.quantile(moment_s[_within([cluster], age_s)], (0.05, 0.95))
    return bool(p95 - p5 > _MOMENTS_DIFFER * 2 * cluster.spread_s)
