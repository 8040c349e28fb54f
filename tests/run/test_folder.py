import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wsload.errors import FolderError, RecordingError
from wsload.record import layout
from wsload.record.layout import ActionLine
from wsload.run.folder import FolderWriter

NOW = datetime(2026, 11, 22, 10, 0, 0, tzinfo=UTC)
FULL = Path("/dev/full")
"""Takes no byte: every write fails with ENOSPC (full(4))."""


def test_the_default_folder_says_when_and_what(tmp_path: Path) -> None:
    writer = FolderWriter.create_default("tunnel timeout / 5 s", NOW, tmp_path / "results")
    assert writer.path == tmp_path / "results" / "20261122-100000-tunnel-timeout-5-s"
    assert writer.path.is_dir()


def test_two_default_folders_of_one_second_are_different(tmp_path: Path) -> None:
    names = [FolderWriter.create_default("mixed", NOW, tmp_path).path.name for _ in range(3)]
    assert names == ["20261122-100000-mixed", "20261122-100000-mixed-2", "20261122-100000-mixed-3"]


@pytest.mark.parametrize("title", ["", "...", "/", "../../etc", "x" * 300])
def test_no_title_leads_out_of_the_results(title: str, tmp_path: Path) -> None:
    path = FolderWriter.create_default(title, NOW, tmp_path).path
    assert path.parent == tmp_path
    assert len(path.name) < 130


def test_a_results_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "results").touch()
    with pytest.raises(FolderError, match="--out"):
        FolderWriter.create_default("mixed", NOW, tmp_path / "results")


def test_results_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old.txt").touch()
    with pytest.raises(FolderError, match="is not empty, and results are never overwritten"):
        FolderWriter.create(tmp_path)


def test_a_folder_that_cannot_be_made_names_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="Not a directory; choose another with --out"):
        FolderWriter.create(tmp_path / "file" / "run")


def test_a_new_folder_is_empty_and_an_empty_one_may_be_used(tmp_path: Path) -> None:
    for _ in range(2):
        assert list(FolderWriter.create(tmp_path / "a" / "b").path.iterdir()) == []


def test_a_whole_file_replaces_the_one_before_and_leaves_nothing_else(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path)
    writer.write("x.json", "old")
    writer.write_json("x.json", {"a": 1})
    assert (tmp_path / "x.json").read_text() == '{\n  "a": 1\n}\n'
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_whole_file_that_cannot_be_written_leaves_the_old_one_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(RecordingError, match=r"plan\.json: cannot be written: Is a directory; make room"):
        FolderWriter(tmp_path).write("plan.json", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_lines_are_on_the_disk_as_soon_as_they_are_appended(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path)
    for number in range(2):
        writer.append_json(layout.ACTIONS, ActionLine(float(number), "x"))
        assert len((tmp_path / layout.ACTIONS).read_text().splitlines()) == number + 1


def test_a_table_has_its_header_once_even_without_rows(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path)
    writer.append_rows("t.csv", ("a", "b"), [])
    writer.append_rows("t.csv", ("a", "b"), [{"a": 1, "b": "x,y"}])
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["a", "b"], ["1", "x,y"]]


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told_once_and_closing_is_silent(tmp_path: Path) -> None:
    (tmp_path / layout.ACTIONS).symlink_to(FULL)
    (tmp_path / "t.csv").symlink_to(FULL)
    writer = FolderWriter(tmp_path)
    with pytest.raises(RecordingError, match="No space left on device; make room"):
        writer.append_json(layout.ACTIONS, ActionLine(0.0, "x"))
    with pytest.raises(RecordingError, match=r"t\.csv: cannot be written: No space left"):
        writer.append_rows("t.csv", ("a",), [{"a": 1}])
    writer.close()
    writer.close()


def test_a_discarded_folder_is_gone(tmp_path: Path) -> None:
    writer = FolderWriter.create(tmp_path / "run")
    writer.append_text("x", "text")
    writer.discard()
    assert not (tmp_path / "run").exists()
