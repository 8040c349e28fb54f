"""Reading result folders back, whole and broken."""

from pathlib import Path

import pytest

from tests.made_folder import Ends, make_campaign, make_folder
from wsload.analysis.capacity_file import read_capacity
from wsload.analysis.folder import RunFolder, merged
from wsload.errors import FolderError
from wsload.record import layout
from wsload.record.layout import ActionLine
from wsload.record.outcome import Cause, Phase, Wire


def test_a_run_reads_back_as_it_was_made(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path, ends=[Ends("idle", 2, 4.0, 4.0)]))
    assert folder.info.cohorts == {"idle": 60, "chatty": 30, "pinged": 10}
    assert [line.t_s for line in folder.intervals()] == [float(second) for second in range(1, 16)]
    assert folder.environment()["cores"] == 2
    summary = folder.summary()
    assert summary is not None
    assert summary.tunnels.planned == 100
    assert not folder.torn


def test_disconnects_are_typed_and_empty_cells_are_none(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path, ends=[Ends("idle", 1, 4.0, 3.5)]))
    first = folder.disconnects()[0]
    assert (first.wire, first.cause, first.phase) == (Wire.FIN, Cause.PEER_FIN, Phase.HOLD)
    assert (first.idle_rx_s, first.close_code, first.close_reason) == (3.5, None, "")


def test_haproxy_samples_are_typed(tmp_path: Path) -> None:
    samples = RunFolder(make_folder(tmp_path)).haproxy_stats()
    assert samples[0]["version"] == "2.6.12"
    assert samples[-3]["slots"] == 100
    assert samples[-3]["cpu_s"] == pytest.approx(0.2 + 0.3 * 13)


def test_a_run_without_haproxy_has_no_samples(tmp_path: Path) -> None:
    assert RunFolder(make_folder(tmp_path, via="direct")).haproxy_stats() == []


def test_merged_adds_up_counters_and_histograms_by_cohort_and_phase(tmp_path: Path) -> None:
    sums = merged(RunFolder(make_folder(tmp_path)))
    assert sums["idle"][Phase.OPEN].counters["opened"] == 60
    assert sums["chatty"][Phase.HOLD].counters["received"] == 3000
    assert sums["chatty"][Phase.HOLD].histograms["echo_corrected"].total() == 3000


def test_values_above_the_histograms_range_are_kept_count_of(tmp_path: Path) -> None:
    make_folder(tmp_path)
    path = tmp_path / layout.SNAPSHOTS
    path.write_text(path.read_text().replace('"over_range":{}', '"over_range":{"tunnel_age":2}', 1))
    histograms = merged(RunFolder(tmp_path))["idle"][Phase.OPEN].histograms
    assert histograms["tunnel_age"].over_range == 2


@pytest.mark.parametrize("name", [layout.SNAPSHOTS, layout.DISCONNECTS, layout.HAPROXY_STATS])
def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path, name: str) -> None:
    folder = RunFolder(make_folder(tmp_path, cut_at_s=8, ends=[Ends("idle", 5, 2, 2)]))
    whole = len((tmp_path / name).read_text().splitlines())
    text = (tmp_path / name).read_text()
    (tmp_path / name).write_text(text[:-9])
    read = {
        layout.SNAPSHOTS: lambda: 0 + len(list(folder.intervals())),
        layout.DISCONNECTS: lambda: 1 + len(folder.disconnects()),
        layout.HAPROXY_STATS: lambda: 1 + len(folder.haproxy_stats()),
    }
    assert read[name]() == whole - 1
    assert folder.torn


def test_a_row_whose_last_figure_lost_digits_is_torn_though_all_cells_are_there(tmp_path: Path) -> None:
    path = make_folder(tmp_path) / layout.HAPROXY_STATS
    path.write_text(path.read_text().rstrip()[:-3])
    folder = RunFolder(tmp_path)
    assert len(folder.haproxy_stats()) == 14
    assert folder.torn


def test_a_csv_with_nothing_but_half_a_header_is_empty(tmp_path: Path) -> None:
    (make_folder(tmp_path) / layout.DISCONNECTS).write_text("t_s,wor")
    assert RunFolder(tmp_path).disconnects() == []


def test_files_that_a_short_run_never_wrote_are_empty(tmp_path: Path) -> None:
    make_folder(tmp_path)
    for name in (layout.SNAPSHOTS, layout.DISCONNECTS, layout.HAPROXY_STATS, layout.ACTIONS, layout.SUMMARY):
        (tmp_path / name).unlink()
    (tmp_path / layout.ENVIRONMENT).unlink()
    folder = RunFolder(tmp_path)
    assert [*folder.intervals(), *folder.disconnects(), *folder.haproxy_stats(), *folder.actions()] == []
    assert folder.environment() == {}
    assert folder.summary() is None


def test_a_close_reason_with_commas_quotes_and_newlines_survives(tmp_path: Path) -> None:
    path = make_folder(tmp_path) / layout.DISCONNECTS
    text = path.read_text().replace(",1000,,planned", ',1000,"bye, ""you""\nthere",planned', 1)
    path.write_text(text)
    assert RunFolder(tmp_path).disconnects()[0].close_reason == 'bye, "you"\nthere'


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    path = make_folder(tmp_path) / layout.SNAPSHOTS
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:3], "{oops}\n", *lines[4:]]))
    with pytest.raises(FolderError, match=r"snapshots\.jsonl: line 4 cannot be read .*; delete that line"):
        list(RunFolder(tmp_path).intervals())


def test_a_broken_csv_row_is_named(tmp_path: Path) -> None:
    path = make_folder(tmp_path) / layout.HAPROXY_STATS
    path.write_text(path.read_text().replace("3.000,0,4000", "x,0,4000"))
    with pytest.raises(FolderError, match=r"haproxy-stats\.csv: line 4 cannot be read"):
        RunFolder(tmp_path).haproxy_stats()


def test_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such folder; name the folder that wsload run wrote"):
        RunFolder(tmp_path / "gone")


def test_a_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"holds no plan\.json, so no run"):
        RunFolder(tmp_path)


def test_a_campaigns_folder_is_refused_as_a_run(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is a campaign's folder; name one of the runs in it"):
        RunFolder(make_campaign(tmp_path, tunnels_s=[1]))


def test_a_newer_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    make_folder(tmp_path, schema_version=layout.SCHEMA_VERSION + 1)
    with pytest.raises(
        FolderError, match=r"has version 2 .* reads up to 1; install the wsload that wrote it"
    ):
        RunFolder(tmp_path)


def test_a_newer_summary_is_refused(tmp_path: Path) -> None:
    path = make_folder(tmp_path) / layout.SUMMARY
    path.write_text(path.read_text().replace(layout.SUMMARY_SCHEMA, "wsload.summary/9"))
    with pytest.raises(FolderError, match=r"summary\.json: has version 9"):
        RunFolder(tmp_path).summary()


def test_a_plan_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (make_folder(tmp_path) / layout.PLAN).write_text("{")
    with pytest.raises(FolderError, match=r"plan\.json: cannot be read"):
        RunFolder(tmp_path)


def test_a_capacity_table_reads_back_as_written(tmp_path: Path) -> None:
    rows = read_capacity(make_campaign(tmp_path, tunnels_s=[2, 30]))
    assert [row["haproxy.timeouts.tunnel"] for row in rows] == ["2s", "30s"]
    assert rows[1]["held"] == "100"


def test_a_folder_that_is_no_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"holds no readable capacity\.csv"):
        read_capacity(tmp_path)


def test_an_interruption_ends_the_hold(tmp_path: Path) -> None:
    whole = RunFolder(make_folder(tmp_path / "whole"))
    cut = RunFolder(make_folder(tmp_path / "cut", actions=[ActionLine(7.5, "interrupted")]))
    assert (whole.hold_end_s(), cut.hold_end_s()) == (13.0, 7.5)
    assert (whole.ended_early(15.0), cut.ended_early(15.0)) == (False, True)
