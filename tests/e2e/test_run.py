"""Whole runs by the command line, with real processes: each way to the backend, each kind of traffic."""

import csv
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.invoke import invoke
from tests.e2e.command import MIXED, Command, Ended, run_arguments, settings, start, until
from tests.e2e.scenarios import scenario
from wsload.analysis.folder import DisconnectRow, RunFolder
from wsload.errors import ExitCode
from wsload.record import layout
from wsload.record.outcome import Cause, Phase, Wire

pytestmark = pytest.mark.e2e

COHORTS = {"idle": 72, "chatty": 36, "pinged": 12}
LISTED = {
    layout.PROFILE,
    layout.PLAN,
    layout.ENVIRONMENT,
    layout.HAPROXY_CFG,
    layout.SNAPSHOTS,
    layout.LATENCY_LOG,
    layout.DISCONNECTS,
    layout.HAPROXY_LOG,
    layout.HAPROXY_STATS,
    layout.ACTIONS,
    layout.KERNEL,
    layout.SUMMARY,
}
"""What design.md lists, but for the views."""
SUMMARY_KEYS = {
    "": "schema title started duration_s partial verdict tunnels metrics counters disconnects "
    "handshake_failures haproxy driver backend",
    "verdict": "slo validity reasons slo_rows",
    "tunnels": "planned attempted opened failed peak held",
    "haproxy": "version timers_ms peak_connections cpu_s peak_rss_bytes dropped_logs hold",
    "driver": "workers cpu_s peak_rss_bytes lag_p99_ms hold",
    "backend": "cpu_s peak_rss_bytes hold",
}
"""What formats.md promises."""
STATISTICS = {"unit", "count", "min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"}


def play(*arguments: str, profile: str = MIXED, **values: str) -> Callable[[Path], Ended]:
    return lambda folder: start(folder, *arguments, profile=profile, **values).end()


def disconnects(ended: Ended) -> list[DisconnectRow]:
    return RunFolder(ended.folder).disconnects()


def assert_all_held_and_closed_by_plan(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED, ended.err + ended.out
    tunnels = ended.summary.tunnels
    assert (tunnels.planned, tunnels.attempted, tunnels.opened, tunnels.failed) == (120, 120, 120, 0)
    assert (tunnels.peak, tunnels.held, tunnels.held_by_cohort) == (120, 120, COHORTS)
    assert ended.summary.disconnects == {name: {Cause.PLANNED: count} for name, count in COHORTS.items()}
    assert {row.close_code for row in disconnects(ended)} == {1000}
    assert ended.faults == []
    for cohort, metric in (("chatty", "echo_corrected"), ("chatty", "echo_service"), ("pinged", "ping_rtt")):
        assert ended.summary.metrics[metric][cohort]["count"] > 0
    sent = ended.summary.counters["sent"]["chatty"]
    assert sent == ended.summary.counters["received"]["chatty"] > 36


@scenario(play(load__workers="2"))
def test_a_run_through_haproxy_opens_holds_and_closes_all(ended: Ended) -> None:
    assert_all_held_and_closed_by_plan(ended)
    assert ended.err == ""
    summary: dict[str, Any] = json.loads((ended.folder / layout.SUMMARY).read_text())
    for part, names in SUMMARY_KEYS.items():
        assert set(names.split()) <= (summary[part] if part else summary).keys(), part
    assert set(summary["metrics"]["handshake"]["idle"]) >= STATISTICS
    assert summary["schema"] == "wsload.summary/1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", summary["started"])
    assert summary["haproxy"]["peak_slots"] == 120
    assert summary["haproxy"]["cpu_s"] > 0
    assert summary["backend"]["peak_rss_bytes"] > 0
    assert {row["passed"] for row in summary["verdict"]["slo_rows"]} == {True}


@scenario(play(target__via="direct"))
def test_a_run_goes_without_haproxy(ended: Ended) -> None:
    assert_all_held_and_closed_by_plan(ended)
    assert not (ended.folder / layout.HAPROXY_CFG).exists()
    assert not (ended.folder / layout.HAPROXY_STATS).exists()
    assert ended.summary.haproxy == {}


@pytest.fixture
def backend_url(tmp_path: Path) -> Iterator[str]:
    """``wsload backend`` by itself."""
    command = Command(["backend", "--listen", "127.0.0.1:0"], tmp_path / "backend")
    output = tmp_path / "backend.out"
    found = until(lambda: re.search(r"ws://\S+", output.read_text()), "the backend")
    yield found[0]
    command.signal(2)
    ended = command.end()
    assert (ended.code, ended.err, ended.orphans) == (ExitCode.PASSED, "", [])


def test_a_run_drives_what_is_already_there(backend_url: str, tmp_path: Path) -> None:
    ended = start(tmp_path / "run", target__via="url", target__url=backend_url).end()
    ended.assert_tidy()
    assert_all_held_and_closed_by_plan(ended)
    assert ended.summary.via == "url"
    assert ended.summary.backend["peak_rss_bytes"] == 0


TIMEOUT = {
    "haproxy__timeouts__tunnel": "1s",
    "load__hold": "2500ms",
    "cohort__chatty__rate": "9/s",
    "cohort__chatty__arrivals": "even",
}


@scenario(play(**TIMEOUT))
def test_a_tunnel_timeout_cuts_the_idle_and_keeps_those_that_talk(ended: Ended) -> None:
    assert ended.code == ExitCode.SLO_FAILED
    assert ended.summary.tunnels.held_by_cohort == {"idle": 0, "chatty": 36, "pinged": 12}
    causes = ended.summary.disconnects
    assert causes["idle"] == {Cause.HAPROXY_TUNNEL_TIMEOUT: 72}
    assert causes["chatty"] == {Cause.PLANNED: 36}
    assert causes["pinged"] == {Cause.PLANNED: 12}
    cut = [row for row in disconnects(ended) if row.cause is Cause.HAPROXY_TUNNEL_TIMEOUT]
    assert {row.wire for row in cut} == {Wire.FIN}
    assert all((row.idle_rx_s or 0) > 0.9 for row in cut)
    assert ended.faults == []


@scenario(play(haproxy__processes="2", haproxy__maxconn="100", backend__processes="2"))
def test_several_haproxy_and_backend_processes_share_the_load(ended: Ended) -> None:
    assert_all_held_and_closed_by_plan(ended)
    assert (ended.folder / "haproxy-2.cfg").is_file()
    samples = RunFolder(ended.folder).haproxy_stats()
    assert {sample["process"] for sample in samples} == {0, 1}
    assert {max(s["slots"] for s in samples if s["process"] == number) for number in (0, 1)} == {60}
    assert ended.summary.haproxy["peak_slots"] == 120


ONE_COHORT = """
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = "{rate}"
match = "{match}"
payload = "32B"
"""


@scenario(play(profile=ONE_COHORT.format(rate="5/s", match="fifo"), load__tunnels="40"))
def test_replies_are_matched_in_order(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED
    counters = ended.summary.counters
    assert counters["sent"] == counters["received"]
    assert ended.summary.metrics["echo_corrected"]["chatty"]["count"] > 100


@scenario(play(profile=ONE_COHORT.format(rate="max", match="stamp"), load__tunnels="4"))
def test_a_closed_loop_sends_the_next_message_when_the_reply_is_in(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED
    counters = ended.summary.counters
    assert 0 <= counters["sent"]["chatty"] - counters["received"]["chatty"] <= 4
    assert counters["received"]["chatty"] > 400


@scenario(play(profile="", load__tunnels="20", backend__reply="push", backend__push_rate="10/s"))
def test_a_backend_that_pushes_keeps_idle_tunnels_busy(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED
    assert ended.summary.counters["received"]["idle"] > 100
    assert ended.summary.disconnects == {"idle": {Cause.PLANNED: 20}}


@scenario(play(profile="", load__tunnels="20", load__hold="1500ms", backend__idle_close="500ms"))
def test_a_backends_own_idle_close_is_told_by_its_close_frame(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED
    found = disconnects(ended)
    assert len(found) == 20
    assert {(row.wire, row.close_code) for row in found} == {(Wire.CLOSE, 1001)}
    assert not {row.cause for row in found} & {Cause.PLANNED, Cause.HAPROXY_TUNNEL_TIMEOUT, Cause.PEER_FIN}
    assert ended.summary.tunnels.held == 0


@scenario(play("--json", load__tunnels="10", load__hold="400ms"))
def test_json_is_all_that_stands_on_stdout(ended: Ended) -> None:
    assert ended.err == ""
    assert ended.out.encode() == (ended.folder / layout.SUMMARY).read_bytes()


@scenario(play("--quiet", load__tunnels="10", load__hold="400ms"))
def test_quiet_says_nothing(ended: Ended) -> None:
    assert (ended.code, ended.out, ended.err) == (ExitCode.PASSED, "", "")


def without_out(folder: Path) -> Ended:
    (folder.parent / "short.toml").write_text("")
    given = settings({"load.tunnels": "10", "load.hold": "300ms"})
    first, second = (
        Command(["run", "short.toml", "--no-plots", *given], folder.with_name(name))
        for name in ("first", "second")
    )
    codes = [first.end().code, second.end().code]
    results = sorted((folder.parent / "results").iterdir())
    return Ended(max(codes), "\n".join(str(path) for path in results), "", results[0])


@scenario(without_out)
def test_two_runs_at_once_get_a_folder_each(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED
    folders = ended.out.splitlines()
    assert len(folders) == 2
    assert all((Path(folder) / layout.SUMMARY).is_file() for folder in folders)


def test_the_reader_of_the_text_may_leave(tmp_path: Path) -> None:
    arguments = run_arguments(tmp_path / "short", profile="", load__tunnels="10", load__hold="300ms")
    line = f"{shlex.join([sys.executable, '-m', 'wsload', *arguments])} | head -1"
    command = Command([], tmp_path / "head", shell=f"{line}; exit ${{PIPESTATUS[0]}}")
    ended = command.end()
    assert (ended.code, ended.err) == (ExitCode.PASSED, "")
    assert ended.out.startswith("short")


# The last, as drawing takes the processor from runs that are still under way.
@scenario(play(load__interval="250ms"))
def test_the_folder_holds_what_the_design_lists(ended: Ended, capsys: pytest.CaptureFixture[str]) -> None:
    written = {path.name for path in ended.folder.iterdir()}
    assert written >= LISTED
    assert not any(name.startswith(".") for name in written)
    lines = list(RunFolder(ended.folder).intervals())
    assert [line.seq for line in lines] == list(range(len(lines)))
    assert [line.phase for line in lines] == sorted((line.phase for line in lines), key=list(Phase).index)
    with (ended.folder / layout.HAPROXY_STATS).open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == layout.HAPROXY_STATS_COLUMNS
    assert max(int(row["slots"]) for row in rows) == 120
    assert len(rows) >= 4
    logged = (ended.folder / layout.HAPROXY_LOG).read_text().splitlines()
    assert sum("raw" not in json.loads(line) for line in logged) == 120
    environment = json.loads((ended.folder / layout.ENVIRONMENT).read_text())
    assert environment["haproxy"]
    assert environment["haproxy_timers_ms"] == ended.summary.haproxy["timers_ms"]
    assert environment["shares_host"] == ["driver", "haproxy", "backend"]
    # The views are made from the folder alone, wherever it is.
    moved = ended.folder.rename(ended.folder.with_name("moved"))
    before = (moved / layout.SUMMARY).read_bytes()
    said = invoke(capsys, "report", str(moved))
    assert said.code == ExitCode.PASSED
    assert "SLO passed" in said.out
    assert said.err == ""
    assert (moved / layout.SUMMARY).read_bytes() == before
    assert {path.name for path in moved.iterdir()} == written | {layout.PLOTS, layout.REPORT}
    pictures = {path.stem: path.suffix for path in (moved / layout.PLOTS).iterdir()}
    assert {"latency_percentiles", "tunnels_over_time", "openings", "disconnects"} <= pictures.keys()
