"""The page: whole by itself, escaped, and honest about partial runs."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.made_folder import Ends, make_campaign, make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.summary import summarise
from wsload.errors import RecordingError
from wsload.profile.load import load_profile
from wsload.record import layout
from wsload.report.html import write_campaign_html, write_html

VOID = {"meta", "img", "br", "link"}


class Balance(HTMLParser):
    """Collects unbalanced tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def page_of(path: Path, **choices: Any) -> str:
    folder = RunFolder(make_folder(path, **choices))
    summary = summarise(folder, load_profile(path / layout.PROFILE).profile)
    return write_html(folder, summary).read_text(encoding="utf-8")


def balanced(page: str) -> bool:
    parser = Balance()
    parser.feed(page)
    return not parser.wrong and not parser.open


def test_the_page_shows_verdict_tables_and_plots_from_inside_itself(tmp_path: Path) -> None:
    (tmp_path / layout.PLOTS).mkdir()
    (tmp_path / layout.PLOTS / "latency_over_time.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg'/>"
    )
    page = page_of(tmp_path, slos={"handshake": ["p(99)<1s"]}, ends=[Ends("idle", 2, 3, 3)])
    for words in (
        "SLO passed",
        "✓",
        "p(99)&lt;1s",
        "through HAProxy 2.6.12",
        "latency over time",
        "data:image/svg+xml;base64,",
    ):
        assert words in page
    assert balanced(page)
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"|url\(|<script|@import', page) == []
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_names_from_outside_are_escaped(tmp_path: Path) -> None:
    page = page_of(tmp_path, title="<script>alert(1)</script>", failures={"<b>": 1})
    assert "<script>" not in page
    assert "&lt;b&gt;" in page


@pytest.mark.parametrize(
    "choices", [{"cut_at_s": 0}, {"cut_at_s": 6, "torn": True}, {"via": "direct", "timers_ms": {}}]
)
def test_empty_partial_and_direct_runs_have_a_page(tmp_path: Path, choices: dict[str, Any]) -> None:
    page = page_of(tmp_path, **choices)
    assert balanced(page)
    assert ("cut short" in page) == ("cut_at_s" in choices)


def test_a_second_page_replaces_the_first_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    page_of(tmp_path)
    page_of(tmp_path)
    assert [path.name for path in tmp_path.glob("report*")] == ["report.html"]


def test_a_page_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "report.html.tmp").mkdir()
    with pytest.raises(RecordingError, match=r"report\.html: cannot be written \(Is a directory\)"):
        page_of(tmp_path)


def test_a_campaigns_page_links_to_the_runs_that_have_one(tmp_path: Path) -> None:
    make_campaign(tmp_path, tunnels_s=[2, 30])
    (tmp_path / "01-tunnel-2s" / layout.REPORT).write_text("x")
    page = write_campaign_html(tmp_path, "tunnel-timeout").read_text(encoding="utf-8")
    assert balanced(page)
    assert re.findall(r'href="([^"]*)"', page) == ["01-tunnel-2s/report.html"]
    assert ">30%<" in page
    assert "<title>tunnel-timeout</title>" in page
