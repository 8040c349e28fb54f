"""The keepalive plot: a curve and a point with its interval for each cell, for each timer."""

from pathlib import Path

import numpy as np

from wsload.analysis.keepalive import KeepalivePoint
from wsload.report.keepalive_plot import keepalive_figure, write_keepalive_plot
from wsload.report.style import Caption, house_style

CAPTION = Caption(("keepalive-cell",), ("2 of 2 cells valid",))


def point(every_s: float, alive: int, timer_s: float = 2.0) -> KeepalivePoint:
    return KeepalivePoint(
        every_s=every_s,
        timer_s=timer_s,
        loss=0.2,
        tunnels=100,
        alive=alive,
        expected=0.5,
        rtt_s=0.004,
        jitter_s=0.006,
        watched_s=(10, 11),
        run="a",
    )


def test_each_timer_has_its_curve_and_its_points() -> None:
    points = [point(0.6, 90), point(1.5, 25), point(0.6, 99, 4.0), point(3.0, 60, 4.0)]
    with house_style():
        (axes,) = keepalive_figure(points, CAPTION).axes
    curves = [line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) > 100]
    assert len(curves) == 2
    marked = [
        np.asarray(line.get_ydata()).tolist() for line in axes.get_lines() if line.get_marker() in ("o", "s")
    ]
    assert marked == [[90, 25], [99, 60]]
    labels = [text.get_text().replace("\n", " ") for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert labels[0] == "worked out, timer 2s, 20% of pings lost"


def test_the_curve_steps_down_where_one_ping_more_may_not_be_lost() -> None:
    with house_style():
        (axes,) = keepalive_figure([point(0.6, 90), point(2.2, 0)], CAPTION).axes
    curve = next(line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) > 100)
    x, y = np.asarray(curve.get_xdata(), float), np.asarray(curve.get_ydata(), float)
    falls = x[1:][np.diff(y) < -5]
    assert [round(float(place), 3) for place in falls] == [0.667, 1.0, 2.0]


def test_it_is_written_as_png_and_svg(tmp_path: Path) -> None:
    written = write_keepalive_plot([point(0.6, 90)], CAPTION, tmp_path)
    assert [path.name for path in written] == ["keepalive.png", "keepalive.svg"]
    assert all(path.stat().st_size > 1000 for path in written)
