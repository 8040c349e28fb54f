"""A folder's summary: every figure of summary.json from the folder's own files."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.made_folder import Ends, make_folder
from wsload.analysis.cpu_meter import CpuMeter
from wsload.analysis.folder import RunFolder
from wsload.analysis.summary import encode_summary, statistics, summarise
from wsload.profile.load import load_profile
from wsload.profile.model import Profile
from wsload.record import layout
from wsload.record.histogram import Histogram
from wsload.record.layout import ActionLine
from wsload.record.outcome import Cause
from wsload.record.summary import IntervalsPart, Summary


def summary_of(path: Path, **choices: Any) -> Summary:
    folder = RunFolder(make_folder(path, **choices))
    return summarise(folder, load_profile(path / layout.PROFILE).profile)


def test_a_whole_run_adds_up(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path,
        ends=[Ends("idle", 5, 4.0, 4.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)],
        failures={"503": 3, "timeout": 1},
    )
    part = summary.tunnels
    assert (part.planned, part.attempted, part.opened, part.failed) == (100, 100, 96, 4)
    assert (part.peak, part.held) == (96, 91)
    assert part.held_by_cohort == {"idle": 51, "chatty": 30, "pinged": 10}
    assert summary.disconnects["idle"] == {"haproxy_tunnel_timeout": 5, "planned": 51}
    assert summary.handshake_failures == {"503": 3, "timeout": 1}
    assert summary.counters["opened"] == {"idle": 56, "chatty": 30, "pinged": 10}
    assert not [name for name in summary.counters if ":" in name]
    assert summary.hold == {
        "seconds": 10.0,
        "counters": summary.hold["counters"] | {"received": {"chatty": 3000}},
    }
    assert (summary.verdict.slo, summary.verdict.validity, summary.partial) == ("none", "valid", False)


def test_cpu_is_the_difference_of_first_and_last_readings(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, driver_cpu=0.4, haproxy_cpu=0.3, workers=2, haproxy_processes=2)
    assert summary.driver["cpu_s"] == pytest.approx(2 * 0.4 * 14)
    assert summary.driver["hold"]["cpu_s"] == pytest.approx(2 * 0.4 * 10)
    assert summary.haproxy["cpu_s"] == pytest.approx(2 * 0.3 * 14, rel=1e-3)
    assert summary.haproxy["hold"]["cpu_s"] == pytest.approx(2 * 0.3 * 10, rel=1e-3)
    assert summary.haproxy["peak_rss_bytes"] == 2 * 30 * 1024**2
    assert summary.driver["peak_rss_bytes"] == 2 * 40 * 1024**2
    assert (summary.haproxy["peak_slots"], summary.haproxy["peak_connections"]) == (100, 102)
    assert (summary.haproxy["version"], summary.haproxy["processes"]) == ("2.6.12", 2)


def test_a_restarted_process_is_not_counted_backwards(tmp_path: Path) -> None:
    meter = CpuMeter(RunFolder(make_folder(tmp_path)).info, hold_end_s=13.0)
    for t_s, cpu_s in ((1, 5.0), (2, 6.0), (3, 0.1), (4, 0.4)):
        meter.add(0, t_s, cpu_s)
    assert meter.total_s == pytest.approx(1.3)
    assert meter.hold_shares() == {0: pytest.approx(0.3)}


def test_readings_across_the_holds_edges_count_in_proportion(tmp_path: Path) -> None:
    meter = CpuMeter(RunFolder(make_folder(tmp_path)).info, hold_end_s=13.0)
    for t_s, cpu_s in ((2.5, 0.0), (3.5, 1.0), (12.5, 1.0), (13.5, 3.0)):
        meter.add(0, t_s, cpu_s)
    assert meter.hold_s == {0: pytest.approx(0.5 + 1.0)}
    assert meter.hold_span_s == {0: pytest.approx(10)}


def test_metrics_are_of_the_hold_and_openings_of_the_whole_run(tmp_path: Path) -> None:
    metrics = summary_of(tmp_path).metrics
    assert metrics["echo_corrected"]["chatty"]["count"] == 3000
    assert metrics["handshake"]["all"]["count"] == 100
    assert list(metrics["handshake"]) == ["idle", "chatty", "pinged", "all"]
    figures = metrics["echo_corrected"]["all"]
    assert list(figures) == ["unit", "count", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"]
    assert figures["p50"] == pytest.approx(2.0, rel=0.05)
    assert figures["min"] <= figures["p50"] <= figures["p99.9"] <= figures["max"]


def test_values_over_the_range_are_told() -> None:
    histogram = Histogram()
    histogram.record_many([1_000_000, 10**18])
    assert statistics(histogram)["over_range"] == 1


def test_slos_are_judged_from_the_profile(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path, slos={"echo_corrected{chatty}": ["p(99)<1ms"], "handshake_failed": ["rate<1%"]}
    )
    assert summary.verdict.slo == "failed"
    assert [row.passed for row in summary.verdict.slo_rows] == [False, True]


def test_a_busy_worker_and_dropped_logs_make_it_suspect(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, driver_cpu=0.97, dropped_logs=7)
    assert summary.verdict.validity == "suspect"
    assert summary.haproxy["dropped_logs"] == 7
    assert len(summary.verdict.reasons) == 2


def test_lines_lost_in_our_receive_buffer_make_it_suspect(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, actions=[ActionLine(15.0, "haproxy_log", {"lines": 95, "lost": 5})])
    assert summary.verdict.reasons[0].startswith("5 lines of HAProxy's log did not arrive")


def test_the_drivers_memory_before_its_first_tunnel_is_told(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, actions=[ActionLine(0.0, "workers_ready", {"rss_bytes": 77})])
    assert summary.driver["base_rss_bytes"] == 77


def test_a_hold_ends_when_haproxy_does(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path, cut_at_s=9, actions=[ActionLine(7.0, "haproxy_exited", {"returncode": -9})]
    )
    assert (summary.verdict.validity, summary.partial, summary.hold["seconds"]) == ("invalid", True, 4)
    assert summary.verdict.reasons[0].startswith("HAProxy ended unasked with status -9 at 7.0 s; ")


def test_a_lagging_generator_makes_it_invalid(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, lag_ms=200)
    assert summary.verdict.validity == "invalid"
    assert summary.driver["lag_p99_ms"] > 200


LATE_SLOS = {
    "echo_corrected{chatty}": ["p(99)<50ms", "count>0"],
    "handshake": ["max<50ms"],
    "received": ["rate==300/s", "count==3000"],
    "disconnect_unexpected": ["count==5"],
}


def test_an_invalid_interval_is_left_out_of_times_and_rates_and_its_counts_stay(tmp_path: Path) -> None:
    cut = Ends("idle", 5, 4.5, 4.5, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)  # all of them in the fifth second
    summary = summary_of(tmp_path, late_ms={4: 300.0}, ends=[cut], slos=LATE_SLOS)
    assert [(span.from_s, span.to_s, span.validity, span.doubts) for span in summary.doubts] == [
        (4, 5, "invalid", ["lag"])
    ]
    assert summary.intervals == IntervalsPart(judged=13, invalid=1, left_out=1)
    assert summary.verdict.slo == "passed"
    assert [row.value for row in summary.verdict.slo_rows][3:] == [300, 3000, 5]
    figures = summary.metrics["echo_corrected"]["chatty"]
    assert (figures["count"], figures["max"] < 50) == (2700, True)
    assert (summary.hold["seconds"], summary.hold["left_out_s"]) == (10, 1)
    assert summary.driver["lag_p99_ms"] > 300
    assert summary.verdict.validity == "suspect"
    assert summary.verdict.reasons[0].startswith(
        "1 of 10 intervals of the hold was invalid (lag), and latencies and rates leave it out; at worst "
        "generator lag p99 was "
    )


def test_handshakes_of_an_invalid_interval_of_the_ramp_are_left_out(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, late_ms={1: 300.0}, slos={"handshake": ["max<50ms"]})
    assert summary.verdict.slo == "passed"
    assert summary.metrics["handshake"]["all"]["count"] < 100 == summary.tunnels.opened
    assert summary.intervals == IntervalsPart(judged=13, invalid=1, left_out=0)
    assert "1 interval of the ramp was invalid" in summary.verdict.reasons[0]


def test_too_many_invalid_intervals_make_it_invalid(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, late_ms={4: 300.0, 6: 300.0, 8: 300.0})
    assert (summary.verdict.validity, summary.intervals.left_out) == ("invalid", 3)
    assert [span.from_s for span in summary.doubts] == [4, 6, 8]


def test_late_replies_in_the_interval_after_a_lag_are_left_out_too(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, late_ms={4: 300.0}, replies_late_ms={5: 300.0, 8: 300.0})
    spans = [(span.from_s, span.to_s, span.doubts) for span in summary.doubts]
    assert spans == [(4, 6, ["lag"])]  # at 8 s nothing had lagged: that is the system's slowness
    assert summary.metrics["echo_corrected"]["chatty"]["count"] == 2400
    assert summary.verdict.validity == "suspect"


def test_slos_over_a_hold_without_a_valid_interval_have_no_value_and_say_so(tmp_path: Path) -> None:
    slos = {"echo_corrected": ["p(99)<1s"], "received": ["rate>0/s"], "disconnect_unexpected": ["count==0"]}
    summary = summary_of(tmp_path, lag_ms=200, slos=slos)
    rows = [(row.value, row.passed, row.note) for row in summary.verdict.slo_rows]
    assert rows == [
        (None, False, "nothing measured in the valid intervals of the hold"),
        (None, False, "no interval of the hold is valid"),
        (0, True, ""),
    ]
    assert "echo_corrected" not in summary.metrics
    assert summary.verdict.validity == "invalid"


def test_openings_without_a_port_of_our_own_make_it_invalid(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, failures={"no_port": 3})
    assert summary.verdict.validity == "invalid"
    assert summary.verdict.reasons[0].startswith("3 of 100 openings found no free local port of the driver's")
    assert [span.doubts for span in summary.doubts] == [["no_port"]]


def test_a_worker_that_falls_silent_in_the_drain_is_no_worker_lost(tmp_path: Path) -> None:
    assert summary_of(tmp_path / "drain", missing={14: [1]}).verdict.validity == "valid"
    assert summary_of(tmp_path / "hold", missing={8: [1]}).verdict.validity == "suspect"


def test_a_worker_that_is_silent_in_too_many_intervals_makes_the_run_invalid(tmp_path: Path) -> None:
    assert summary_of(tmp_path, missing={6: [1], 7: [1], 8: [1]}).verdict.validity == "invalid"


def test_a_run_cut_short_is_partial_and_summed_as_far_as_it_goes(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, cut_at_s=8, torn=True)
    assert summary.partial
    assert summary.duration_s == 7
    assert summary.verdict.validity == "suspect"
    assert summary.tunnels.held == 100
    assert summary.hold["seconds"] == 4


def test_a_run_cut_short_while_opening_held_nothing(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, cut_at_s=2)
    assert (summary.partial, summary.tunnels.held, summary.tunnels.peak) == (True, 0, 67)
    assert summary.hold["seconds"] == 0


def test_an_interrupted_hold_ends_where_it_was_interrupted(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, actions=[ActionLine(8.0, "interrupted")])
    assert summary.partial
    assert summary.hold["seconds"] == 5
    assert summary.driver["hold"]["cpu_s"] == pytest.approx(2 * 0.4 * 5)


def test_a_run_that_ended_before_its_first_interval_has_a_summary(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, cut_at_s=0, slos={"handshake": ["p(99)<1s"]})
    assert (summary.partial, summary.duration_s, summary.tunnels.opened) == (True, 0, 0)
    assert summary.verdict.slo == "failed"
    assert summary.metrics == {}


def test_a_run_in_which_nothing_opened_failed_but_is_valid(tmp_path: Path) -> None:
    summary = summary_of(
        tmp_path, cohorts={"idle": 20}, failures={"refused": 20}, slos={"handshake_failed": ["rate<1%"]}
    )
    assert (summary.tunnels.opened, summary.tunnels.failed, summary.tunnels.held) == (0, 20, 0)
    assert (summary.verdict.slo, summary.verdict.validity) == ("failed", "valid")


def test_without_haproxy_there_are_no_haproxy_figures(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, via="direct", timers_ms={})
    assert (summary.haproxy, summary.via) == ({}, "direct")


def test_the_same_folder_gives_the_same_bytes_and_they_read_back(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path))
    first, second = (encode_summary(summarise(folder, Profile(title="x"))) for _ in range(2))
    assert first == second
    assert msgspec.json.decode(first, type=Summary).schema == layout.SUMMARY_SCHEMA
