"""One line that tells a lossy result from a slow one."""

from pathlib import Path

import pytest

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.summary import encode_summary, summarise
from wsload.profile.load import load_profile
from wsload.record import layout
from wsload.record.kernel import COUNTERS
from wsload.record.summary import KernelPart, Summary
from wsload.report.html import write_html
from wsload.report.kernel_wording import kernel_rows
from wsload.report.text import final_text

NOTHING = dict.fromkeys(COUNTERS, 0)
SCOPE = "counts of the whole host, not of this run alone"


@pytest.fixture
def made(tmp_path: Path) -> tuple[RunFolder, Summary]:
    folder = RunFolder(make_folder(tmp_path))
    return folder, summarise(folder, load_profile(tmp_path / layout.PROFILE).profile)


def said(summary: Summary, **counters: int) -> str:
    summary.kernel = KernelPart(NOTHING | counters, NOTHING)
    (row,) = kernel_rows(summary)
    return "  ".join(f"{label}={text}" if label else text for label, text in row.cells)


def test_where_nothing_was_lost_the_line_says_only_that(made: tuple[RunFolder, Summary]) -> None:
    assert said(made[1]) == "no loss"


def test_losses_are_named_with_their_counts(made: tuple[RunFolder, Summary]) -> None:
    words = said(made[1], ListenOverflows=1200, ListenDrops=1200, RetransSegs=40, TCPSynRetrans=38)
    assert words == f"retransmitted=40 (38 to open)  listen overflows=1,200  listen drops=1,200  {SCOPE}"
    assert kernel_rows(made[1])[0].grave


def test_retransmissions_that_were_not_needed_are_no_loss(made: tuple[RunFolder, Summary]) -> None:
    words = said(made[1], RetransSegs=5, TCPDSACKRecv=5)
    assert words == f"no loss  retransmitted needlessly=5  {SCOPE}"
    assert not kernel_rows(made[1])[0].grave
    assert said(made[1], RetransSegs=7, TCPDSACKRecv=5) == f"retransmitted=7 (5 needlessly)  {SCOPE}"


def test_a_slow_reader_is_no_loss(made: tuple[RunFolder, Summary]) -> None:
    assert said(made[1], TCPToZeroWindowAdv=9) == f"no loss  windows closed by a slow reader=9  {SCOPE}"


def test_a_host_without_counters_is_said_to_be_one(made: tuple[RunFolder, Summary]) -> None:
    made[1].kernel = KernelPart({}, {})
    (row,) = kernel_rows(made[1])
    assert row.cells == (("", "not known whether anything was lost: no TCP counters in /proc/net"),)


def test_results_of_earlier_versions_have_no_such_line(made: tuple[RunFolder, Summary]) -> None:
    assert kernel_rows(made[1]) == []
    assert "kernel" not in final_text(made[1], Path("x"))


def test_text_and_page_carry_the_line(made: tuple[RunFolder, Summary]) -> None:
    folder, summary = made
    said(summary, TCPBacklogDrop=3)
    assert "kernel.....................: backlog drops=3" in final_text(summary, Path("x"))
    (folder.path / layout.SUMMARY).write_bytes(encode_summary(summary))
    page = write_html(folder, summary).read_text()
    assert '<span class="quiet">backlog drops</span> 3' in page
