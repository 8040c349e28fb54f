"""Doubtful intervals, on a terminal and on the page."""

from pathlib import Path

from tests.made_folder import make_folder
from wsload.analysis.folder import RunFolder
from wsload.analysis.summary import summarise
from wsload.profile.load import load_profile
from wsload.record import layout
from wsload.record.summary import DoubtfulSpan, Summary
from wsload.report.doubt_wording import doubt_rows, shown_spans, span_words
from wsload.report.html import write_html
from wsload.report.text import final_text


def summary_of(path: Path, **late_ms: float) -> Summary:
    folder = RunFolder(make_folder(path, late_ms={int(name[1:]): ms for name, ms in late_ms.items()}))
    return summarise(folder, load_profile(path / layout.PROFILE).profile)


def span(from_s: float, validity: str = "suspect") -> DoubtfulSpan:
    return DoubtfulSpan(from_s, from_s + 1, validity, ["lag", "behind"], ["words"])


def test_a_run_without_doubts_says_nothing_of_its_intervals(tmp_path: Path) -> None:
    summary = summary_of(tmp_path)
    assert doubt_rows(summary) == []
    assert "intervals" not in final_text(summary, tmp_path)
    page = write_html(RunFolder(tmp_path), summary).read_text()
    assert "Doubtful intervals" not in page
    assert "without the invalid intervals" not in page


def test_doubtful_intervals_are_counted_and_named(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, s4=300, s5=300, s8=300)
    (row,) = doubt_rows(summary)
    assert row.grave
    assert row.cells == (
        ("judged", "13"),
        ("invalid", "3"),
        ("left out of the hold", "3"),
        ("", "4s-6s invalid (lag)"),
        ("", "8s-9s invalid (lag)"),
    )
    text = final_text(summary, tmp_path)
    assert "invalid=3  left out of the hold=3  4s-6s invalid (lag)" in text
    page = write_html(RunFolder(tmp_path), summary).read_text()
    assert "Doubtful intervals" in page
    assert "without the invalid intervals" in page
    assert page.count("over the limit of 50ms, so latencies are the generator&#39;s own") == 3


def test_of_many_spans_the_invalid_ones_are_shown_in_the_order_of_time() -> None:
    spans = [span(number, "invalid" if number in (3, 18) else "suspect") for number in range(0, 20)]
    assert [each.from_s for each in shown_spans(spans)] == [0, 1, 2, 3, 4, 18]
    assert span_words(spans[3]) == "3s-4s invalid (lag, behind)"
