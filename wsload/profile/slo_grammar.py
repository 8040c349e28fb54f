"""k6's threshold grammar with units: ``p(99)<50ms``, ``rate<0.1%``, ``count<=3``, ``value>=5000``."""

import re
from collections.abc import Callable, Sequence

from wsload.profile.model import COUNTER_METRICS, GAUGE_METRICS, HISTOGRAM_METRICS, Aggregation, Slo
from wsload.profile.values import nearest
from wsload.units import UnitError, parse_count, parse_duration_ns, parse_rate_per_s, parse_share

METRICS = HISTOGRAM_METRICS + COUNTER_METRICS + GAUGE_METRICS

SHARE_METRICS = frozenset({"handshake_failed", "disconnect", "disconnect_unexpected"})
"""Counters whose ``rate`` is a share of tunnels; the rate of the others is per second of hold."""

OPERATORS = ("<=", ">=", "==", "!=", "<", ">")

_KEY = re.compile(r"([^{}\s]+)\s*(?:\{\s*([^{}\s]*)\s*\})?")
_ASSERTION = re.compile(r"([a-z]+)\s*(?:\(\s*([^()]*?)\s*\))?\s*(<=|>=|==|!=|<|>)\s*(.+)")
_BARE_PERCENTILE = re.compile(r"p(\d+(?:\.\d+)?)\s*[<>=!]")


def _duration(text: str) -> float:
    return parse_duration_ns(text)


def _count(text: str) -> float:
    return parse_count(text)


def _share(text: str) -> float:
    share = parse_share(text)
    if share > 1:
        raise UnitError(f'"{text}" is more than all', 'write a share of tunnels, such as "0.1%"')
    return share


Bound = Callable[[str], float]
_HISTOGRAM_BOUNDS: dict[Aggregation, Bound] = {
    Aggregation.AVG: _duration,
    Aggregation.MIN: _duration,
    Aggregation.MED: _duration,
    Aggregation.MAX: _duration,
    Aggregation.PERCENTILE: _duration,
    Aggregation.COUNT: _count,
}
_SHARE_BOUNDS: dict[Aggregation, Bound] = {Aggregation.COUNT: _count, Aggregation.RATE: _share}
_COUNTER_BOUNDS: dict[Aggregation, Bound] = {Aggregation.COUNT: _count, Aggregation.RATE: parse_rate_per_s}
_GAUGE_BOUNDS: dict[Aggregation, Bound] = {Aggregation.VALUE: _count}


def bounds_of(metric: str) -> dict[Aggregation, Bound]:
    """Which aggregations a known metric has, and how the bound of each is read."""
    if metric in HISTOGRAM_METRICS:
        return _HISTOGRAM_BOUNDS
    if metric in GAUGE_METRICS:
        return _GAUGE_BOUNDS
    return _SHARE_BOUNDS if metric in SHARE_METRICS else _COUNTER_BOUNDS


def parse_metric(key: str, cohort_names: Sequence[str]) -> tuple[str, str | None]:
    """``"echo_corrected{chatty}"`` -> metric and cohort. Raises :class:`~wsload.units.UnitError`."""
    match = _KEY.fullmatch(key.strip())
    if not match:
        raise UnitError("is no metric", 'write "metric" or "metric{cohort}"')
    metric, cohort = match.groups()
    if metric not in METRICS:
        raise UnitError(f'unknown metric "{metric}"', nearest(metric, METRICS))
    if cohort is not None and cohort not in cohort_names:
        raise UnitError(f'unknown cohort "{cohort}"', nearest(cohort, tuple(cohort_names)))
    return metric, cohort


def parse_slo(metric: str, cohort: str | None, assertion: str) -> Slo:
    """One assertion on a known metric. Raises :class:`~wsload.units.UnitError`."""
    match = _ASSERTION.fullmatch(assertion.strip())
    if not match:
        bare = _BARE_PERCENTILE.match(assertion.strip())
        fix = f'write "p({bare[1]})<…"' if bare else f'write one such as "{_example(metric)}"'
        raise UnitError(f'"{assertion}" is no assertion', fix)
    name, argument, operator, bound_text = match.groups()
    aggregation = _aggregation(metric, name)
    percentile = _percentile(assertion, aggregation, argument)
    try:
        bound = bounds_of(metric)[aggregation](bound_text.strip())
    except UnitError as error:
        raise UnitError(f'in "{assertion}": {error.problem}', error.fix) from None
    return Slo(
        metric=metric,
        cohort=cohort,
        aggregation=aggregation,
        percentile=percentile,
        operator=operator,
        bound=bound,
        text=assertion.strip(),
    )


def _aggregation(metric: str, name: str) -> Aggregation:
    allowed = bounds_of(metric)
    words = ", ".join("p(N)" if each is Aggregation.PERCENTILE else each.value for each in allowed)
    if name not in set(Aggregation) or Aggregation(name) not in allowed:
        kind = (
            "a histogram"
            if metric in HISTOGRAM_METRICS
            else "a gauge"
            if metric in GAUGE_METRICS
            else "a counter"
        )
        raise UnitError(
            f'"{name}" is no aggregation of {metric}, {kind}',
            f'use {words}, such as "{_example(metric)}"',
        )
    return Aggregation(name)


def _percentile(assertion: str, aggregation: Aggregation, argument: str | None) -> float | None:
    if aggregation is not Aggregation.PERCENTILE:
        if argument is not None:
            raise UnitError(f'"{aggregation.value}" takes no argument', f'write "{aggregation.value}" alone')
        return None
    try:
        percentile = float(argument or "")
    except ValueError:
        raise UnitError(
            f'"{assertion}" names no percentile', 'write a number in "p(…)", such as "p(99)"'
        ) from None
    if not 0 <= percentile <= 100:
        raise UnitError(f"percentile {argument} is not between 0 and 100", 'write one such as "p(99.9)"')
    return percentile


def _example(metric: str) -> str:
    if metric in HISTOGRAM_METRICS:
        return "p(99)<50ms"
    if metric in GAUGE_METRICS:
        return "value>=5000"
    return "rate<0.1%" if metric in SHARE_METRICS else "count>=1000"
