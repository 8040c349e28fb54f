"""What the comparison with peers makes of samples, rounds and ratios."""

from typing import Any

import msgspec
import pytest

from benchmarks.peers_figures import (
    CPU,
    MEMORY,
    bars,
    check_alike,
    few_of,
    grown,
    measured,
    median_of,
    ratio_to_ours,
    remarks,
    table,
    window_of,
)
from benchmarks.peers_plot import peers_figure
from benchmarks.peers_samples import Usage
from tests.benchmarks.made_peers import ECHO, HERE, IDLE, measurement, sample
from wsload.errors import WsloadError
from wsload.report.style import house_style


def test_the_window_counts_from_the_first_tunnel_and_leaves_the_ramp_out() -> None:
    life = [sample(t_s, tunnels=0 if t_s < 3 else 1000) for t_s in range(60)]
    window = window_of(life, ECHO)
    assert (window[0].t_s, window[-1].t_s) == (3 + 5 + 2, 3 + 5 + 2 + 20)


@pytest.mark.parametrize(("gone_s", "said"), [(0, "opened no tunnel"), (20, "gone before the hold's end")])
def test_a_tool_whose_tunnels_are_not_there_has_failed(gone_s: int, said: str) -> None:
    with pytest.raises(WsloadError, match=said):
        window_of([sample(t_s, tunnels=1000 if t_s < gone_s else 0) for t_s in range(60)], ECHO)


def test_cpu_is_counted_for_each_echo_that_the_backend_sent() -> None:
    found = measured([sample(10.0), sample(20.0), sample(30.0)], ECHO)
    assert found["echoes_per_s"] == pytest.approx(10_000)
    assert found["cpu_us_per_echo"] == pytest.approx(10.0)
    assert found["haproxy_cpu_us_per_echo"] == pytest.approx(5.0)
    assert found["cpu_cores"] == pytest.approx(0.1)
    assert "driver_cpu_us_per_echo" not in found


def test_wsloads_drivers_are_counted_by_themselves_too() -> None:
    window = [sample(t_s, driver=Usage(t_s / 20, 50_000_000, 2)) for t_s in (10.0, 30.0)]
    assert measured(window, ECHO)["driver_cpu_us_per_echo"] == pytest.approx(5.0)


def usage(cpu_s: float, megabytes: float) -> Usage:
    return Usage(cpu_s, round(megabytes * 1e6), 1)


def test_memory_and_openings_are_what_more_tunnels_took() -> None:
    few = [sample(t_s, tool=usage(2.0, 40.0), tunnels=10) for t_s in (12.0, 13.0, 14.0)]
    many = [sample(t_s, tool=usage(4.495, 50.0), tunnels=5000) for t_s in (12.0, 13.0, 14.0)]
    found = grown(few, many)
    assert found["base_bytes"] == 40_000_000
    assert found["bytes_per_tunnel"] == pytest.approx(10e6 / 4990)
    assert found["cpu_us_per_opening"] == pytest.approx(500.0)


def test_a_base_lasts_as_long_as_the_load_and_has_its_processes() -> None:
    few = few_of(IDLE)
    assert (few.tunnels, few.sized_for) == (10, 5000)
    assert few.stay_s == IDLE.stay_s


ROUNDS = [
    measurement("wsload", cpu_us_per_echo=10.0),
    measurement("wsload", cpu_us_per_echo=14.0, round=2),
    measurement("wsload", cpu_us_per_echo=12.0, round=3),
    measurement("Locust", cpu_us_per_echo=60.0),
    measurement("Tsung", cpu_us_per_echo=30.0),
    measurement("tcpkali", IDLE, bytes_per_tunnel=2000.0),
    measurement("Locust", IDLE, bytes_per_tunnel=20_000.0),
    measurement("wsload", IDLE, bytes_per_tunnel=2500.0),
]


def test_the_median_of_the_rounds_is_compared_with_ours() -> None:
    assert median_of(ROUNDS, CPU, "wsload") == 12.0
    assert ratio_to_ours(ROUNDS, CPU, "Locust") == 5.0
    assert ratio_to_ours(ROUNDS, MEMORY, "Locust") == 8.0
    assert ratio_to_ours(ROUNDS, MEMORY, "Tsung") is None


def test_each_bar_can_be_missed_and_none_is_stated_for_the_memory_of_tcpkali() -> None:
    assert {name: bar["met"] for name, bar in bars(ROUNDS).items()} == {
        "CPU per echo: Locust": True,
        "CPU per echo: Tsung": False,
        "memory per tunnel: Locust": True,
    }


def test_a_round_that_failed_counts_in_no_median_and_is_named() -> None:
    failed = measurement("Locust", cpu_us_per_echo=1.0, error="exit status 1: no such thing")
    rounds = [*ROUNDS, failed]
    assert median_of(rounds, CPU, "Locust") == 60.0
    assert remarks(rounds) == ["Locust, echo, round 1: failed: exit status 1: no such thing"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held": 900.0}, ["Tsung, echo, round 1: held 900 of 1,000"]),
        ({"echoes_per_s": 8700.0}, ["Tsung, echo, round 1: 8,700 echoes/s of 10,000"]),
        ({"held": 995.0, "echoes_per_s": 9950.0}, []),
    ],
)
def test_a_figure_of_another_load_than_was_asked_for_is_marked(
    changes: dict[str, Any], said: list[str]
) -> None:
    assert remarks([measurement("Tsung", **changes)]) == said


def test_the_table_says_figures_ratios_bars_and_what_is_missing() -> None:
    lines = table([*ROUNDS, measurement("Artillery", error="exit status 1")]).splitlines()
    assert lines[0].split() == ["wsload", "Locust", "Artillery", "Tsung", "tcpkali"]
    assert "CPU per echo, us                      12          60           -          30           -" in lines
    against = [line.split()[-5:] for line in lines if line.startswith("CPU per echo against ours")]
    assert against == [["1.0x", "5.0x", "-", "2.5x", "-"]]
    assert "MISSED CPU per echo: Tsung: 2.5 times ours, asked >= 4" in lines
    assert lines[-1] == "! Artillery, echo, round 1: failed: exit status 1"


def test_unlike_measurements_are_not_compared() -> None:
    check_alike(ROUNDS)
    elsewhere = msgspec.structs.replace(HERE, cores=64)
    with pytest.raises(WsloadError, match="different machines"):
        check_alike([*ROUNDS, measurement("Locust", setting=elsewhere)])
    with pytest.raises(WsloadError, match="different loads"):
        check_alike([*ROUNDS, measurement("Locust", msgspec.structs.replace(ECHO, tunnels=200))])


def test_the_plot_has_a_bar_for_each_tool_that_was_measured() -> None:
    with house_style():
        figure = peers_figure([*ROUNDS, measurement("Artillery", error="exit status 1")])
    cpu, memory = figure.axes
    assert [label.get_text() for label in cpu.get_yticklabels()] == ["wsload", "Locust", "Tsung"]
    assert [label.get_text() for label in memory.get_yticklabels()] == ["wsload", "Locust", "tcpkali"]
    assert "60   5.0x ours" in [text.get_text() for text in cpu.texts]
    assert any("Artillery, echo, round 1" in text.get_text() for text in figure.texts)


def test_a_plot_of_failures_alone_says_that_nothing_was_measured() -> None:
    with house_style():
        figure = peers_figure([measurement("Locust", error="exit status 1")])
    assert all("not measured" in [text.get_text() for text in axes.texts] for axes in figure.axes)
