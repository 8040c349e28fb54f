"""Text reports: what stands in them, and that they fit."""

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.made_folder import Ends, make_campaign, make_folder
from tests.made_search import make_search_campaign
from wsload.analysis.capacity_file import read_capacity
from wsload.analysis.compare import compare
from wsload.analysis.folder import RunFolder
from wsload.analysis.summary import encode_summary, summarise
from wsload.profile.load import load_profile
from wsload.record import layout
from wsload.record.layout import ActionLine
from wsload.record.outcome import Cause, Phase
from wsload.record.summary import SloRow, SlotLedger, Summary
from wsload.report import wording
from wsload.report.live import BatchProgress, CohortProgress, HaproxyProgress, Progress, live_block
from wsload.report.text import axis_name, campaign_table, comparison_text, final_text

SLOS = {
    "handshake": ["p(99)<1s"],
    "echo_corrected{chatty}": ["p(99)<1ms"],
    "disconnect_unexpected": ["rate<0.1%"],
    "ping_rtt{idle}": ["p(99)<1s"],
}


def summary_of(path: Path, **choices: Any) -> Summary:
    folder = RunFolder(make_folder(path, **choices))
    return summarise(folder, load_profile(path / layout.PROFILE).profile)


@pytest.fixture
def rough(tmp_path: Path) -> Summary:
    """Something of everything."""
    return summary_of(
        tmp_path,
        ends=[Ends("idle", 5, 4.0, 4.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)],
        failures={"503": 3, "timeout": 1},
        slos=SLOS,
        driver_cpu=0.97,
        settings={"load.hold": "10s"},
    )


def test_verdict_rows_come_before_all_figures(rough: Summary) -> None:
    lines = final_text(rough, Path("results/x")).splitlines()
    assert lines[0] == "mixed · through HAProxy 2.6.12 · timeout tunnel 1h · 15s"
    assert lines[1] == "set load.hold=10s"
    marks = [line[0] for line in lines[3:7]]
    assert marks == ["✓", "✗", "✗", "✗"]
    assert re.search(r"✗ +ping_rtt\{idle\} +p\(99\)<1s +nothing measured in the hold", lines[6])
    assert lines[7] == "SLO failed: 3 of 4 broken"
    assert lines[8].startswith("suspect")
    assert lines[-1] == "results in results/x"


def test_the_folder_stands_on_one_line_however_long_its_name(rough: Summary) -> None:
    folder = Path("results") / ("x" * 200)
    assert final_text(rough, folder, width=80).endswith(f"\nresults in {folder}")


def test_rows_are_dotted_in_the_manner_of_k6(rough: Summary) -> None:
    text = final_text(rough, Path("x"), width=120)
    assert re.search(r"^tunnels\.{20}: planned=100  opened=96  failed=4  held=91 \(91%\)", text, re.M)
    latency = r"avg=\S+ +p50=\S+ +p90=\S+ +p95=\S+ +p99=\S+ +p99\.9=\S+ +max=\S+$"
    assert re.search(r"^echo_corrected\{chatty\}\.{5}: " + latency, text, re.M)
    assert re.search(r"^disconnect\{idle\}\.+: planned=51  haproxy_tunnel_timeout=5$", text, re.M)
    assert re.search(r"^handshake_failed\.+: 503=3 +timeout=1$", text, re.M)
    assert re.search(r"^driver\.+: cpu=.* per echo  \d+\.\d\d x HAProxy's ", text, re.M)


def test_ghosts_that_only_fell_silent_are_told_of(rough: Summary) -> None:
    rough.counters["ghost_stand_in"] = {"gone": 12, "none": 0}
    text = " ".join(final_text(rough, Path("x"), width=120).split())
    assert "ghosts{gone}" in text
    assert ": 12 only fell silent, as vanishing needs CAP_NET_ADMIN;" in text
    assert "ghosts{none}" not in text


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_asked_or_ends_in_blanks(rough: Summary, width: int) -> None:
    for line in final_text(rough, Path("x"), width=width).splitlines():
        assert len(line) <= width
        assert line == line.rstrip()


def test_a_narrow_terminal_gets_one_heading_instead_of_labels(rough: Summary) -> None:
    text = final_text(rough, Path("x"), width=80)
    assert re.search(r"^ +avg +p50 +p90 +p95 +p99 +p99\.9 +max$", text, re.M)
    assert "avg=" not in text


def test_colour_is_there_only_if_asked_for(rough: Summary) -> None:
    plain, coloured = (final_text(rough, Path("x"), color=color) for color in (False, True))
    assert "\x1b[" not in plain
    assert "\x1b[" in coloured
    stripped = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in stripped.splitlines()] == plain.splitlines()


def test_cost_is_per_tunnel_where_there_were_no_echoes(tmp_path: Path) -> None:
    text = final_text(summary_of(tmp_path, cohorts={"idle": 10}), Path("x"))
    assert "per tunnel" in text
    assert "messages in the hold" not in text
    assert "tunnels{idle}" not in text


def test_memory_per_tunnel_is_told_where_there_are_many(rough: Summary) -> None:
    rough.tunnels.peak = 10_000
    rough.driver |= {"base_rss_bytes": 40 * 1024**2, "peak_rss_bytes": 80 * 1024**2}
    assert "rss=80MiB  4.096KiB per tunnel" in final_text(rough, Path("x"), width=200)


def test_markup_in_a_title_is_taken_literally(tmp_path: Path) -> None:
    assert final_text(summary_of(tmp_path, title="[red]x[/red] :smile:"), Path("x")).startswith(
        "[red]x[/red] :smile:"
    )


@pytest.mark.parametrize(
    "choices", [{"cut_at_s": 0}, {"cut_at_s": 2}, {"cohorts": {"idle": 3}, "failures": {"503": 3}}]
)
def test_empty_and_partial_runs_have_a_text(tmp_path: Path, choices: dict[str, Any]) -> None:
    assert "tunnels" in final_text(summary_of(tmp_path, **choices), Path("x"))


def test_a_run_without_haproxy_says_so(tmp_path: Path) -> None:
    text = final_text(summary_of(tmp_path, via="direct", timers_ms={}), Path("x"))
    assert text.startswith("mixed · without HAProxy · 15s")
    assert "x HAProxy's" not in text


@pytest.mark.parametrize(
    ("row", "value"),
    [
        (SloRow("echo_corrected{a}", "p(99)<1s", 61.2399, False), "61.2ms"),
        (SloRow("handshake_failed", "rate<1%", 0.0123, False), "1.23%"),
        (SloRow("sent", "rate>1/s", 99.5, True), "99.5/s"),
        (SloRow("echo_corrected", "count>1", 1234.0, True), "1,234"),
        (SloRow("open", "value>1", 5000.0, True), "5,000"),
        (SloRow("connect", "p(99)<1s", None, False), "nothing measured"),
    ],
)
def test_a_measured_value_carries_its_unit(row: SloRow, value: str) -> None:
    assert wording.slo_value(row) == value


def test_a_campaigns_table_has_a_row_a_cell(tmp_path: Path) -> None:
    lines = campaign_table(read_capacity(make_campaign(tmp_path, tunnels_s=[2, 30])), width=80).splitlines()
    assert lines[0].split()[:3] == ["tunnel", "planned", "opened"]
    assert lines[1].split() == ["2s", "100", "100", "30", "30%", "70", "76", "none", "valid", "01-tunnel-2s"]
    assert len(lines) == 3


def test_axes_that_end_in_the_same_word_keep_their_whole_names() -> None:
    columns = ["haproxy.timeouts.client", "other.client", "load.tunnels"]
    assert [axis_name(name, columns) for name in columns] == [*columns[:2], "tunnels"]


def test_an_empty_campaign_says_so() -> None:
    assert campaign_table([]) == "no cell has run\n"


def test_a_comparison_shows_ratios_and_warnings(tmp_path: Path) -> None:
    for name, latency_ms in (("a", 2.0), ("b", 4.0)):
        ended = [ActionLine(13.0, "backend_exited")] if name == "b" else []
        summary = summary_of(tmp_path / name, latency_ms=latency_ms, actions=ended)
        (tmp_path / name / layout.SUMMARY).write_bytes(encode_summary(summary))
    text = comparison_text(compare([tmp_path / "a", tmp_path / "b"]))
    assert re.search(r"^echo_corrected p50 +1\.99ms +3\.98ms  x2\.00$", text, re.M)
    assert "! b is invalid" in text


def test_the_live_block_shows_the_run_in_80_columns() -> None:
    progress = Progress(
        title="mixed",
        phase=Phase.HOLD,
        elapsed_s=32,
        left_s=48,
        cohorts={
            "idle": CohortProgress(planned=6000, open=5990, failed=3, lost=7),
            "chatty": CohortProgress(planned=3000, open=2990, connecting=10),
        },
        opening_rate_per_s=500,
        echoes_per_s=3000,
        p50_ms=1.2345,
        p99_ms=13.9,
        lag_ms=0.2345,
        haproxy=HaproxyProgress(connections=9001, slots=9000, maxconn=9500, cpu_share=0.345),
        warnings=["driver worker 1 is at 96 % of a core"],
        cell="cell 3 of 8",
    )
    console = Console(file=StringIO(), width=80)
    console.print(live_block(progress))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    for words in (
        "mixed  cell 3 of 8",
        "holding",
        "32s done, 48s left",
        "p50 1.23ms, p99 13.9ms",
        "HAProxy 9,001 connections, 9,000 of 9,500 slots, CPU 34%",
        "! driver worker 1",
    ):
        assert words in text
    assert re.search(r"^all +8,980 +9,000 +10 +3 +7 *$", text, re.M)


def test_cells_that_run_at_once_have_a_line_each_and_one_together() -> None:
    def cell(phase: Phase, left_s: float, **numbers: int) -> Progress:
        cohorts = {"idle": CohortProgress(planned=200, **numbers), "chatty": CohortProgress(planned=100)}
        return Progress(
            title="x", phase=phase, elapsed_s=5, left_s=left_s, cohorts=cohorts, warnings=["HAProxy ended"]
        )

    cells = {
        "tunnel=2s": cell(Phase.HOLD, 8, open=120, lost=80),
        "tunnel=20s": cell(Phase.OPEN, 12, open=200),
    }
    batch = BatchProgress(title="sweep", words="cells 1-2 of 2 at once, about 12s left", cells=cells)
    console = Console(file=StringIO(), width=80)
    console.print(live_block(batch))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert text.startswith("sweep  cells 1-2 of 2 at once, about 12s left")
    assert re.search(r"^tunnel=2s +holding +8s +120 +300 +0 +80 *$", text, re.M)
    assert re.search(r"^tunnel=20s +opening +12s +200 +300 +0 +0 *$", text, re.M)
    assert re.search(r"^all +12s +320 +600 +0 +80 *$", text, re.M)
    assert text.count("! HAProxy ended") == 1


def test_the_live_block_leaves_out_what_is_not_known() -> None:
    progress = Progress(
        title="x", phase=Phase.OPEN, elapsed_s=0, left_s=0, cohorts={"idle": CohortProgress(planned=1)}
    )
    console = Console(file=StringIO(), width=80)
    console.print(live_block(progress))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert not [word for word in ("HAProxy", "p99", "lag", "None", "all") if word in text]


def test_the_table_of_a_search_shows_what_it_found_and_not_what_was_held(tmp_path: Path) -> None:
    rows = read_capacity(make_search_campaign(tmp_path, tunnels=["500ms", "8s"]))
    heading, cut, kept = campaign_table(rows, width=200).splitlines()
    assert heading.split("  ")[0] == "tunnel"
    assert "held" not in heading
    assert "at limit" in heading
    assert cut.split()[:5] == ["500ms", "valid", "0", "0", "1150"]
    assert "maxconn" in kept


def test_the_slots_are_accounted_for_in_one_line(rough: Summary) -> None:
    assert "slots..." not in final_text(rough, Path("x"))
    rough.slot_ledger = SlotLedger(
        samples=10,
        slots=500,
        live=460,
        ghosts=38,
        half_open=0,
        half_closed=0,
        peak_ghosts=45,
        unexplained_share=0.004,
        unexplained_most=3,
    )
    (row,) = wording.ledger_rows(rough)
    assert dict(row.cells) == {"in use": "500", "live": "460", "ghosts": "38", "unexplained": "0.4%"}
    assert not row.grave
    rough.slot_ledger.unexplained_share = 0.006
    assert wording.ledger_rows(rough)[0].grave
    assert "slots..." in final_text(rough, Path("x"))
