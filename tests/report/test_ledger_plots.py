"""The picture of the slot ledger."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.record import layout
from wsload.report.ledger_plots import ledger_figure, write_ledger_plots
from wsload.report.plots import run_caption
from wsload.report.series import gather
from wsload.report.style import house_style


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with house_style():
        yield


def folder_with(path: Path, *, ghosts: int, unexplained: int = 0, half_open: int = 0) -> RunFolder:
    make_folder(path)
    with (path / layout.LEDGER).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(layout.LEDGER_COLUMNS)
        for t_s in range(1, 14):
            slots = 100 + ghosts + half_open + unexplained
            writer.writerow((t_s, "hold", 100, 0, 0, 0, ghosts, half_open, slots, unexplained))
    return RunFolder(path)


def drawn(folder: RunFolder) -> Figure:
    return ledger_figure(folder, list(folder.iter_ledger()), gather(folder), run_caption(folder))


def legend(figure: Figure, panel: int) -> str:
    found = figure.axes[panel].get_legend()
    assert found is not None
    return " ".join(text.get_text() for text in found.get_texts()).replace("\n", " ")


def test_it_is_written_as_png_and_svg_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "run", ghosts=20)
    written = write_ledger_plots(folder)
    assert [path.name for path in written] == ["slot_ledger.png", "slot_ledger.svg"]
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_ledger_plots(folder)] == before


def test_the_legend_names_the_parts_that_can_be_seen(tmp_path: Path) -> None:
    words = legend(drawn(folder_with(tmp_path / "run", ghosts=20)), 0)
    assert "live tunnels" in words
    assert "ghosts" in words
    assert "HAProxy's own count" in words
    assert "half-open" not in words
    assert "half-open" in legend(drawn(folder_with(tmp_path / "other", ghosts=0, half_open=9)), 0)


def test_a_difference_that_nobody_explains_stays_within_the_axis(tmp_path: Path) -> None:
    axes = drawn(folder_with(tmp_path / "run", ghosts=0, unexplained=25)).axes[1]
    low, high = axes.get_ylim()
    assert low < -0.2 < 0.2 < high, "25 of 125 slots"


def test_a_run_without_haproxy_has_no_ledger_to_draw(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path / "run", via="direct"))
    assert write_ledger_plots(folder) == []
    assert not (folder.path / layout.PLOTS).exists()
