"""The plots of a campaign whose cells searched for capacity."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.made_search import CELL, make_search_campaign
from wsload.analysis.campaign import read_campaign
from wsload.analysis.extrapolation import reach_s, simulated_live
from wsload.analysis.measured import read_searches
from wsload.analysis.model import predict
from wsload.analysis.recommend import recommend
from wsload.profile.load import parse_profile
from wsload.report import campaign_plots
from wsload.report.campaign_plots import write_campaign_plots

S = 1_000_000_000


def drawn(folder: Path, monkeypatch: pytest.MonkeyPatch, **choices: Any) -> dict[str, Figure]:
    """The campaign's figures by name, not written."""
    figures: dict[str, Figure] = {}

    def keep(figure: Figure, out: Path, name: str) -> list[Path]:
        figures[name] = figure
        return []

    monkeypatch.setattr(campaign_plots, "save", keep)
    made = make_search_campaign(folder, **choices)
    info, cells = read_campaign(made)
    found = read_searches(made, cells)
    write_campaign_plots(cells, info, folder, found, recommend(found, info))
    return figures


def texts(axes: Axes) -> str:
    legend = axes.get_legend()
    found = [text.get_text() for text in [*axes.texts, *(legend.get_texts() if legend else [])]]
    return " ".join(found).replace("\n", " ")


def line(axes: Axes, label: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    found = next(each for each in axes.lines if each.get_label() == label)
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


def test_measured_capacity_lies_over_the_models_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = drawn(tmp_path, monkeypatch, measured=1.03)["capacity"]
    live, cuts = figure.axes
    places, values = line(live, "capacity within the SLO, model")
    said = predict(parse_profile(CELL, "made"), 8 * S)
    assert np.interp(8.0, places, values) == pytest.approx(said.capacity, rel=0.01)
    assert np.isnan(values[places < 2]).all(), "there is none where the SLO on cuts breaks"
    words = texts(live)
    for expected in ("recommended: 6s", "the idle timer", "maxconn", "+2.5%", "extrapolation", "simulated"):
        assert expected in words
    assert "clients offered" in " ".join(text.get_text() for text in figure.texts)
    assert cuts.get_ylabel() == "cuts per hour"


def test_beyond_what_was_measured_the_curve_goes_on_dashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = drawn(tmp_path, monkeypatch)["capacity"].axes[0]
    solid, _ = line(live, "capacity within the SLO, model")
    assert solid.max() <= 32, "the longest that was measured"
    dashed = [np.asarray(each.get_xdata(), float) for each in live.lines if each.is_dashed()]
    assert max(places.max() for places in dashed) == pytest.approx(3600)


def test_where_there_is_no_model_the_points_stand_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = CELL + '[backend]\nidle_close = "1h"\n'
    live = drawn(tmp_path, monkeypatch, profile=strange, tunnels=("4s", "8s"))["capacity"].axes[0]
    assert "model" not in texts(live)
    assert "extrapolation" not in texts(live)
    assert "maxconn" in texts(live)


def test_a_timer_at_which_not_even_the_lowest_level_held_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demanding = CELL.replace("from = 500", "from = 700")
    live = drawn(tmp_path, monkeypatch, profile=demanding)["capacity"].axes[0]
    places, values = line(live, "not even the lowest level held")
    assert (places.tolist(), values.tolist()) == ([16, 32], [0, 0])


def test_two_axes_give_maps_of_capacity_and_of_cuts_with_the_slos_boundary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = drawn(tmp_path, monkeypatch, tunnels=("2s", "4s", "8s"), maxconns=(400, 1000))
    for name in ("capacity", "cuts_per_hour"):
        axes = figures[name].axes[0]
        assert "boundary of the SLO" in texts(axes)
        assert "recommended: timeout tunnel 6s, maxconn 1000" in texts(axes)
        star = next(each for each in axes.lines if each.get_marker() == "*")
        assert 1 < float(np.asarray(star.get_ydata())[0]) < 2, "between 4 s and 8 s"
    assert "0 \N{BALLOT X}" in texts(figures["capacity"].axes[0])


def test_the_reach_is_an_hour_or_a_day() -> None:
    assert reach_s([0.5, 60]) == 3600
    assert reach_s([60, 600]) == 86_400


@pytest.mark.parametrize("timer_s", [8.0, 60.0, 600.0])
def test_simulated_clients_agree_with_the_formula(timer_s: float) -> None:
    profile = parse_profile(CELL, "made")
    found = simulated_live(profile, 1000, timer_s)
    assert found == pytest.approx(predict(profile, round(timer_s * S)).live_by_slots, rel=0.05)
