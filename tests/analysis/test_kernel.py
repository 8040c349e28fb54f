"""By how much the kernel's counters rose, and in which part of the run."""

from pathlib import Path

import msgspec

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.kernel import summarise_kernel
from wsload.analysis.summary import summarise
from wsload.profile.load import load_profile
from wsload.record import layout
from wsload.record.layout import KernelLine
from wsload.record.summary import KernelPart


def at(t_s: float, retransmitted: int) -> KernelLine:
    return KernelLine(t_s, {"RetransSegs": retransmitted})


def test_the_hold_is_told_apart_from_ramp_and_drain() -> None:
    lines = [at(0, 100), at(2, 101), at(3, 103), at(5, 110), at(13, 120), at(14, 150)]
    assert summarise_kernel(lines, 3, 13) == KernelPart({"RetransSegs": 50}, {"RetransSegs": 17})


def test_what_no_line_tells_of_did_not_change() -> None:
    assert summarise_kernel([at(0, 100), at(8, 104)], 3, 13) == KernelPart(
        {"RetransSegs": 4}, {"RetransSegs": 4}
    )
    assert summarise_kernel([at(0, 100), at(2, 104)], 3, 13) == KernelPart(
        {"RetransSegs": 4}, {"RetransSegs": 0}
    )


def test_an_interval_that_ends_a_hair_after_the_holds_edge_stands_for_it() -> None:
    lines = [at(0, 100), at(3.01, 105), at(13.01, 107)]
    assert summarise_kernel(lines, 3, 13, slack_s=0.02) == KernelPart({"RetransSegs": 7}, {"RetransSegs": 2})


def test_a_folder_of_an_earlier_version_says_nothing(tmp_path: Path) -> None:
    assert summarise_kernel([], 3, 13) is None
    folder = make_folder(tmp_path)
    assert summarise(RunFolder(folder), load_profile(folder / layout.PROFILE).profile).kernel is None


def test_a_system_without_counters_is_told_apart_from_one_without_losses() -> None:
    assert summarise_kernel([KernelLine(0, {})], 3, 13) == KernelPart({}, {})


def test_the_summary_reads_the_folders_lines(tmp_path: Path) -> None:
    folder = make_folder(tmp_path)
    lines = [at(0, 100), at(3, 103), at(9, 110)]
    (folder / layout.KERNEL).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    summary = summarise(RunFolder(folder), load_profile(folder / layout.PROFILE).profile)
    assert summary.kernel == KernelPart({"RetransSegs": 10}, {"RetransSegs": 7})
