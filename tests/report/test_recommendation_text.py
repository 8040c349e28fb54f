"""What a campaign recommends, in words."""

import re
from pathlib import Path

import pytest

from tests.made_search import CELL, advised
from wsload.analysis.recommend import Recommendation
from wsload.report.html import write_campaign_html
from wsload.report.recommendation_wording import config_lines, paragraph, rows
from wsload.report.text import recommendation_text


def test_the_paragraph_says_what_to_set_why_and_what_it_rests_on(tmp_path: Path) -> None:
    words = paragraph(advised(tmp_path, measured=1.03))
    assert words.startswith("Set timeout tunnel to 6s. HAProxy then holds about ")
    assert "live tunnels within the SLO" in words
    assert "cuts quiet clients more often than the SLO allows (disconnect_unexpected rate<25%)" in words
    assert "at twice the value it holds" in words
    assert re.search(r"Measured at 6 values from 500ms to 32s, where the model is within [\d.]+%", words)


def test_the_engineer_gets_the_numbers(tmp_path: Path) -> None:
    found = {row.name: dict(row.cells) for row in rows(advised(tmp_path))}
    assert found["timeout tunnel"]["meets the SLO from"].startswith("3.9")
    assert found["recommended"][""] == "6s"
    assert found["half of it"]["within the SLO"] == "✗ SLO on cuts breaks"
    assert found["twice of it"]["within the SLO"].endswith(" live")
    assert found["ping interval"]["at most"] == "1.7s"
    assert found["maxconn"]["for"] == "1,150 live tunnels"
    assert "measured at 8s" in found
    assert "if all are cut at once" in found


def test_where_nothing_can_be_recommended_the_reason_is_told(tmp_path: Path) -> None:
    advice = advised(tmp_path, tunnels=("500ms", "2s"))
    text = recommendation_text(advice)
    assert "No timeout tunnel to recommend: no value that was measured meets the SLO" in text
    assert "measured at 2s" in text
    assert config_lines(advice) == []


def test_a_profile_without_a_model_says_that_the_points_are_all_there_is(tmp_path: Path) -> None:
    strange = CELL + '[backend]\nidle_close = "1h"\n'
    advice = advised(tmp_path, tunnels=("4s", "8s"), profile=strange)
    assert "no model" in paragraph(advice)
    assert rows(advice)[0].name == "timeout tunnel"


@pytest.mark.parametrize(("seconds", "written"), [(6, "6s"), (0.5, "500ms"), (1.25, "1250ms"), (90, "90s")])
def test_haproxy_gets_one_number_with_one_unit(seconds: float, written: str) -> None:
    assert config_lines(Recommendation(timer_s=seconds))[0] == f"timeout tunnel {written}"


def test_the_page_begins_with_the_recommendation(tmp_path: Path) -> None:
    advice = advised(tmp_path)
    page = write_campaign_html(tmp_path, "made", advice).read_text()
    assert page.index("Set timeout tunnel to 6s.") < page.index("<h2>Capacity</h2>")
    assert "timeout client-fin" in page
    assert "whatever an idle timer cut" in page
    assert "Recommendation" not in write_campaign_html(tmp_path, "made").read_text()
