"""What a sweep of ping intervals says, in sentences."""

from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import NamedTuple

from wsload.analysis.heartbeat import largest_interval_s
from wsload.analysis.keepalive import KeepalivePoint
from wsload.units import NS_PER_S, format_duration, format_share

_MOST_LOST = 3


class Margin(NamedTuple):
    """The largest interval that survives so many pings lost in a row."""

    lost: int
    interval_s: float


def margins(group: Sequence[KeepalivePoint]) -> list[Margin]:
    """For none to three pings lost in a row, by the rule of thumb and the round trips measured."""
    first = group[0]
    rtt_s, jitter_s = median(point.rtt_s for point in group), median(point.jitter_s for point in group)
    return [
        Margin(lost, largest_interval_s(first.timer_s, rtt_s, jitter_s, lost))
        for lost in range(_MOST_LOST + 1)
    ]


def setting_words(point: KeepalivePoint) -> str:
    """``timer 2s, 20% of pings lost``."""
    loss = f"{format_share(point.loss)} of pings lost" if point.loss else "no ping lost"
    return f"timer {_duration(point.timer_s)}, {loss}"


def keepalive_sentences(points: Sequence[KeepalivePoint]) -> list[str]:
    """For each timer and loss: how near expectation and measurement are, and the intervals to choose from."""
    sentences = []
    for _, members in groupby(points, key=lambda point: (point.timer_s, point.loss)):
        group = list(members)
        worst = max(group, key=lambda point: abs(point.share - point.expected))
        off = 100 * (worst.share - worst.expected)
        told = ", ".join(f"{margin.lost} lost: {_duration(margin.interval_s)}" for margin in margins(group))
        sentences.append(
            f"Keepalive under {setting_words(group[0])}: measured and expected survival are at most "
            f"{abs(off):.1f} points apart (ping every {_duration(worst.every_s)}: "
            f"{format_share(worst.share)} against {format_share(worst.expected)}). The largest interval that "
            f"survives pings lost in a row, {told}."
        )
    return sentences


def _duration(seconds: float) -> str:
    """To the millisecond."""
    return format_duration(round(seconds * 1000) * (NS_PER_S // 1000))
