"""How busy HAProxy was, from chosen samples."""

from typing import Any

import pytest

from tests.made_folder import make_folder
from wsload.analysis.busyness import busiest_share
from wsload.analysis.folder import RunFolder


def samples(*readings: tuple[float, float, float], process: int = 0) -> list[Any]:
    """Time, CPU so far, and the idle percentage of each."""
    return [
        {"t_s": t_s, "process": process, "cpu_s": cpu_s, "idle_pct": idle} for t_s, cpu_s, idle in readings
    ]


def test_cpu_used_counts_by_the_threads_that_could_use_it() -> None:
    made = samples((0, 0, 100), (1, 0.8, 90), (2, 1.6, 90))
    assert busiest_share(made, [(0, 2)], threads=1) == pytest.approx(0.8)
    assert busiest_share(made, [(0, 2)], threads=4) == pytest.approx(0.2)


def test_a_process_that_waits_for_a_core_is_not_idle() -> None:
    assert busiest_share(samples((0, 0, 100), (1, 0.2, 5)), [(0, 1)], threads=1) == pytest.approx(0.95)


def test_only_what_lies_in_a_span_counts_and_the_busiest_span_of_any_process_is_told() -> None:
    made = samples((0, 0, 100), (1, 0.9, 90), (2, 1.0, 90), (3, 1.1, 90))
    assert busiest_share(made, [(1, 3)], threads=1) == pytest.approx(0.1)
    assert busiest_share(made, [(1, 3), (0, 1)], threads=1) == pytest.approx(0.9)
    other = samples((0, 0, 100), (3, 1.5, 90), process=1)
    assert busiest_share([*made, *other], [(1, 3)], threads=1) == pytest.approx(0.5)


def test_without_samples_it_is_not_busy(tmp_path: Any) -> None:
    assert busiest_share([], [(0, 1)], threads=1) == 0.0
    folder = RunFolder(make_folder(tmp_path / "run", haproxy_cpu=0.3))
    assert busiest_share(folder.iter_haproxy_stats(), [(3, 13)], threads=1) == pytest.approx(0.3, rel=0.3)
