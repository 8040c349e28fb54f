"""What the benchmark makes of its runs: its bars can be missed."""

from typing import Any

import pytest

from benchmarks.driver_cost import opening_rate_per_s, summarize

MET: dict[str, Any] = {"echoes_per_s": 9990.0, "driver_to_haproxy": 0.7, "validity": "valid", "reasons": []}


@pytest.mark.parametrize(
    ("worst_handshake_ms", "rate_per_s"), [(0.0, 3600.0), (500.0, 3000.0), (2000.0, 2000.0)]
)
def test_the_opening_rate_falls_where_tunnels_open_late(worst_handshake_ms: float, rate_per_s: float) -> None:
    assert opening_rate_per_s(9000, 2.5, worst_handshake_ms) == rate_per_s


@pytest.mark.parametrize(
    ("changed", "ok"),
    [
        ({}, True),
        ({"validity": "suspect"}, True),
        ({"validity": "invalid"}, False),
        ({"driver_to_haproxy": 0.81}, False),
        ({"echoes_per_s": 5000.0}, False),
    ],
)
def test_a_workload_is_well_if_its_bars_are_met_by_a_result_that_counts(
    changed: dict[str, Any], ok: bool
) -> None:
    assert summarize("echo", [MET | changed])["ok"] is ok


def test_the_median_of_several_runs_is_judged() -> None:
    result = summarize("echo", [MET | {"driver_to_haproxy": ratio} for ratio in (0.7, 1.3, 0.9)])
    assert result["bars"]["driver_to_haproxy"] == {"bound": "<= 0.8", "met": False}
    assert result["least_most"]["driver_to_haproxy"] == [0.7, 1.3]
