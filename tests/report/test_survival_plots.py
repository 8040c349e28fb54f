"""The survival plot: there for every kind of folder, the same bytes each time, and saying what it must."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.made_folder import Ends, make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.survival import kaplan_meier
from wsload.record.outcome import Cause, Wire
from wsload.report.drawing import Timer
from wsload.report.style import Caption, house_style, look_of, new_figure
from wsload.report.survival_plots import draw_survival, survival_figure, write_survival_plots

ENDS = [
    Ends("idle", 40, 30.0, 30.0, cause=Cause.HAPROXY_CLIENT_TIMEOUT),
    Ends("chatty", 9, 12.0, 0.1, cause=Cause.PEER_RESET),
]
NO_TUNNEL = {"connect": 5000, "client": 30_000, "server": 32_000}


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with house_style():
        yield


def figure_for(path: Path, **choices: object) -> Figure:
    return survival_figure(RunFolder(make_folder(path, **choices)))


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
        legend = axes.get_legend()
        found += [text.get_text() for text in legend.get_texts()] if legend else []
    return " ".join(found).replace("\n", " ")


def one_panel() -> Axes:
    return new_figure("title", Caption(("mixed",), ()), mark_rows=2)[1][0]


def test_it_is_written_as_png_and_svg_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path / "run", ends=ENDS, hold_s=40.0))
    written = write_survival_plots(folder)
    assert [path.name for path in written] == ["survival.png", "survival.svg"]
    before = [path.read_bytes() for path in written]
    assert [path.read_bytes() for path in write_survival_plots(folder)] == before


def test_it_says_how_many_ended_of_each_cohort_the_setting_and_the_timers_that_count(tmp_path: Path) -> None:
    words = texts(figure_for(tmp_path / "run", ends=ENDS, hold_s=40.0, timers_ms=NO_TUNNEL))
    for part in ("idle: 40 of 60 ended", "chatty: 9 of 30 ended", "pinged: 0 of 10 ended", "95 % band"):
        assert part in words
    assert "censored: alive when last seen" in words
    assert "client 30s" in words
    assert "server 32s" in words
    assert "connect 5s" not in words, "it plays no part after the 101"
    assert "via HAProxy 2.6.12" in words
    assert "validity: valid" in words


def test_tunnel_takes_the_place_of_client_and_server(tmp_path: Path) -> None:
    figure = figure_for(tmp_path / "run", ends=ENDS, hold_s=40.0, timers_ms=NO_TUNNEL | {"tunnel": 31_000})
    for axes in figure.axes:
        assert [text.get_text().strip() for text in axes.texts] == ["tunnel 31s"]
        assert {
            float(np.asarray(line.get_xdata())[0]) for line in axes.lines if line.get_label() == "_mark"
        } == {31.0}


def test_a_far_timer_is_named_beside_the_plot(tmp_path: Path) -> None:
    assert "beyond the axis: tunnel 1h" in texts(figure_for(tmp_path / "run", ends=ENDS, hold_s=40.0))


def test_each_axis_carries_its_unit(tmp_path: Path) -> None:
    for axes in figure_for(tmp_path / "run", ends=ENDS, hold_s=40.0).axes:
        assert axes.get_ylabel() == "tunnels alive (%)"
        assert "(duration" in axes.get_xlabel()
        assert axes.get_ylim()[0] == 0


def test_where_only_the_plan_ended_tunnels_it_says_so(tmp_path: Path) -> None:
    words = texts(figure_for(tmp_path / "run"))
    assert "no tunnel ended but by the plan" in words
    assert "idle: 0 of 60 ended" in words


def test_ends_of_unknown_idle_time_are_not_called_planned(tmp_path: Path) -> None:
    lost = Ends("idle", 8, 4.0, None, wire=Wire.UNSEEN, cause=Cause.GENERATOR_LOST)
    words = texts(figure_for(tmp_path / "run", ends=[lost]))
    assert "idle: 8 of 60 ended" in words
    assert "no tunnel ended but by the plan" not in words
    assert "no idle time is known of those that ended" in words


def test_a_run_cut_short_counts_open_tunnels_as_alive_and_says_so(tmp_path: Path) -> None:
    words = texts(figure_for(tmp_path / "run", ends=ENDS, hold_s=40.0, cut_at_s=20.0))
    assert "PARTIAL" in words
    assert "chatty: 9 of 30 ended" in words
    assert "idle: 0 of 60 ended" in words
    assert "91 were left open: idle time unknown" in words


def test_a_run_ended_before_its_first_interval_is_drawn_empty(tmp_path: Path) -> None:
    assert "no tunnel was seen to its end" in texts(figure_for(tmp_path / "run", cut_at_s=0.0))


def test_ends_that_span_much_stand_on_a_log_axis_and_others_on_a_linear_one_from_zero() -> None:
    near, far = one_panel(), one_panel()
    for axes, values_s in ((near, [20.0, 30.0]), (far, [0.5, 300.0])):
        curve = kaplan_meier(values_s, [True, True])
        draw_survival(axes, {"idle": curve}, {"idle": look_of(0)}, [], x_label="age")
    assert (near.get_xscale(), near.get_xlim()[0]) == ("linear", 0.0)
    assert (far.get_xscale(), far.get_xlim()[0] < 0.5) == ("log", True)
    assert "log scale" in far.get_xlabel()


def test_the_step_down_is_drawn_at_its_time() -> None:
    axes = one_panel()
    curve = kaplan_meier([10.0, 20.0, 20.0, 40.0], [True, True, True, False])
    draw_survival(axes, {"idle": curve}, {"idle": look_of(0)}, [Timer(("tunnel",), 20.0)], x_label="age")
    drawn = axes.lines[0]
    assert list(np.asarray(drawn.get_xdata())) == [0, 10, 20, 40]
    assert list(np.asarray(drawn.get_ydata())) == pytest.approx([1, 0.75, 0.25, 0.25])
    assert drawn.get_drawstyle() == "steps-post"


def test_a_million_steps_are_drawn_as_no_more_than_can_be_seen() -> None:
    axes = one_panel()
    values_s = np.random.default_rng(1).exponential(30, 50_000)
    draw_survival(
        axes, {"idle": kaplan_meier(values_s, values_s < 60)}, {"idle": look_of(0)}, [], x_label="age"
    )
    assert len(np.asarray(axes.lines[0].get_xdata())) < 2500
    assert len(np.asarray(axes.lines[1].get_xdata())) <= 40


def test_legends_stand_beside_their_axes_and_within_the_figure(tmp_path: Path) -> None:
    figure = figure_for(tmp_path / "run", ends=ENDS, hold_s=40.0)
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        assert box.x0 > axes.get_window_extent().x1
        assert box.x1 <= figure.bbox.x1
