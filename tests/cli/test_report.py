"""``wsload report`` of a campaign whose cells searched for capacity: all from its folder."""

import csv
import json
from pathlib import Path

import pytest

from tests.cli.invoke import invoke
from tests.made_folder import make_campaign, make_folder
from tests.made_search import make_search_campaign
from wsload.analysis.capacity_file import CAPACITY_FACTS, CONTROL_FACTS
from wsload.errors import ExitCode
from wsload.record import layout


def test_a_campaign_of_searches_ends_with_its_recommendation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_search_campaign(tmp_path / "made", tunnels=("2s", "4s", "8s"))
    said = invoke(capsys, "report", str(folder), "--no-plots")
    assert (said.code, said.err) == (ExitCode.PASSED, "")
    assert said.out.index("failed at") < said.out.index("Set timeout tunnel to 6s.")
    stored = json.loads((folder / layout.RECOMMENDATION).read_text())
    assert (stored["schema"], stored["timer_s"]) == ("wsload.recommendation/1", 6.0)
    assert [point["timer_s"] for point in stored["points"]] == [2.0, 4.0, 8.0]


def test_a_campaign_without_a_search_says_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_campaign(tmp_path / "made", tunnels_s=(2, 30), cohorts={"idle": 5})
    said = invoke(capsys, "report", str(folder), "--no-plots")
    assert (said.code, said.err) == (ExitCode.PASSED, "")
    assert "Set timeout tunnel" not in said.out
    assert not (folder / layout.RECOMMENDATION).exists()


def test_a_campaign_of_which_only_the_control_has_a_result_is_told_without_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_folder(tmp_path / "control", via="direct")
    with (tmp_path / layout.CAPACITY).open("w", newline="") as file:
        columns = ["haproxy.timeouts.tunnel", *CAPACITY_FACTS, *CONTROL_FACTS]
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerow({"haproxy.timeouts.tunnel": "1s", "validity": "invalid", "run": "tunnel=1s"})
        writer.writerow({"opened": 100, "validity": "valid", "run": "control"})
    said = invoke(capsys, "report", str(tmp_path))
    assert (said.code, said.err) == (ExitCode.PASSED, "")
    assert "invalid" in said.out
    assert not (tmp_path / layout.PLOTS).exists()
