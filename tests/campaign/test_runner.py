import asyncio
from pathlib import Path

import pytest

from tests.made_folder import make_folder
from wsload.analysis.capacity_file import read_capacity
from wsload.analysis.folder import stored_profile
from wsload.campaign.grid import Campaign, Cell, cells, load_campaign
from wsload.campaign.runner import (
    finished,
    prepare_folder,
    run_campaign,
    set_aside,
    unfinished_folder,
    write_capacity,
)
from wsload.errors import ExitCode, FolderError, WsloadError
from wsload.record import layout
from wsload.record.outcome import Validity
from wsload.run.session import RunResult, finish

TOO_MANY = '"load.tunnels" = ["30000k", "40000k"]'
"""Refused before any process is started."""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default folders are made below the working directory."""
    monkeypatch.chdir(tmp_path)


def campaign(path: Path, grid: str = '"haproxy.timeouts.tunnel" = ["2s", "5s"]', **extra: int) -> Campaign:
    (path / "profile.toml").write_text("[load]\ntunnels = 100\n")
    lines = [f"{key} = {value}" for key, value in extra.items()]
    text = f'title = "sweep"\nprofile = "profile.toml"\n{chr(10).join(lines)}\n[grid]\n{grid}\n'
    (path / "sweep.toml").write_text(text)
    return load_campaign(path / "sweep.toml")


def run_cell(out: Path, cell: Cell) -> None:
    make_folder(out / cell.folder)


def cut_cell(out: Path, cell: Cell) -> None:
    """A run that was interrupted, and told so."""
    folder = make_folder(out / cell.folder, cut_at_s=4.0)
    finish(folder, stored_profile(folder))


def test_a_run_that_was_cut_is_not_finished(tmp_path: Path) -> None:
    (cut, whole) = cells(campaign(tmp_path))
    cut_cell(tmp_path, cut)
    run_cell(tmp_path, whole)
    assert finished(tmp_path / cut.folder) is None
    assert finished(tmp_path / "never ran") is None
    summary = finished(tmp_path / whole.folder)
    assert summary is not None
    assert not summary.partial


def test_a_new_campaign_gets_a_folder_with_what_it_was_asked(tmp_path: Path) -> None:
    asked = campaign(tmp_path)
    out = prepare_folder(asked, cells(asked))
    assert out.parent == Path("results")
    assert out.name.endswith("-sweep")
    assert (out / layout.CAMPAIGN).read_text() == asked.text
    assert (out / layout.PROFILE).read_text() == asked.profile_text


def test_an_unfinished_campaign_goes_on_and_a_finished_one_starts_anew(tmp_path: Path) -> None:
    asked = campaign(tmp_path)
    first, second = planned = cells(asked)
    out = prepare_folder(asked, planned)
    run_cell(out, first)
    assert unfinished_folder(asked, planned) == out
    assert prepare_folder(asked, planned) == out
    run_cell(out, second)
    assert unfinished_folder(asked, planned) is None
    assert prepare_folder(asked, planned) != out


@pytest.mark.parametrize("changed", ["grid", "settings", "profile"])
def test_a_campaign_that_was_changed_does_not_go_on_in_the_old_folder(changed: str, tmp_path: Path) -> None:
    asked = campaign(tmp_path)
    out = prepare_folder(asked, cells(asked), tmp_path / "out")
    match changed:
        case "grid":
            other = campaign(tmp_path, '"haproxy.timeouts.tunnel" = ["2s"]')
        case "settings":
            other = load_campaign(tmp_path / "sweep.toml", ["load.hold=5s"])
        case _:
            (tmp_path / "profile.toml").write_text("[load]\ntunnels = 200\n")
            other = load_campaign(tmp_path / "sweep.toml")
    with pytest.raises(FolderError, match="holds another campaign, or this one with other settings"):
        prepare_folder(other, cells(other), out)


def test_a_folder_with_something_else_in_it_is_refused(tmp_path: Path) -> None:
    asked = campaign(tmp_path)
    with pytest.raises(FolderError, match="is not empty"):
        prepare_folder(asked, cells(asked), tmp_path)


def test_what_a_cut_run_left_is_kept_under_another_name(tmp_path: Path) -> None:
    folder = tmp_path / "tunnel=2s"
    set_aside(folder)
    for number in (1, 2):
        folder.mkdir()
        set_aside(folder)
        assert not folder.exists()
        assert (tmp_path / f"tunnel=2s.cut-{number}").is_dir()


def test_the_table_has_a_row_for_each_cell_that_ran(tmp_path: Path) -> None:
    asked = campaign(tmp_path, '"haproxy.timeouts.tunnel" = ["1s", "2s", "5s", "9s"]')
    whole, cut, failed, _ = planned = cells(asked)
    run_cell(tmp_path, whole)
    cut_cell(tmp_path, cut)
    (tmp_path / failed.folder).mkdir()
    write_capacity(tmp_path, planned)
    first, second, third = read_capacity(tmp_path)
    assert (first["haproxy.timeouts.tunnel"], first["held"], first["run"]) == ("1s", "100", "tunnel=1s")
    assert (first["held_share"], first["validity"]) == ("1.0", Validity.VALID)
    assert (second["held"], second["validity"]) == ("", Validity.INVALID)
    assert (third["held"], third["planned"]) == ("", "100")


def test_repetitions_have_a_column(tmp_path: Path) -> None:
    asked = campaign(tmp_path, '"load.hold" = ["1s"]', repeat=2)
    for cell in cells(asked):
        run_cell(tmp_path, cell)
    write_capacity(tmp_path, cells(asked))
    assert [(row["load.hold"], row["repeat"]) for row in read_capacity(tmp_path)] == [
        ("1s", "1"),
        ("1s", "2"),
    ]


def test_a_cell_that_fails_is_told_and_the_next_is_tried(tmp_path: Path) -> None:
    asked = campaign(tmp_path, TOO_MANY)
    told: list[tuple[str, RunResult | WsloadError]] = []
    result = asyncio.run(
        run_campaign(
            asked,
            cells(asked),
            tmp_path / "out",
            on_cell=lambda cell, outcome: told.append((cell.folder, outcome)),
        )
    )
    assert [failure.cell.folder for failure in result.failures] == ["tunnels=30000k", "tunnels=40000k"]
    assert [folder for folder, _ in told] == ["tunnels=30000k", "tunnels=40000k"]
    assert result.exit_code is ExitCode.INVALID_CONFIG
    assert "does not fit this machine" in (tmp_path / "out" / "tunnels=30000k" / "error.txt").read_text()
    assert [row["validity"] for row in read_capacity(tmp_path / "out")] == [Validity.INVALID] * 2


def test_finished_cells_are_not_run_again(tmp_path: Path) -> None:
    asked = campaign(tmp_path, TOO_MANY)
    planned = cells(asked)
    out = prepare_folder(asked, planned, tmp_path / "out")
    for cell in planned:
        run_cell(out, cell)
    result = asyncio.run(run_campaign(asked, planned, out))
    assert (result.failures, result.exit_code) == ((), ExitCode.PASSED)
