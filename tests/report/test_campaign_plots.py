"""A campaign's plots, and the pure functions that say where quiet clients are cut."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tests.made_folder import make_campaign
from wsload.analysis.campaign import (
    AxisKind,
    CampaignInfo,
    CellResult,
    axis_kind,
    axis_title,
    cut_region,
    cut_share,
    points,
    read_campaign,
)
from wsload.errors import FolderError
from wsload.report import campaign_plots
from wsload.report.campaign_drawing import worst_slo
from wsload.report.campaign_plots import campaign_caption, write_campaign_plots
from wsload.report.style import house_style, save
from wsload.report.value_axis import axis_label

TUNNEL, MAXCONN = "haproxy.timeouts.tunnel", "haproxy.maxconn"
PLANNED = {"idle": 100, "chatty": 50}


def cell(
    axes: Mapping[str, str], *, idle: int = 100, causes: Mapping[str, int] | None = None, slo: str = "none"
) -> CellResult:
    """A cell in which all chatty and ``idle`` idle tunnels were held; the idle ones' ends by ``causes``."""
    chatty = PLANNED["chatty"]
    return CellResult(
        axes=axes,
        planned=150,
        opened=150,
        held=idle + chatty,
        held_by_cohort={"idle": idle, "chatty": chatty},
        planned_by_cohort=PLANNED,
        peak_slots=150,
        disconnect_unexpected=sum((causes or {}).values()),
        slo=slo,
        validity="valid",
        run="cell",
        maxconn=200,
        hold_s=10.0,
        disconnects={"idle": causes or {"haproxy_tunnel_timeout": 100 - idle}},
    )


INFO = CampaignInfo(
    title="tunnel-timeout",
    profile="mixed",
    axes=(TUNNEL,),
    tunnels=150,
    ramp_s=3.0,
    hold_s=10.0,
    via="haproxy",
    timers_ms={"tunnel": 2000, "client": 30_000},
    haproxy_version="2.6.12",
    host="driver, HAProxy and backend share 2 cores",
)
SWEEP = [
    cell({TUNNEL: "2s"}, idle=0),
    cell({TUNNEL: "5s"}, idle=90),
    cell({TUNNEL: "10s"}, idle=99),
    cell({TUNNEL: "1m"}),
]


def drawn(cells: list[CellResult], info: CampaignInfo, monkeypatch: pytest.MonkeyPatch) -> dict[str, Figure]:
    """The campaign's figures by name, not written."""
    figures: dict[str, Figure] = {}

    def keep(figure: Figure, out: Path, name: str) -> list[Path]:
        figures[name] = figure
        return []

    monkeypatch.setattr(campaign_plots, "save", keep)
    write_campaign_plots(cells, info, Path())
    return figures


def texts(axes: Axes) -> str:
    legend = axes.get_legend()
    found = [text.get_text() for text in [*axes.texts, *(legend.get_texts() if legend else [])]]
    return " ".join(found).replace("\n", " ")


def test_the_cut_region_ends_at_the_largest_timeout_that_cut_more_than_one_percent() -> None:
    region = cut_region(SWEEP, TUNNEL)
    assert region is not None
    assert region.up_to == 5.0, "99 of 100 held at 10s is no cut"
    assert dict(region.cohorts) == {"idle": 5.0}


def test_each_cut_cohort_has_its_own_end() -> None:
    all_cut = replace(
        cell({TUNNEL: "2s"}, idle=0),
        held_by_cohort={"idle": 0, "chatty": 0},
        disconnects={"idle": {"peer_fin": 100}, "chatty": {"peer_fin": 50}},
    )
    cells = [all_cut, cell({TUNNEL: "1m"}, idle=50)]
    region = cut_region(cells, TUNNEL)
    assert region is not None
    assert dict(region.cohorts) == {"idle": 60.0, "chatty": 2.0}
    assert region.up_to == 60.0


def test_nothing_is_cut_where_all_are_held_or_the_axis_is_no_timer() -> None:
    assert cut_region(SWEEP[3:], TUNNEL) is None
    assert cut_region([cell({MAXCONN: "100"}, idle=0)], MAXCONN) is None


def test_one_repeat_that_lost_tunnels_makes_a_cut() -> None:
    region = cut_region([cell({TUNNEL: "5s"}), cell({TUNNEL: "5s"}, idle=50)], TUNNEL)
    assert region is not None
    assert region.up_to == 5.0


@pytest.mark.parametrize(
    ("idle", "causes", "share"),
    [
        (40, {"haproxy_tunnel_timeout": 60}, 0.6),
        (40, {"planned": 60}, 0.0),
        (40, {"generator_lost": 60}, 0.0),
        (40, {"peer_fin": 10, "planned": 90}, 0.1),
        (95, {"peer_fin": 100}, 0.05),
    ],
    ids=["cut", "planned", "generator", "never opened", "cut in the drain"],
)
def test_only_open_tunnels_that_something_ended_before_the_holds_end_are_cut(
    idle: int, causes: dict[str, int], share: float
) -> None:
    assert cut_share(cell({TUNNEL: "5s"}, idle=idle, causes=causes), "idle") == pytest.approx(share)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1s", "500ms", "2m"], AxisKind.DURATION),
        (["500", "2k"], AxisKind.NUMBER),
        (["none", "2s"], AxisKind.WORD),
        (["0s", "2s"], AxisKind.WORD),
        (["even", "poisson"], AxisKind.WORD),
    ],
)
def test_axis_values_are_known_by_their_form(values: list[str], kind: AxisKind) -> None:
    assert axis_kind(values) is kind


def test_points_ascend_and_gather_repeats() -> None:
    cells = [cell({TUNNEL: text}) for text in ("1m", "500ms", "60s", "2s")]
    assert [(point.x, len(point.cells)) for point in points(cells, TUNNEL)] == [(0.5, 1), (2.0, 1), (60.0, 2)]


def test_keys_are_named_in_haproxys_words_with_units() -> None:
    assert axis_title(TUNNEL) == "timeout tunnel"
    assert axis_title("backend.idle_close") == "backend idle close"
    assert axis_title("cohort.pinged.every") == "ping interval of pinged"
    assert axis_title("cohort.chatty.ping_loss") == "ping loss of chatty"
    assert axis_label(TUNNEL, ["1s"], log=True) == "timeout tunnel (duration, log scale)"
    assert axis_label(MAXCONN, ["100"]) == "maxconn (connections)"
    assert axis_label("load.arrivals", ["even", "poisson"]) == "arrivals"


def test_a_failed_repeat_outweighs_a_passed_one() -> None:
    assert worst_slo([cell({}, slo="passed"), cell({}, slo="failed")]) == "failed"
    assert worst_slo([cell({}, slo="passed"), cell({}, slo="none")]) == "passed"
    assert worst_slo([cell({})]) == "none"


def test_a_campaigns_folder_is_read_back_and_drawn_the_same_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_campaign(tmp_path / "campaign", cohorts={"idle": 30, "chatty": 10, "pinged": 10})
    info, cells = read_campaign(folder)
    assert [found.axes[TUNNEL] for found in cells] == ["1s", "2s", "5s", "10s", "30s"]
    assert cells[0].held_by_cohort == {"idle": 0, "chatty": 10, "pinged": 0}
    assert (info.axes, info.hold_s, info.host, info.failed) == ((TUNNEL,), 20.0, INFO.host, ())
    region = cut_region(cells, TUNNEL)
    assert region is not None
    assert dict(region.cohorts) == {"idle": 10.0, "pinged": 2.0}
    written = write_campaign_plots(cells, info, folder / "plots")
    names = ("capacity", "disconnects_by_timeout", "latency_by_timeout")
    assert {path.name for path in written} == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    with house_style():
        again = save(drawn(cells, info, monkeypatch)["capacity"], tmp_path, "capacity")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written[:2]]


def test_a_cell_without_a_result_is_named_and_the_rest_is_drawn(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "campaign", tunnels_s=(1, 30), cohorts={"idle": 5})
    (folder / "01-tunnel-1s" / "summary.json").unlink()
    info, cells = read_campaign(folder)
    assert [found.axes[TUNNEL] for found in cells] == ["30s"]
    assert info.failed == ({TUNNEL: "1s"},)
    assert campaign_caption(cells, info).warning == "Without a result: timeout tunnel 1s"


def test_a_campaign_in_which_no_cell_has_a_result_is_refused_in_one_line(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path / "campaign", tunnels_s=(1,), cohorts={"idle": 5})
    (folder / "01-tunnel-1s" / "summary.json").unlink()
    with pytest.raises(FolderError, match="none of its 1 cells has a result"):
        read_campaign(folder)


def test_the_capacity_plot_shades_the_cut_and_says_whom_it_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(SWEEP, INFO, monkeypatch)["capacity"]
    tunnels, shares = figure.axes
    assert "idle tunnels are cut up to 5s" in texts(tunnels)
    assert "held, chatty" in texts(tunnels)
    assert "slots held" in texts(tunnels)
    assert "maxconn 200" in texts(tunnels)
    assert shares.get_xscale() == "log"
    assert shares.get_xlabel() == "timeout tunnel (duration, log scale)"
    assert "%" in shares.get_ylabel()
    assert "held through a 10s hold" in figure.texts[0].get_text()
    lines = [np.asarray(line.get_xdata(), dtype=float) for line in tunnels.lines]
    edges = [places[0] for places in lines if len(places) == 2 and places[0] == places[1]]
    assert any(5 < edge < 10 for edge in edges), "the shading ends between the last cut and the next value"


def test_repeats_are_drawn_as_their_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [cell({TUNNEL: "2s"}, idle=idle) for idle in (0, 20, 70)] + [cell({TUNNEL: "8s"})]
    tunnels = drawn(cells, INFO, monkeypatch)["capacity"].axes[0]
    line = next(line for line in tunnels.lines if line.get_label() == "held, idle")
    assert list(np.asarray(line.get_ydata())) == [30, 100]


def test_slo_signs_stand_above_the_points_where_any_is_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [replace(SWEEP[0], slo="failed"), replace(SWEEP[3], slo="passed")]
    signs = [text.get_text() for text in drawn(cells, INFO, monkeypatch)["capacity"].axes[0].texts]
    assert {"\N{CHECK MARK}", "\N{BALLOT X}"} <= set(signs)
    assert "SLO" not in texts(drawn(SWEEP, INFO, monkeypatch)["capacity"].axes[0])


def test_a_number_axis_and_a_word_axis_are_drawn_without_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, values in ((MAXCONN, ("100", "5k")), ("load.arrivals", ("even", "poisson"))):
        cells = [cell({key: value}) for value in values]
        tunnels, shares = drawn(cells, replace(INFO, axes=(key,)), monkeypatch)["capacity"].axes
        assert "cut" not in texts(tunnels)
        assert shares.get_xscale() == ("log" if key == MAXCONN else "linear")


def test_two_axes_give_a_heat_map_with_the_values_in_its_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = [
        cell({TUNNEL: tunnel, MAXCONN: most}, idle=idle)
        for tunnel, most, idle in (("2s", "100", 0), ("2s", "200", 25), ("9s", "100", 100))
    ]
    figures = drawn(cells, replace(INFO, axes=(TUNNEL, MAXCONN)), monkeypatch)
    words = texts(figures["capacity"].axes[0])
    assert "33.3% 50" in words
    assert "50.0% 75" in words
    assert "100.0% 150" in words
    assert "no result" in words


def test_a_campaign_without_disconnects_or_echoes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    figures = drawn(SWEEP[3:], INFO, monkeypatch)
    assert "no disconnects in this campaign" in texts(figures["disconnects_by_timeout"].axes[0])
    assert "no cohort of this campaign measures latency" in texts(figures["latency_by_timeout"].axes[0])


def test_the_caption_names_what_is_fixed_and_what_to_doubt() -> None:
    caption = campaign_caption([*SWEEP[:3], replace(SWEEP[3], validity="invalid")], INFO)
    assert "timeout client 30s" in caption.setting
    assert "hold 10s" in caption.setting
    assert caption.warning == "Doubtful: timeout tunnel 1m (invalid)"
    assert caption.footer[0] == "3 of 4 cells valid"
