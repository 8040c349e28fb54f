"""Kaplan-Meier: textbook figures, a slow second opinion, and the right tunnels censored."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_folder import Ends, make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.survival import curves, kaplan_meier, left_open
from wsload.errors import FolderError
from wsload.record.outcome import Cause

# Weeks in remission on 6-mercaptopurine, True where it ended: E. J. Freireich et al., Blood 21, 1963; the
# figures are those of D. R. Cox, D. Oakes, "Analysis of Survival Data", 1984, and of Stata's "sts list".
REMISSIONS = [
    *[(6, True)] * 3,
    *[(weeks, True) for weeks in (7, 10, 13, 16, 22, 23)],
    *[(weeks, False) for weeks in (6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35)],
]
REMISSION_ROWS = {
    6: (21, 0.8571, 0.6197, 0.9516),
    7: (17, 0.8067, 0.5631, 0.9228),
    10: (15, 0.7529, 0.5032, 0.8894),
    13: (12, 0.6902, 0.4316, 0.8491),
    16: (11, 0.6275, 0.3675, 0.8049),
    22: (7, 0.5378, 0.2678, 0.7468),
    23: (6, 0.4482, 0.1881, 0.6801),
}

observations = st.lists(
    st.tuples(st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.25, 10.0, 1e6]), st.booleans()), max_size=60
)


def textbook(rows: list[tuple[float, bool]]) -> dict[float, float]:
    """The product over all times of (1 - ended / at risk), one time after the other."""
    survival, found = 1.0, {}
    for time in sorted({time for time, _ in rows}):
        at_risk = sum(duration >= time for duration, _ in rows)
        ended = sum(duration == time and is_end for duration, is_end in rows)
        survival *= 1 - ended / at_risk
        found[time] = survival
    return found


def test_the_textbook_example() -> None:
    weeks, ended = zip(*REMISSIONS, strict=True)
    curve = kaplan_meier(weeks, ended)
    for week, (at_risk, survival, low, high) in REMISSION_ROWS.items():
        (at,) = np.flatnonzero(curve.times_s == week)
        assert curve.at_risk[at] == at_risk
        found = (curve.survival[at], curve.low[at], curve.high[at])
        assert found == pytest.approx((survival, low, high), abs=6e-5)


@given(observations)
def test_it_equals_a_slow_textbook_implementation(rows: list[tuple[float, bool]]) -> None:
    curve = kaplan_meier([time for time, _ in rows], [is_end for _, is_end in rows])
    expected = textbook(rows)
    assert curve.times_s.tolist() == list(expected)
    assert curve.survival == pytest.approx(list(expected.values()), abs=1e-12)


@given(observations)
def test_a_curve_falls_within_its_band_and_loses_nobody(rows: list[tuple[float, bool]]) -> None:
    curve = kaplan_meier([time for time, _ in rows], [is_end for _, is_end in rows])
    assert (np.diff(curve.survival) <= 0).all()
    assert ((curve.low >= 0) & (curve.low <= curve.survival + 1e-12)).all()
    assert ((curve.survival <= curve.high + 1e-12) & (curve.high <= 1)).all()
    assert curve.ended.sum() + curve.censored.sum() == len(rows)


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_without_censoring_it_is_one_minus_the_empirical_distribution(durations: list[float]) -> None:
    curve = kaplan_meier(durations, [True] * len(durations))
    later = [sum(duration > time for duration in durations) / len(durations) for time in curve.times_s]
    assert curve.survival == pytest.approx(later, abs=1e-12)


def test_nothing_seen_is_an_empty_curve() -> None:
    assert len(kaplan_meier([], []).times_s) == 0


def test_while_nobody_ends_all_survive() -> None:
    curve = kaplan_meier([1.0, 2.0], [False, False])
    assert (curve.survival == 1).all()
    assert (curve.low == 1).all()


def test_planned_closes_are_censored_and_disconnects_are_not(tmp_path: Path) -> None:
    ends = [Ends("idle", 15, 4.0, 2.0, cause=Cause.HAPROXY_TUNNEL_TIMEOUT)]
    found = curves(RunFolder(make_folder(tmp_path / "run", ends=ends)))
    idle, pinged = found["idle"]["age"], found["pinged"]["age"]
    assert (idle.ended.sum(), idle.censored.sum()) == (15, 45)
    assert idle.survival[-1] == pytest.approx(0.75)
    assert found["idle"]["idle"].times_s[np.argmin(found["idle"]["idle"].survival)] == 2.0
    assert (pinged.ended.sum(), pinged.censored.sum()) == (0, 10)


def test_our_own_close_frame_breaks_no_silence(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", cohorts={"idle": 1})
    path = folder / "disconnects.csv"
    header, row = path.read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    cells |= {"age_s": "40.000", "idle_rx_s": "40.000", "idle_tx_s": "0.010"}
    path.write_text(f"{header}\n{','.join(cells.values())}\n")
    curve = curves(RunFolder(folder))["idle"]["idle"]
    assert (curve.times_s.tolist(), curve.censored.tolist()) == ([pytest.approx(39.99)], [1])


def test_tunnels_left_open_by_a_run_cut_short_are_censored_at_their_age(tmp_path: Path) -> None:
    ends = [Ends("idle", 20, 1.5, 1.5)]
    folder = RunFolder(make_folder(tmp_path / "run", ends=ends, cut_at_s=6.0, cohorts={"idle": 60}))
    assert left_open(folder) == {"idle": 40}
    found = curves(folder)["idle"]
    assert (found["age"].ended.sum(), found["age"].censored.sum()) == (20, 40)
    assert found["age"].times_s[-1] == pytest.approx(4.5), "of those that opened between 1 s and 2 s"
    assert found["idle"].censored.sum() == 0


def test_a_torn_last_row_and_unseen_ends_are_left_out(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", cohorts={"idle": 3}, torn=True)
    path = folder / "disconnects.csv"
    seen, cut = path.read_text().splitlines()[1:3], path.read_text().splitlines()[3]
    assert len(seen[0].split(",")) > len(cut.split(","))
    unseen = seen[0].split(",")
    unseen[8:11] = ["", "", ""]
    path.write_text(path.read_text().replace(seen[0], ",".join(unseen)))
    assert curves(RunFolder(folder))["idle"]["age"].censored.sum() == 1


def test_a_folder_without_disconnects_has_empty_curves(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", cohorts={"idle": 3})
    (folder / "disconnects.csv").unlink()
    assert len(curves(RunFolder(folder))["idle"]["age"].times_s) == 0
    (folder / "disconnects.csv").write_text("t_s,cohort\n")
    with pytest.raises(FolderError, match=r"disconnects\.csv: has no column age_s"):
        curves(RunFolder(folder))
