"""The diagnosis as a picture: every cell labelled, the same bytes each time, and whole for any folder."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from tests.made_ends import MANY_ENDS, Ended, ended_folder
from wsload.analysis.diagnosis import diagnose
from wsload.analysis.folder import RunFolder
from wsload.record.outcome import Cause, Wire
from wsload.report import diagnosis_plots
from wsload.report.diagnosis_plots import MOST_COLUMNS, MOST_ROWS, write_diagnosis_plots
from wsload.report.style import figure_of


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Axes]:
    """The axes of what is drawn, caught instead of written."""
    caught: list[Axes] = []

    def keep(figure: Figure, folder: Path, name: str) -> list[Path]:
        caught.extend(figure.axes)
        return []

    monkeypatch.setattr(diagnosis_plots, "save", keep)
    return caught


def draw(folder: RunFolder) -> list[Path]:
    return write_diagnosis_plots(folder, diagnose(folder))


def words_in(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_every_cell_has_its_count_and_its_cause_in_words(tmp_path: Path, drawn: list[Axes]) -> None:
    draw(ended_folder(tmp_path, MANY_ENDS))
    words = words_in(drawn[0])
    for end in MANY_ENDS:
        assert f"{end.count:,}" in words
    assert {"cD--  (1,264)", "client-side timer", "K---  (25)", "killed", "none  (12)"} <= set(words)
    assert {"timeout (guess)", "close frame 1001", "(1,260)"} <= set(words)


def test_bars_are_to_scale_and_told_apart_without_colour(tmp_path: Path, drawn: list[Axes]) -> None:
    draw(
        ended_folder(tmp_path, [Ended(100, Cause.BACKEND_RESET, "SD--"), Ended(50, Cause.PEER_RESET, "CD--")])
    )
    bars = [patch for patch in drawn[0].patches if isinstance(patch, Rectangle)][1:]
    assert bars[0].get_width() == pytest.approx(2 * bars[1].get_width())
    assert bars[0].get_hatch() != bars[1].get_hatch()


@pytest.mark.parametrize("states", [1, 3, MOST_COLUMNS])
def test_no_text_leaves_the_picture_or_meets_another(tmp_path: Path, drawn: list[Axes], states: int) -> None:
    terminations = ["cD--", "----", "sD--", "K---", "SD--", ""][:states]
    causes = [Cause.HAPROXY_CLIENT_TIMEOUT, Cause.HAPROXY_SERVER_FIN, Cause.PATH_IDLE_TIMEOUT]
    ends = [
        Ended(123_456, cause, state, wire)
        for cause in causes
        for state in terminations
        for wire in (Wire.FIN, Wire.RST)
    ]
    draw(ended_folder(tmp_path, [Ended(2, end.cause, end.termination, end.wire) for end in ends]))
    figure = figure_of(drawn[0])
    figure.canvas.draw()
    shown = [text for text in drawn[0].findobj(Text) if isinstance(text, Text) and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    for number, (words, box) in enumerate(boxes):
        assert box.x0 >= 0, words
        assert box.x1 <= figure.bbox.x1, words
        for other_words, other in boxes[:number]:
            assert not box.overlaps(other), (words, other_words)


def test_what_is_rare_is_folded_and_nothing_is_lost(tmp_path: Path, drawn: list[Axes]) -> None:
    codes = range(4000, 4000 + MOST_ROWS + 5)
    ends = [Ended(1, Cause.BACKEND_CLOSE, f"{code % 9}D--", Wire.CLOSE, close_code=code) for code in codes]
    draw(ended_folder(tmp_path, ends))
    words = words_in(drawn[0])
    assert "other" in words
    assert "(6)" in words  # rows beyond the most
    counts = [int(word) for word in words if word.isdigit()]
    assert sum(counts) == len(codes)


def test_equal_folders_give_equal_bytes(tmp_path: Path) -> None:
    pictures = [draw(ended_folder(tmp_path / name / "run", MANY_ENDS)) for name in ("one", "two")]
    assert [path.name for path in pictures[0]] == ["diagnosis.png", "diagnosis.svg"]
    for one, two in zip(*pictures, strict=True):
        assert one.read_bytes() == two.read_bytes()


def test_a_run_without_ends_says_so(tmp_path: Path, drawn: list[Axes]) -> None:
    draw(ended_folder(tmp_path, [], cohorts={"idle": 5}))
    assert words_in(drawn[0]) == ["no tunnel ended in this run"]
