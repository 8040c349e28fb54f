"""Intervals and runs that do not count: what every plot shows of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.made_folder import Ends, make_folder
from wsload.analysis.diagnosis import diagnose
from wsload.analysis.folder import RunFolder
from wsload.record import layout
from wsload.record.outcome import Cause, Doubt, Phase, Validity
from wsload.record.summary import DoubtfulSpan, IntervalsPart
from wsload.report import diagnosis_plots, ledger_plots, plots, survival_plots
from wsload.report.diagnosis_plots import write_diagnosis_plots
from wsload.report.doubt_captions import DOUBT_WORDS, Doubts, doubt_names, left_out_words
from wsload.report.ledger_plots import write_ledger_plots
from wsload.report.marks import draw_doubts
from wsload.report.plots import write_plots
from wsload.report.series import gather
from wsload.report.style import Caption, house_style, new_figure
from wsload.report.survival_plots import write_survival_plots

LAGGED = DoubtfulSpan(6.0, 8.0, "invalid", ["lag"], ["generator lag p99 was 1.4s; add workers"])
BUSY = DoubtfulSpan(1.0, 2.0, "suspect", ["worker_cpu"], ["driver worker 0 used 97 % of a core"])
COUNTS = IntervalsPart(judged=13, suspect=1, invalid=2, left_out=2)
OVER_TIME = ("latency_over_time", "tunnels_over_time", "resources", "openings", "slot_ledger")
OF_ENDS = ("disconnects", "survival", "diagnosis")
CAPTION = Caption(("mixed",), ("validity: suspect",))


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with house_style():
        yield


def doubtful_folder(path: Path) -> RunFolder:
    """A run whose echoes took 2 ms, with two intervals left out and one suspect."""
    folder = make_folder(path, ends=[Ends("idle", 4, 4.0, 4.0, cause=Cause.PEER_FIN)])
    ledger = [",".join(layout.LEDGER_COLUMNS), *(f"{t_s},hold,100,0,0,0,0,0,100,0" for t_s in range(1, 14))]
    (folder / layout.LEDGER).write_text("\n".join(ledger) + "\n")
    add_doubts(folder, [BUSY, LAGGED], COUNTS)
    return RunFolder(folder)


def add_doubts(folder: Path, spans: list[DoubtfulSpan], counts: IntervalsPart) -> None:
    summary = json.loads((folder / layout.SUMMARY).read_text())
    summary |= {"doubts": msgspec.to_builtins(spans), "intervals": msgspec.to_builtins(counts)}
    (folder / layout.SUMMARY).write_text(json.dumps(summary))


def drawn(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """All of a run's figures by name, not written."""
    figures: dict[str, Figure] = {}

    def keep(figure: Figure, out: Path, name: str) -> list[Path]:
        figures[name] = figure
        return []

    for module in (plots, survival_plots, ledger_plots, diagnosis_plots):
        monkeypatch.setattr(module, "save", keep)
    write_plots(folder)
    write_survival_plots(folder)
    write_ledger_plots(folder)
    write_diagnosis_plots(folder, diagnose(folder))
    return figures


def grounds(axes: Axes, grade: Validity) -> list[tuple[float, float]]:
    """Where the ground is shaded for a grade, in data coordinates."""
    found = [each for each in axes.collections if each.get_label() == f"_{grade}"]
    assert all(isinstance(each, PolyCollection) for each in found)
    corners = [np.asarray(path.vertices) for each in found for path in each.get_paths()]
    return [(float(places[:, 0].min()), float(places[:, 0].max())) for places in corners]


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [text.get_text().replace("\n", " ") for text in found.get_texts()] if found else []


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("name", OVER_TIME)
def test_every_plot_over_time_shades_the_spans_in_all_panels_and_names_them_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = drawn(doubtful_folder(tmp_path / "run"), monkeypatch)[name]
    panels = figure.axes[1:] if name == "openings" else figure.axes
    is_cut_off = panels[0].get_xlim()[1] <= LAGGED.from_s  # openings end with the ramp
    assert is_cut_off == (name == "openings")
    for axes in panels:
        assert grounds(axes, Validity.SUSPECT) == [(1, 2)]
        assert grounds(axes, Validity.INVALID) == ([] if is_cut_off else [(6, 8)])
        low, high = axes.get_xlim()
        assert low >= 0
        assert high <= 15
    assert ("left out: generator lag" in legend(panels[0])) != is_cut_off
    assert "suspect: worker CPU" in legend(panels[0])
    assert not any("suspect" in text for axes in panels[1:] for text in legend(axes))


def test_what_happened_in_a_span_left_out_stays_to_be_seen_above_its_ground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    axes = drawn(doubtful_folder(tmp_path / "run"), monkeypatch)["latency_over_time"].axes[0]
    (median,) = (line for line in axes.lines if line.get_label() == "p50")
    assert {7.0, 8.0} <= set(np.asarray(median.get_xdata(), float))
    assert np.isfinite(np.asarray(median.get_ydata(), float)).all()
    shades = [each for each in axes.collections if each.get_label() in ("_invalid", "_suspect")]
    assert max(each.get_zorder() for each in shades) < min(line.get_zorder() for line in axes.lines)


def test_an_invalid_ground_differs_from_a_suspect_one_by_more_than_its_colour() -> None:
    _, (axes,) = new_figure("title", CAPTION)
    axes.set_xlim(0, 10)
    draw_doubts([axes], Doubts([BUSY, LAGGED], COUNTS))
    suspect, invalid = axes.collections
    assert (suspect.get_label(), invalid.get_label()) == ("_suspect", "_invalid"), "the gravest on top"
    assert suspect.get_hatch() != invalid.get_hatch()
    assert suspect.get_zorder() < invalid.get_zorder()


def test_shading_leaves_the_limits_of_a_log_axis_alone() -> None:
    _, (axes,) = new_figure("title", CAPTION)
    axes.plot([0, 10], [5, 500])
    axes.set_yscale("log")
    axes.set_xlim(0, 10)
    before = axes.get_ylim()
    draw_doubts([axes], Doubts([LAGGED], COUNTS))
    assert axes.get_ylim() == before
    assert axes.get_xlim() == (0, 10)


def test_thousands_of_spans_of_a_soak_are_drawn_as_no_more_than_can_be_seen() -> None:
    spans = [DoubtfulSpan(t, t + 1.0, "suspect", ["host_cpu"], ["full"]) for t in range(0, 80_000, 2)]
    alone = DoubtfulSpan(86_000.0, 86_001.0, "suspect", ["swap"], ["swapped"])
    _, (axes,) = new_figure("title", CAPTION)
    axes.set_xlim(0, 86_400)
    draw_doubts([axes], Doubts([*spans, alone], IntervalsPart(judged=86_400, suspect=len(spans) + 1)))
    assert grounds(axes, Validity.SUSPECT) == [(0, 79_999), (86_000, 86_001)]
    assert np.all(np.asarray(axes.collections[0].get_linewidth()) > 0), "its edge shows, however short it is"
    assert legend(axes) == ["suspect: host CPU full, swapping"]


def test_percentile_curves_leave_invalid_intervals_out_and_say_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = doubtful_folder(tmp_path / "run")
    figures = drawn(folder, monkeypatch)
    said = "2 of the run's 13 intervals left out: generator lag; 1 suspect: worker CPU"
    for name in ("latency_percentiles", "openings"):
        assert said in words(figures[name])
    hold = [Phase.HOLD]
    kept = gather(folder).total("echo_corrected", ["chatty"], hold).total()
    whole = gather(RunFolder(make_folder(tmp_path / "valid"))).total("echo_corrected", ["chatty"], hold)
    assert kept == pytest.approx(whole.total() * 8 / 10), "10 intervals of hold, and as many echoes in each"


def test_curves_of_nothing_but_invalid_intervals_do_not_claim_that_nothing_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_folder(tmp_path / "run")
    lost = msgspec.structs.replace(LAGGED, from_s=0.0, to_s=13.0)
    add_doubts(folder, [lost], IntervalsPart(judged=13, invalid=13, left_out=10))
    figures = drawn(RunFolder(folder), monkeypatch)
    assert "no latency was measured in the hold, or in no valid interval" in words(
        figures["latency_percentiles"]
    )
    assert "no tunnel opened in this run, or in no valid interval" in words(figures["openings"])


@pytest.mark.parametrize("name", OF_ENDS)
def test_plots_of_ends_count_them_all_and_say_which_intervals_are_in_doubt(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = drawn(doubtful_folder(tmp_path / "run"), monkeypatch)[name]
    said = "2 of the run's 13 intervals invalid, but counted here: generator lag; 1 suspect: worker CPU"
    assert said in words(figure)


def test_what_is_left_out_says_how_much_of_it_lies_in_the_hold() -> None:
    for in_hold, said in ((3, ""), (1, " (1 of them in the hold)"), (0, " (none of them in the hold)")):
        count = IntervalsPart(judged=60, invalid=3, left_out=in_hold)
        expected = f"3 of the run's 60 intervals left out{said}: generator lag"
        assert left_out_words(Doubts([LAGGED], count)) == expected
    assert left_out_words(Doubts([], IntervalsPart(judged=60))) == ""


def test_of_many_doubts_a_legend_names_the_first_few() -> None:
    span = msgspec.structs.replace(LAGGED, doubts=["lag", "clock", "no_port", "swap", "behind"])
    assert doubt_names([span]) == "generator lag, clock trouble, no free port and 2 more"
    assert (
        doubt_names([msgspec.structs.replace(LAGGED, doubts=["of_a_later_version"])]) == "of a later version"
    )
    assert set(DOUBT_WORDS) == set(Doubt), "each has its words"


def test_an_interval_is_left_out_whose_end_lies_in_an_invalid_span() -> None:
    doubts = Doubts([BUSY, LAGGED, DoubtfulSpan(9.0, 9.192, "invalid", ["clock"], ["suspended"])], COUNTS)
    ends_s = (1.0, 2.0, 6.0, 7.0, 8.0, 9.0, 9.192336, 10.0)
    assert [t_s for t_s in ends_s if doubts.leaves_out(t_s)] == [7.0, 8.0, 9.192336]


def test_a_folder_of_an_earlier_version_is_drawn_as_a_valid_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = doubtful_folder(tmp_path / "run")
    path = folder.path / layout.SUMMARY
    summary = json.loads(path.read_text())
    for name in ("doubts", "intervals"):
        del summary[name]
    path.write_text(json.dumps(summary))
    for name, figure in drawn(folder, monkeypatch).items():
        assert "left out:" not in words(figure), name
        assert "suspect" not in words(figure), name
        shades = [each for axes in figure.axes for each in axes.collections if each.get_hatch() == "////"]
        assert shades == [], name
