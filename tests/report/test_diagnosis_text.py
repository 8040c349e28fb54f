"""The diagnosis as text: the answer first, nothing wider than asked for, the same words in any width."""

from pathlib import Path

import pytest

from tests.made_ends import MANY_ENDS, Ended, Failed, ended_folder
from wsload.analysis.diagnosis import Diagnosis, diagnose
from wsload.analysis.sources import LogFit, Sources
from wsload.record.outcome import Cause, Wire
from wsload.record.summary import Completeness
from wsload.report.diagnosis_text import MOST_ROWS, diagnosis_text

FINDING = "1,204 idle tunnels ended 30.0 s (±0.1) after their last byte: `timeout client 30s`."
FAILURES = [Failed(12, Cause.QUEUE_TIMEOUT, "503"), Failed(8, Cause.BACKLOG_WAIT, "timeout")]


@pytest.fixture
def many(tmp_path: Path) -> Diagnosis:
    counts = Completeness(ended=1767, log_lines=1800, matched=1755, without_line=12, dropped=12, unread=1)
    sources = Sources(log=LogFit(formats={}, early=0, unread_examples=[(7, "Nov 22 " + "x" * 190)]))
    folder = ended_folder(tmp_path, MANY_ENDS, FAILURES, counts=counts, findings=[FINDING], sources=sources)
    return diagnose(folder)


def test_the_answer_comes_first_then_the_changes_the_matrix_and_the_evidence(many: Diagnosis) -> None:
    text = diagnosis_text(many)
    parts = [FINDING[:40], "were not ended by", "what to change", "who saw what", "how whole the evidence is"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert text.index(FINDING[:40]) < 200


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_asked_for_and_nothing_is_lost(many: Diagnosis, width: int) -> None:
    text = diagnosis_text(many, width=width)
    assert max(map(len, text.splitlines())) <= width
    for cell in many.matrix:
        assert f" {cell.count:,} " in text
        assert cell.termination in text
    words = "".join(text.split())
    for change in many.changes:
        assert "".join(change.change.split()) in words
    assert "x" * 100 not in text.splitlines()
    assert words.count("x" * 190) == 1


def test_lines_have_no_trailing_blanks_and_no_colour_unless_asked(many: Diagnosis) -> None:
    plain = diagnosis_text(many)
    assert "\x1b" not in plain
    assert all(line == line.rstrip() for line in plain.splitlines())
    assert "\x1b[" in diagnosis_text(many, color=True)


def test_a_column_for_haproxy_is_there_only_with_its_log(tmp_path: Path) -> None:
    found = diagnose(ended_folder(tmp_path, [Ended(5, Cause.PEER_FIN)], via="url", sources=Sources()))
    text = diagnosis_text(found)
    assert "no line" not in text
    assert "cohort  the client saw  cause" in text
    assert "--haproxy-log FILE" in text


def test_rare_kinds_beyond_the_most_are_counted(tmp_path: Path) -> None:
    ends = [
        Ended(2, Cause.BACKEND_CLOSE, "----", Wire.CLOSE, close_code=4000 + number)
        for number in range(MOST_ROWS + 7)
    ]
    text = diagnosis_text(diagnose(ended_folder(tmp_path, ends)))
    assert "and 7 rarer kinds, 14 tunnels: --json has them all" in text
