"""What the scale plot shows, and what it leaves out."""

import msgspec

from benchmarks.scale_figures import Row
from benchmarks.scale_plot import scale_figure
from benchmarks.scale_samples import Owner
from wsload.report.style import house_style

RAN = Row(
    tunnels=1000,
    exit_code=0,
    limits=[],
    processes={Owner.DRIVER: 1},
    opened_per_s=3900.0,
    memory_bytes={Owner.DRIVER: 2_000_000, Owner.KERNEL: -1},
    cpu_cores={Owner.DRIVER: 0.1},
    lag_p99_ms=0.5,
)
REFUSED = Row(tunnels=5_000_000, exit_code=104, limits=["does not fit this machine"])


def test_a_refused_number_is_told_in_words_and_has_no_point() -> None:
    larger = msgspec.structs.replace(RAN, tunnels=10_000)
    with house_style():
        figure = scale_figure([RAN, larger, REFUSED], ["held 1m"])
    memory = figure.axes[0]
    drawn = {str(line.get_label()): list(line.get_xdata()) for line in memory.get_lines()}  # type: ignore[arg-type]
    assert drawn["driver"] == [1000, 10_000]
    assert drawn["kernel (sockets, files)"] == []
    assert any("5,000,000: does not fit this machine" in text.get_text() for text in figure.texts)


def test_a_series_without_a_run_says_so() -> None:
    with house_style():
        figure = scale_figure([REFUSED], [])
    assert all(axes.texts[0].get_text() == "no run came about" for axes in figure.axes)
