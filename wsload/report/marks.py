"""Marks what may not be believed: spans of a run, and the runs of a campaign. One look for all plots.

The ground behind the data is hatched, so that the mark is there for the colour-blind and in grey print, and
the data stay to be seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Patch, Rectangle

from wsload.record.outcome import Validity
from wsload.report.doubt_captions import GRADES, Doubts, legend_words, worst_grade
from wsload.report.style import INVALID_EDGE, INVALID_FILL, SUSPECT_EDGE, SUSPECT_FILL, legend_beside

Stretch = tuple[float, float]
"""From and to on an x axis."""


@dataclass(frozen=True)
class Ground:
    """How the ground behind doubtful data looks."""

    fill: str
    edge: str
    hatch: str
    edge_width: float


GROUNDS: Mapping[Validity, Ground] = {
    Validity.INVALID: Ground(INVALID_FILL, INVALID_EDGE, "////", 1.0),
    Validity.SUSPECT: Ground(SUSPECT_FILL, SUSPECT_EDGE, "..", 0.6),
}
RUN_WORDS: Mapping[Validity, str] = {
    Validity.INVALID: "invalid run: do not use",
    Validity.SUSPECT: "suspect run",
}
_ABOVE_PHASES = 0.6
"""Above the phases' ground, below the grid and all data."""
_FINEST = 1 / 800
"""Of the axis: spans that lie nearer each other are drawn as one, so that a long soak's plot stays small."""
_POINT_SHARE = 0.018
"""Of the axis: how far the ground of a campaign's point reaches to either side."""


def draw_doubts(panels: Sequence[Axes], doubts: Doubts) -> None:
    """Shade doubtful spans in every panel over time, and say in the first one's legend what they are.

    Call when the x limits are final. The gravest is drawn last, over the others.
    """
    low, high = panels[0].get_xlim()
    shown = {
        grade: spans
        for grade in GRADES
        if (spans := [span for span in doubts.of_grade(grade) if span.from_s < high and span.to_s > low])
    }
    for grade, spans in reversed(list(shown.items())):
        stretches = _merged([(span.from_s, span.to_s) for span in spans], (high - low) * _FINEST)
        for axes in panels:
            draw_ground(axes, stretches, grade)
    _add_to_legend(panels[0], [key_of(grade, legend_words(grade, spans)) for grade, spans in shown.items()])


def draw_ground(axes: Axes, stretches: Iterable[Stretch], grade: Validity) -> None:
    """Shade stretches of the x axis, from the bottom to the top of the axes, below the data."""
    look = GROUNDS[grade]
    corners = [[(left, 0), (left, 1), (right, 1), (right, 0)] for left, right in stretches]
    ground = PolyCollection(
        corners,
        facecolor=look.fill,
        edgecolor=look.edge,
        hatch=look.hatch,
        # An edge has its width however short the span is: a second of a day shows.
        linewidth=look.edge_width,
        transform=axes.get_xaxis_transform(),
        zorder=_ABOVE_PHASES + 0.01 * (grade is Validity.INVALID),
        label=f"_{grade}",
    )
    axes.add_collection(ground, autolim=False)


def key_of(grade: Validity, words: str) -> Patch:
    """For a legend."""
    look = GROUNDS[grade]
    return Patch(
        facecolor=look.fill, edgecolor=look.edge, hatch=look.hatch, linewidth=look.edge_width, label=words
    )


def draw_points_ground(panels: Sequence[Axes], runs: Sequence[tuple[float, str]]) -> list[Artist]:
    """Shade a narrow ground behind the points of a campaign's doubtful runs; returns what the legend says.

    ``runs`` are places on the x axis with a run's validity each; the gravest at a place decides. Call when
    the x limits are final.
    """
    return _draw_places(panels, {_around(panels[0], x): grade for x, grade in _doubtful(runs).items()})


def draw_bars_ground(axes: Axes, runs: Sequence[tuple[float, str]]) -> list[Artist]:
    """The same behind bars that stand at 0, 1, 2, ..."""
    return _draw_places([axes], {(x - 0.44, x + 0.44): grade for x, grade in _doubtful(runs).items()})


def draw_square(axes: Axes, x: float, y: float, grade: Validity) -> None:
    """A heat map's square: an invalid run's loses its colour, a suspect one's is framed."""
    if grade is Validity.VALID:
        return
    look = GROUNDS[grade]
    if grade is Validity.INVALID:
        square = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=look.fill, hatch=look.hatch, linewidth=0)
    else:
        square = Rectangle((x - 0.47, y - 0.45), 0.94, 0.9, facecolor="none", linewidth=2.6)
        square.set_linestyle((0.0, (3.0, 1.2)))
    square.set(edgecolor=look.edge, zorder=1.5)
    axes.add_patch(square)


def _doubtful(runs: Sequence[tuple[float, str]]) -> dict[float, Validity]:
    worst = {x: worst_grade(validity for place, validity in runs if place == x) for x, _ in runs}
    return {x: grade for x, grade in worst.items() if grade is not Validity.VALID}


def _draw_places(panels: Sequence[Axes], places: Mapping[Stretch, Validity]) -> list[Artist]:
    for stretch, grade in places.items():
        for axes in panels:
            draw_ground(axes, [stretch], grade)
    return [key_of(grade, words) for grade, words in RUN_WORDS.items() if grade in places.values()]


def _around(axes: Axes, x: float) -> Stretch:
    """A narrow stretch with ``x`` in its middle, as the eye sees it."""
    to_share = axes.get_xaxis_transform() - axes.transAxes
    share = float(to_share.transform((x, 0.5))[0])
    left, right = (
        to_share.inverted().transform((share + side, 0.5))[0] for side in (-_POINT_SHARE, _POINT_SHARE)
    )
    return float(left), float(right)


def _merged(stretches: Sequence[Stretch], least_apart: float) -> list[Stretch]:
    """In order, those that lie nearer each other joined."""
    joined: list[Stretch] = []
    for left, right in sorted(stretches):
        if joined and left - joined[-1][1] < least_apart:
            joined[-1] = (joined[-1][0], max(joined[-1][1], right))
        else:
            joined.append((left, right))
    return joined


def _add_to_legend(axes: Axes, keys: Sequence[Artist]) -> None:
    if not keys:
        return
    legend = axes.get_legend()
    title = legend.get_title().get_text() if legend is not None else ""
    legend_beside(axes, [*axes.get_legend_handles_labels()[0], *keys], title=title)
