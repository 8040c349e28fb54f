"""k6's threshold grammar, with units."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.profile.model import COUNTER_METRICS, GAUGE_METRICS, HISTOGRAM_METRICS, Aggregation
from wsload.profile.slo_grammar import METRICS, bounds_of, parse_metric, parse_slo
from wsload.units import UnitError


@pytest.mark.parametrize(
    ("metric", "text", "aggregation", "operator", "bound"),
    [
        ("handshake", "p(99)<50ms", Aggregation.PERCENTILE, "<", 50e6),
        ("handshake", "avg< 20ms", Aggregation.AVG, "<", 20e6),
        ("handshake", " med <= 1s ", Aggregation.MED, "<=", 1e9),
        ("ping_rtt", "min>1us", Aggregation.MIN, ">", 1e3),
        ("ping_rtt", "max!=5ms", Aggregation.MAX, "!=", 5e6),
        ("echo_service", "count>=1k", Aggregation.COUNT, ">=", 1000),
        ("handshake_failed", "rate<0.1%", Aggregation.RATE, "<", 0.001),
        ("disconnect_unexpected", "rate<0.001", Aggregation.RATE, "<", 0.001),
        ("disconnect", "count==0", Aggregation.COUNT, "==", 0),
        ("sent", "rate>300/m", Aggregation.RATE, ">", 5),
        ("open", "value>=5000", Aggregation.VALUE, ">=", 5000),
    ],
)
def test_an_assertion_is_read(
    metric: str, text: str, aggregation: Aggregation, operator: str, bound: float
) -> None:
    slo = parse_slo(metric, None, text)
    assert (slo.aggregation, slo.operator, slo.text) == (aggregation, operator, text.strip())
    assert slo.bound == pytest.approx(bound)
    assert (slo.percentile is not None) == (aggregation is Aggregation.PERCENTILE)


@pytest.mark.parametrize(
    ("metric", "text", "message"),
    [
        ("handshake", "p(101)<1s", "percentile 101 is not between 0 and 100"),
        ("handshake", "p(-1)<1s", "percentile -1 is not between 0 and 100"),
        ("handshake", "p(nan)<1s", "percentile nan is not between 0 and 100"),
        ("handshake", "p()<1s", "names no percentile"),
        ("handshake", "p99<1s", r'write "p\(99\)<'),
        ("handshake", "p(99)<1", 'in "p.99.<1": "1" has no unit; write "1s"'),
        (
            "handshake",
            "rate<1%",
            '"rate" is no aggregation of handshake, a histogram; use avg, min, med, max',
        ),
        ("sent", "avg<1s", '"avg" is no aggregation of sent, a counter; use count, rate'),
        ("open", "count<5", '"count" is no aggregation of open, a gauge; use value'),
        ("handshake", "avg(5)<1s", '"avg" takes no argument'),
        ("sent", "rate>100", 'write "100/s"'),
        ("disconnect", "rate<500", '"500" is more than all; write a share of tunnels'),
        ("handshake", "fast", "is no assertion"),
        ("handshake", "p(99)<<1s", "is no duration"),
    ],
)
def test_a_wrong_assertion_is_refused_with_what_to_write(metric: str, text: str, message: str) -> None:
    with pytest.raises(UnitError, match=message):
        parse_slo(metric, None, text)


def test_a_metric_may_be_narrowed_to_a_cohort() -> None:
    assert parse_metric("echo_corrected{chatty}", ["idle", "chatty"]) == ("echo_corrected", "chatty")
    assert parse_metric("open", []) == ("open", None)


@pytest.mark.parametrize("key", ["", "{idle}", "open{}", "open{idle", "open idle", "opne"])
def test_a_wrong_metric_is_refused(key: str) -> None:
    with pytest.raises(UnitError):
        parse_metric(key, ["idle"])


def test_every_metric_has_aggregations() -> None:
    assert set(METRICS) == {*HISTOGRAM_METRICS, *COUNTER_METRICS, *GAUGE_METRICS}
    assert all(bounds_of(metric) for metric in METRICS)


@given(st.floats(0, 100), st.sampled_from(["<", "<=", ">", ">="]), st.integers(1, 10**6))
def test_any_percentile_in_range_is_read_back(percentile: float, operator: str, bound_us: int) -> None:
    slo = parse_slo("handshake", None, f"p({percentile!r}){operator}{bound_us}us")
    assert (slo.percentile, slo.operator, slo.bound) == (percentile, operator, bound_us * 1000)
