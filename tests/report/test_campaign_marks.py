"""A campaign's plots: runs that are not valid look different, whatever the plot."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tests.made_folder import make_campaign
from tests.made_search import make_search_campaign
from tests.report.test_keepalive_plot import CAPTION, point
from wsload.analysis.campaign import read_campaign
from wsload.analysis.measured import read_searches
from wsload.record.outcome import Validity
from wsload.report import campaign_plots
from wsload.report.campaign_plots import write_campaign_plots
from wsload.report.keepalive_plot import keepalive_figure
from wsload.report.style import house_style

INVALID, SUSPECT = "invalid run: do not use", "suspect run"


def drawn(
    path: Path, monkeypatch: pytest.MonkeyPatch, *, invalid: int = -1, suspect: int = -1
) -> dict[str, Figure]:
    """A campaign's figures by name, not written, with those of its cells in doubt."""
    figures: dict[str, Figure] = {}

    def keep(figure: Figure, out: Path, name: str) -> list[Path]:
        figures[name] = figure
        return []

    monkeypatch.setattr(campaign_plots, "save", keep)
    info, cells = read_campaign(path)
    grades = {invalid: Validity.INVALID, suspect: Validity.SUSPECT}
    judged = [replace(cell, validity=grades.get(n, Validity.VALID)) for n, cell in enumerate(cells)]
    write_campaign_plots(judged, info, path, read_searches(path, judged))
    return figures


def ground(axes: Axes, grade: Validity) -> tuple[float, float]:
    """Where the one ground of that grade is shaded, in data coordinates."""
    (found,) = [each for each in axes.collections if each.get_label() == f"_{grade}"]
    places = np.asarray(found.get_paths()[0].vertices)[:, 0]
    return float(places.min()), float(places.max())


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [text.get_text() for text in found.get_texts()] if found else []


def test_points_stand_on_a_ground_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(make_campaign(tmp_path), monkeypatch, invalid=1, suspect=3)
    for axes in (*figures["capacity"].axes, *figures["latency_by_timeout"].axes):
        left, right = ground(axes, Validity.INVALID)
        assert 1.5 < left < 2 < right < 3, "around 2 s, and narrow"
        left, right = ground(axes, Validity.SUSPECT)
        assert 8 < left < 10 < right < 13
    for name in ("capacity", "latency_by_timeout"):
        assert legend(figures[name].axes[0])[-2:] == [INVALID, SUSPECT]


def test_points_of_searches_stand_on_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live, cuts = drawn(make_search_campaign(tmp_path), monkeypatch, invalid=3)["capacity"].axes
    for axes in (live, cuts):
        left, right = ground(axes, Validity.INVALID)
        assert 4 < left < 8 < right < 16
    assert legend(live)[-1] == INVALID


def test_bars_stand_on_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    axes = drawn(make_campaign(tmp_path), monkeypatch, invalid=1, suspect=3)["disconnects_by_timeout"].axes[0]
    left, right = ground(axes, Validity.INVALID)
    assert 0.5 < left < 1 < right < 1.5
    left, right = ground(axes, Validity.SUSPECT)
    assert 2.5 < left < 3 < right < 3.5
    assert legend(axes)[-2:] == [INVALID, SUSPECT]


def test_one_invalid_repeat_of_several_marks_the_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_search_campaign(tmp_path, tunnels=("4s", "8s"), repeats=2)
    axes = drawn(folder, monkeypatch, suspect=0, invalid=2)["capacity"].axes[0]
    left, right = ground(axes, Validity.INVALID)
    assert left < 4 < right
    assert SUSPECT not in legend(axes), "the gravest decides"


def test_a_square_of_an_invalid_run_loses_its_colour_and_a_suspect_one_is_framed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_search_campaign(tmp_path, tunnels=("2s", "4s", "8s"), maxconns=(400, 1000))
    figures = drawn(folder, monkeypatch, invalid=1, suspect=4)
    for name in ("capacity", "cuts_per_hour"):
        axes = figures[name].axes[0]
        squares = [each for each in axes.patches if isinstance(each, Rectangle)]
        places = {(round(each.get_center()[0]), round(each.get_center()[1])): each for each in squares}
        assert set(places) == {(1, 0), (0, 2)}
        assert places[1, 0].get_hatch() is not None
        assert to_rgba(places[1, 0].get_facecolor())[3] == 1, "nothing of its colour shows"
        assert to_rgba(places[0, 2].get_facecolor())[3] == 0, "its colour stays"
        said = {
            (round(text.get_position()[0]), round(text.get_position()[1])): text.get_text()
            for text in axes.texts
        }
        assert said[1, 0].endswith("invalid")
        assert said[0, 2].endswith("suspect")


def test_keepalive_points_stand_on_it_too() -> None:
    points = [point(0.5, 90), msgspec.structs.replace(point(0.9, 60), validity="invalid")]
    with house_style():
        axes = keepalive_figure(points, CAPTION).axes[0]
    left, right = ground(axes, Validity.INVALID)
    assert 0.8 < left < 0.9 < right < 1.0
    assert legend(axes)[-1] == INVALID


def test_a_campaign_of_valid_runs_has_no_such_ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for figure in drawn(make_campaign(tmp_path), monkeypatch).values():
        for axes in figure.axes:
            assert not {INVALID, SUSPECT} & set(legend(axes))
            assert not [each for each in axes.collections if each.get_label() in ("_invalid", "_suspect")]
