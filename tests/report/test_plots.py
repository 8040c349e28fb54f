"""A run's plots: there for every kind of folder, the same bytes each time, and saying what they must."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.made_folder import Ends, make_folder
from wsload.analysis.folder import RunFolder
from wsload.record.histogram import Histogram
from wsload.record.layout import ActionLine
from wsload.record.outcome import Cause, Phase, Wire
from wsload.report import plots
from wsload.report.drawing import Timer, draw_ends, group_timers, spread_edges
from wsload.report.plots import run_caption, write_plots
from wsload.report.series import cpu_shares, gather, percentile_curve, phase_spans
from wsload.report.style import (
    Caption,
    Mark,
    draw_marks,
    house_style,
    look_of,
    mark_row_of,
    new_figure,
    pack,
    save,
)

NAMES = {
    "latency_percentiles",
    "latency_over_time",
    "tunnels_over_time",
    "openings",
    "disconnects",
    "resources",
}
CUT = Ends("idle", 40, 4.0, 4.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)
RESET = Ends("chatty", 5, 2.0, 0.1, cause=Cause.PEER_RESET)
LOST = Ends("idle", 8, 4.0, None, wire=Wire.UNSEEN, cause=Cause.GENERATOR_LOST)
CAPTION = Caption(("mixed", "100 tunnels"), ("validity: valid",))


@dataclass(frozen=True)
class Drawn:
    """A folder's figures by name, caught on their way to the disk."""

    figures: dict[str, Figure]

    def axes(self, name: str) -> list[Axes]:
        return self.figures[name].axes

    def texts(self, name: str) -> str:
        figure = self.figures[name]
        found = [text.get_text() for text in figure.texts]
        for axes in figure.axes:
            found += [text.get_text() for text in axes.texts]
            legend = axes.get_legend()
            found += [text.get_text() for text in legend.get_texts()] if legend else []
        return " ".join(found).replace("\n", " ")


def drawn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Drawn:
    """Draws a folder's plots without writing them."""
    figures: dict[str, Figure] = {}

    def keep(figure: Figure, out: Path, name: str) -> list[Path]:
        figures[name] = figure
        return []

    monkeypatch.setattr(plots, "save", keep)
    write_plots(RunFolder(folder))
    return Drawn(figures)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """A run with echoes, pings, disconnects, an action and failures."""
    folder = make_folder(
        tmp_path_factory.mktemp("full") / "run",
        ends=[CUT, RESET],
        actions=[ActionLine(6.0, "haproxy_reloaded")],
        failures={"503": 2},
        timers_ms={"connect": 5000, "client": 30000, "server": 30000, "tunnel": 4000},
    )
    with pytest.MonkeyPatch.context() as patch:
        return drawn(folder, patch)


def test_every_plot_is_written_as_png_and_svg_with_the_same_bytes_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "run", ends=[CUT], cohorts={"idle": 60, "chatty": 5})
    before = dict(rcParams)
    written = write_plots(RunFolder(folder))
    assert dict(rcParams) == before, "no setting of matplotlib's stays changed"
    assert {path.name for path in written} == {f"{name}.{kind}" for name in NAMES for kind in ("png", "svg")}
    assert all(path.parent == folder / "plots" and path.stat().st_size > 5000 for path in written)
    again = drawn(folder, monkeypatch)
    with house_style():
        for name in ("disconnects", "tunnels_over_time"):
            for path in save(again.figures[name], tmp_path, name):
                assert path.read_bytes() == (folder / "plots" / path.name).read_bytes()


def test_a_run_cut_short_is_drawn_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_folder(tmp_path / "run", cut_at_s=5.0, torn=True, ends=[Ends("idle", 5, 1.0, 1.0)])
    found = drawn(folder, monkeypatch)
    assert set(found.figures) == NAMES
    assert all("PARTIAL" in found.texts(name) for name in NAMES)


def test_a_run_without_echoes_disconnects_and_haproxy_says_what_was_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drawn(make_folder(tmp_path / "run", via="direct", cohorts={"idle": 20}), monkeypatch)
    assert "no latency was measured in the hold" in found.texts("latency_percentiles")
    assert "no latency was measured in this run" in found.texts("latency_over_time")
    assert "no disconnects in this run" in found.texts("disconnects")
    assert "slots" not in found.texts("tunnels_over_time")
    assert "without HAProxy" in found.texts("openings")


def test_a_run_ended_before_its_first_interval_is_drawn_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drawn(make_folder(tmp_path / "run", cut_at_s=0.0), monkeypatch)
    for name in ("tunnels_over_time", "openings"):
        assert "no interval was recorded" in found.texts(name)
    assert "no process was measured" in found.texts("resources")


def test_every_axis_carries_its_unit(full: Drawn) -> None:
    units = ("(ms)", "(s)", "(%)", "(1/s)", "(MiB)", "(% of one core)", "(duration", "tunnels", "per bin")
    for name in NAMES:
        for axes in full.axes(name):
            assert any(unit in axes.get_ylabel() for unit in units), (name, axes.get_ylabel())
        bottom = full.axes(name)[-1]
        assert any(unit in bottom.get_xlabel() for unit in units), (name, bottom.get_xlabel())


def test_every_plot_says_the_setting_the_validity_and_the_shared_cores(full: Drawn) -> None:
    for name in NAMES:
        words = full.texts(name)
        assert "mixed" in words
        assert "100 tunnels" in words
        assert "timeout tunnel 4s, client 30s, server 30s" in words
        assert "via HAProxy 2.6.12" in words
        assert "validity: valid" in words
        assert "driver, HAProxy and backend share 2 cores" in words


def test_each_timer_is_a_labelled_line_at_its_length(full: Drawn) -> None:
    for axes in full.axes("disconnects"):
        places = {
            float(np.asarray(line.get_xdata())[0]) for line in axes.lines if line.get_label() == "_mark"
        }
        assert {4.0, 5.0, 30.0} <= places
        labels = {text.get_text().strip() for text in axes.texts}
        assert {"tunnel 4s", "connect 5s", "client, server 30s"} <= labels


def test_planned_closes_are_left_out_of_the_disconnects_with_a_note(full: Drawn) -> None:
    assert "HAProxy tunnel timeout (40)" in full.texts("disconnects")
    assert "peer reset (5)" in full.texts("disconnects")
    assert "53 planned closes are left out" in full.texts("disconnects")


def test_ends_of_unknown_idle_time_are_counted_where_they_cannot_be_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = drawn(make_folder(tmp_path / "lost", ends=[LOST]), monkeypatch)
    assert "generator lost (8)" in lost.texts("disconnects")
    assert "not known of any of the 8 disconnects" in lost.texts("disconnects")
    assert "no disconnects in this run" not in lost.texts("disconnects")
    both = drawn(make_folder(tmp_path / "both", ends=[LOST, RESET]), monkeypatch)
    assert "not known of 8 more" in both.texts("disconnects")


def test_what_one_cohort_holds_is_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(make_folder(tmp_path / "run", cohorts={"idle": 20}), monkeypatch)
    assert "open tunnels, all idle" in found.texts("tunnels_over_time")
    assert "open, idle" not in found.texts("tunnels_over_time")


def test_a_plot_of_nothing_takes_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = drawn(make_folder(tmp_path / "run", cohorts={"idle": 20}), monkeypatch)
    for name in ("latency_percentiles", "latency_over_time"):
        assert found.figures[name].get_figheight() < 0.7 * found.figures["tunnels_over_time"].get_figheight()


def test_actions_and_phases_stand_above_the_plots_over_time(full: Drawn) -> None:
    for name in ("latency_over_time", "tunnels_over_time", "resources"):
        assert "haproxy reloaded" in full.texts(name)
        for phase in Phase:
            assert phase in full.texts(name)


def test_slots_and_maxconn_share_the_axes_with_open_tunnels(full: Drawn) -> None:
    assert "HAProxy slots in use" in full.texts("tunnels_over_time")
    assert "maxconn 1,000: above the plot" in full.texts("tunnels_over_time")


def test_legends_stand_beside_their_axes_and_within_the_figure(full: Drawn) -> None:
    for name, figure in full.figures.items():
        for axes in figure.axes:
            legend = axes.get_legend()
            if legend is not None:
                box = legend.get_window_extent()
                assert box.x0 > axes.get_window_extent().x1, name
                assert box.x1 <= figure.bbox.x1, name


def test_an_unsound_run_says_why_in_every_title(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run")
    path = folder / "summary.json"
    text = path.read_text().replace('"valid"', '"suspect"').replace('"reasons":[]', '"reasons":["lag"]')
    path.write_text(text)
    assert run_caption(RunFolder(folder)).warning == "SUSPECT: lag"


def test_a_percentile_curve_runs_from_the_least_to_the_largest_value() -> None:
    histogram = Histogram()
    histogram.record_many(np.arange(1, 1001) * 1_000_000)
    x, y_ms = percentile_curve(histogram)
    assert (x[0], x[-1]) == (1.0, pytest.approx(2000))
    assert (y_ms[0], y_ms[-1]) == (pytest.approx(1, rel=0.01), pytest.approx(1000, rel=0.01))
    assert (np.diff(y_ms) >= 0).all()
    assert np.interp(10.0, x, y_ms) == pytest.approx(900, rel=0.02), "x = 10 is the 90th percentile"


def test_an_empty_histogram_has_no_curve() -> None:
    assert len(percentile_curve(Histogram())[0]) == 0


def test_phases_begin_where_the_plan_put_them_unless_the_run_was_cut(tmp_path: Path) -> None:
    info = RunFolder(make_folder(tmp_path / "run", ramp_s=2.5, hold_s=4.0)).info
    opened, held, drained = Phase.OPEN, Phase.HOLD, Phase.DRAIN
    whole = phase_spans([1, 2, 3, 4, 5, 6, 7, 8], [opened, opened, *[held] * 4, drained, drained], info)
    assert [(span.start_s, span.end_s) for span in whole] == [(0, 2.5), (2.5, 6.5), (6.5, 8)]
    cut = phase_spans([1, 2, 3, 4], [opened, opened, held, drained], info)
    assert [(span.start_s, span.end_s) for span in cut] == [(0, 2.5), (2.5, 3), (3, 4)]


def test_cpu_shares_are_of_one_core_and_leave_gaps_for_missing_readings() -> None:
    shares = cpu_shares([1, 2, 3, 4, 5], {1: 0.0, 2: 0.5, 4: 1.0, 5: 2.5})
    assert shares[1] == pytest.approx(50)
    assert shares[4] == pytest.approx(150)
    assert np.isnan(shares[[0, 2, 3]]).all()


def test_haproxys_own_file_gives_its_cpu_and_slots_over_all_processes(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", haproxy_processes=2, haproxy_cpu=0.25)
    data = gather(RunFolder(folder))
    assert cpu_shares(data.t_s, data.cpu_s["haproxy", 1])[5] == pytest.approx(25, abs=0.2)
    assert sum(by_time[10.0] for by_time in data.slots.values()) == 100


def test_long_runs_are_merged_to_a_readable_number_of_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wsload.report.series._MOST_TIME_BINS", 5)
    data = gather(RunFolder(make_folder(tmp_path / "run", cohorts={"chatty": 3})))
    assert len(data.t_s) == 15
    assert [t_s for t_s, _ in data.bins["echo_corrected", "chatty"]] == [3, 6, 9, 12, 15]


def test_labels_of_marks_never_meet_a_label_or_a_line() -> None:
    assert mark_row_of([0.0, 2.0, 4.0], [1.0, 1.0, 1.0]) == [0, 0, 0]
    assert mark_row_of([0.0, 0.5, 0.6], [1.0, 1.0, 1.0]) == [2, 1, 0]
    assert mark_row_of([0.0, 0.5, 2.0], [3.0, 1.0, 1.0]) == [1, 0, 0]


def test_a_mark_without_room_for_its_label_is_drawn_and_its_label_handed_back() -> None:
    _, (axes,) = new_figure("title", CAPTION, mark_rows=1)
    axes.set_xlim(0, 10)
    unnamed = draw_marks(
        axes, [Mark(1.0, "first of them"), Mark(1.1, "second"), Mark(11.0, "outside")], rows=1
    )
    assert unnamed == ["first of them"]
    assert len(axes.lines) == 2


def test_a_far_timer_is_named_instead_of_squeezing_the_data() -> None:
    _, (axes,) = new_figure("title", CAPTION, mark_rows=2)
    timers = [Timer(("tunnel",), 2.0), Timer(("client",), 86_400.0)]
    values = {"peer_fin": np.full(10, 2.0)}
    draw_ends(axes, values, {"peer_fin": look_of(0)}, timers, mark_rows=2, x_label="age")
    assert axes.get_xlim()[1] < 100
    legend = axes.get_legend()
    assert legend is not None
    assert any("client 1d" in text.get_text().replace("\n", " ") for text in legend.get_texts())


def test_durations_that_span_little_keep_a_linear_axis() -> None:
    assert not spread_edges(np.array([2.0, 2.1, 5.0]))[1]
    edges, log = spread_edges(np.array([0.0, 2.0, 60.0]))
    assert log
    assert edges[0] > 0
    assert edges[-1] > 60


def test_timers_of_one_length_share_a_line_and_zero_is_none() -> None:
    timers = group_timers({"server": 30_000, "client": 30_000, "tunnel": 10_000, "queue": 0})
    assert [timer.label for timer in timers] == ["tunnel 10s", "server, client 30s"]
    (crowd,) = group_timers(dict.fromkeys(("client", "server", "queue"), 5000))
    assert (crowd.label, crowd.full_label) == ("client, server and 1 more 5s", "client, server, queue 5s")


def test_a_setting_is_broken_between_its_parts_only() -> None:
    assert pack(["timeout tunnel 10s", "", "hold 1m", "ramp 10s"], 32) == [
        "timeout tunnel 10s \N{MIDDLE DOT} hold 1m",
        "ramp 10s",
    ]


def test_drawing_never_imports_pyplot() -> None:
    code = (
        "import sys, wsload.report.plots, wsload.report.campaign_plots;"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_haproxy_that_cells_shared_is_called_so(tmp_path: Path) -> None:
    folder = RunFolder(make_folder(tmp_path))
    assert not [part for part in run_caption(folder).setting if "shared" in part]
    folder.info.haproxy_sharers = 6
    assert "via HAProxy 2.6.12 shared by 6 cells" in run_caption(folder).setting
