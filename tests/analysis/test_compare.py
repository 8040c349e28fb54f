"""Runs beside each other."""

from pathlib import Path
from typing import Any

import pytest

from tests.made_folder import make_folder
from wsload.analysis.compare import compare
from wsload.analysis.folder import RunFolder
from wsload.analysis.summary import encode_summary, summarise
from wsload.errors import FolderError
from wsload.profile.model import Profile
from wsload.record import layout


def made(path: Path, **choices: Any) -> Path:
    folder = RunFolder(make_folder(path, **choices))
    (path / layout.SUMMARY).write_bytes(encode_summary(summarise(folder, Profile(title="x"))))
    return path


def test_each_figure_has_its_ratio_to_the_first_run(tmp_path: Path) -> None:
    comparison = compare([made(tmp_path / "a"), made(tmp_path / "b", latency_ms=4.0)])
    rows = {row.name: row for row in comparison.rows}
    assert rows["echo_corrected p50"].ratios[0] == 1
    assert rows["echo_corrected p50"].ratios[1] == pytest.approx(2, rel=0.01)
    assert rows["handshakes failed"].ratios == (None, None)
    assert comparison.warnings == ()
    assert comparison.letters == "AB"


def test_unlike_runs_are_refused_and_every_difference_named(tmp_path: Path) -> None:
    folders = [
        made(tmp_path / "a"),
        made(tmp_path / "b", hold_s=12.0, cohorts={"idle": 50}, timers_ms={"tunnel": 5000}),
    ]
    with pytest.raises(FolderError) as refused:
        compare(folders)
    text = str(refused.value)
    for difference in (
        "tunnels is 100 in a, 50 in b",
        "hold is 10s in a, 12s in b",
        "cohort chatty is 30 tunnels in a, none in b",
        "timeout tunnel is 1h in a, 5s in b",
        "timeout client is 30s in a, none in b",
    ):
        assert difference in text
    assert text.endswith("add --force to compare them all the same")


def test_forced_the_differences_are_warnings(tmp_path: Path) -> None:
    comparison = compare([made(tmp_path / "a"), made(tmp_path / "b", hold_s=12.0)], force=True)
    assert comparison.differences == ("hold is 10s in a, 12s in b",)
    assert comparison.warnings == ("not alike: hold is 10s in a, 12s in b",)


def test_a_run_that_is_not_valid_is_pointed_out(tmp_path: Path) -> None:
    comparison = compare([made(tmp_path / "a"), made(tmp_path / "b", lag_ms=200)])
    assert comparison.warnings[0].startswith(
        "b is invalid: 10 of 10 intervals of the hold were invalid (lag)"
    )


def test_a_figure_that_one_run_lacks_has_no_ratio(tmp_path: Path) -> None:
    comparison = compare(
        [made(tmp_path / "a"), made(tmp_path / "b", via="direct", maxconn=0)],
        force=True,
    )
    row = next(row for row in comparison.rows if row.name == "HAProxy CPU in the hold")
    assert row.values[1] is None
    assert row.ratios == (1, None)


def test_one_folder_is_too_few(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="compare takes 2 to 26 folders, got 1"):
        compare([made(tmp_path / "a")])


def test_a_run_without_a_summary_says_how_to_make_it(tmp_path: Path) -> None:
    cut = make_folder(tmp_path / "b", cut_at_s=5)
    with pytest.raises(FolderError, match=r"has no summary\.json; make it with: wsload report .*b"):
        compare([made(tmp_path / "a"), cut])
