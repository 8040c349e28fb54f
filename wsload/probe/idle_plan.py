"""Which tunnels to open to find a path's idle timers, and for how long to watch them. Pure; reads no clock.

Round one, all at once: silent tunnels, tunnels pinged at geometric intervals, and tunnels that send at such
intervals what no server answers. A tunnel whose first ping comes after the timer is a silent one until then.
Later rounds cut the bracket between the longest heartbeat that survived and the shortest that died into
equal parts, all tried at once, until it is narrow or the time is up.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wsload.units import NS_PER_MS, NS_PER_S

SILENT_TUNNELS: Final = 3
SHORTEST_BOUND_NS: Final = NS_PER_S
"""What ``--find-idle-timeout`` has to be at least: below, timers are lost in round trips."""
WATCH_SHARE: Final = 1.25
"""How much longer than the timer every heartbeat is watched: had it not counted, its tunnel were gone."""
_PINGED_PER_OCTAVE: Final = 2
_OCTAVES: Final = 6
_SECTIONS: Final = 6
_UPSTREAM_PARTS: Final = 3
_NEARLY: Final = 0.9
MOST_ROUNDS: Final = 5
NARROW_SHARE: Final = 0.02
NARROW_NS: Final = 20 * NS_PER_MS
"""A bracket narrower than either is not cut further."""


class Kind(StrEnum):
    """What a tunnel does while it is watched."""

    SILENT = "silent"
    PINGED = "pinged"
    """Pings, and the pongs come back: bytes in both directions."""
    UPSTREAM = "upstream"
    """Sends unsolicited pongs, which nobody answers (RFC 6455, section 5.5.3): bytes in one direction."""


class Fate(StrEnum):
    """How a watched tunnel came out."""

    ALIVE = "alive"
    """It answered at the end."""
    OPEN = "open"
    """No end was seen, and it was not asked."""
    FIN = "fin"
    RST = "rst"
    CLOSE = "close"
    UNANSWERED = "unanswered"
    """No end was seen, but a ping got no pong: its state was dropped on the way."""
    REFUSED = "refused"
    """It did not open."""


SEEN_ENDS: Final = frozenset({Fate.FIN, Fate.RST, Fate.CLOSE})
DIED: Final = SEEN_ENDS | {Fate.UNANSWERED}
_LIVING: Final = frozenset({Fate.ALIVE, Fate.OPEN})


@dataclass(frozen=True)
class Trial:
    """One tunnel to watch. ``interval_ns`` is 0 for silent ones."""

    kind: Kind
    interval_ns: int = 0


@dataclass(frozen=True)
class Outcome:
    """What became of one trial. Times are in ns, from its 101 on."""

    trial: Trial
    fate: Fate
    age_ns: int = 0
    idle_ns: int = 0
    """Silence in both directions at its end."""
    longest_silence_ns: int = 0
    """That it survived."""
    beats: int = 0
    """Heartbeats it sent; for pinged ones, those that were answered."""
    unasked: int = 0
    """What the server sent by itself."""
    close_code: int | None = None
    detail: str = ""
    """The close frame's reason, or why it did not open."""

    @property
    def was_silent(self) -> bool:
        """Whether it ended before any heartbeat of ours had touched it."""
        return self.beats == 0 and self.fate in DIED

    @property
    def died_of_silence(self) -> bool:
        """Whether it ended when a whole interval, or nearly, had been silent."""
        whole = self.idle_ns >= _NEARLY * self.trial.interval_ns
        return self.fate in DIED and (self.was_silent or whole)


def first_round(bound_ns: int, *, pings: bool = True) -> tuple[Trial, ...]:
    """For a longest wait of ``bound_ns``. ``pings`` False: the server answers none, so only silence tells."""
    silent = (Trial(Kind.SILENT),) * SILENT_TUNNELS
    if not pings:
        return silent
    steps = range(_OCTAVES * _PINGED_PER_OCTAVE + 1)
    pinged = (Trial(Kind.PINGED, round(bound_ns / 2 ** (step / _PINGED_PER_OCTAVE))) for step in steps)
    upstream = (Trial(Kind.UPSTREAM, bound_ns >> octave) for octave in range(1, _OCTAVES + 1))
    return (*silent, *pinged, *upstream)


def next_round(outcomes: Sequence[Outcome], remaining_ns: int) -> tuple[Trial, ...]:
    """What to try next, given all that came out; nothing where it is narrow enough, or time is short."""
    bracket = heartbeat_bracket(outcomes)
    if bracket is None or lifetime_ns(outcomes) is not None:
        return ()
    low_ns, high_ns = bracket
    silent_ns = silent_end_ns(outcomes)
    if silent_ns is not None and low_ns < silent_ns:
        # Far above the timer every interval dies alike: the cuts belong below and just above it.
        high_ns = min(high_ns, round(silent_ns * (1 + NARROW_SHARE / 2)))
    undecided = upstream_counts(outcomes) is None
    narrow = bracket[1] - low_ns <= max(NARROW_NS, NARROW_SHARE * high_ns)
    if (narrow and not undecided) or watch_ns(high_ns) > remaining_ns:
        return ()
    parts = range(1, _SECTIONS + 1)
    pinged = [Trial(Kind.PINGED, low_ns + (high_ns - low_ns) * part // _SECTIONS) for part in parts]
    upstream = [Trial(Kind.UPSTREAM, high_ns // _UPSTREAM_PARTS)] if undecided else []
    return (*pinged, *upstream)


def watch_ns(timer_ns: int) -> int:
    """For how long to watch heartbeats once silent tunnels ended, or are bound to end, after ``timer_ns``."""
    return round(WATCH_SHARE * timer_ns)


def silent_end_ns(outcomes: Sequence[Outcome]) -> int | None:
    """Median silence after which silent tunnels were seen to end.

    None if none was, or if as many silent ones outlived it: then it was chance (a restart, a lost server).
    """
    ends = [outcome.idle_ns for outcome in outcomes if outcome.was_silent and outcome.fate in SEEN_ENDS]
    if not ends:
        return None
    median_ns = round(statistics.median(ends))
    silent = [outcome for outcome in outcomes if outcome.trial.kind is Kind.SILENT]
    outlived = sum(o.fate in _LIVING and o.longest_silence_ns > WATCH_SHARE * median_ns for o in silent)
    return None if outlived >= len(ends) else median_ns


def strays(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Tunnels that ended though others of their kind, as silent or more so, lived on."""
    limits = {
        Kind.SILENT: silent_end_ns(outcomes) is None,
        Kind.PINGED: lifetime_ns(outcomes) is None,
    }
    return [
        outcome
        for outcome in outcomes
        if outcome.fate in SEEN_ENDS
        and limits.get(outcome.trial.kind, False)
        and (outcome.trial.kind is Kind.SILENT or not outcome.died_of_silence)
    ]


def heartbeat_bracket(outcomes: Sequence[Outcome]) -> tuple[int, int] | None:
    """Longest ping interval that survived (0: none) and the shortest above it that died; None if none died.

    A tunnel that died though its heartbeat was kept (a limit on age, a restart) says nothing about intervals.
    """
    pinged = [outcome for outcome in outcomes if outcome.trial.kind is Kind.PINGED]
    low_ns = max((o.trial.interval_ns for o in pinged if o.fate in _LIVING and o.beats), default=0)
    died = [o.trial.interval_ns for o in pinged if o.died_of_silence and o.trial.interval_ns > low_ns]
    return (low_ns, min(died)) if died else None


def lifetime_ns(outcomes: Sequence[Outcome]) -> int | None:
    """Median age at which tunnels ended though their heartbeat was kept; None where any survived.

    Then silence is not what ended the silent ones: a limit on age is, or a timer that pings do not refresh.
    """
    pinged = [outcome for outcome in outcomes if outcome.trial.kind is Kind.PINGED]
    in_time = [outcome for outcome in pinged if outcome.fate in DIED and not outcome.died_of_silence]
    if not in_time or any(outcome.fate in _LIVING for outcome in pinged):
        return None
    return round(statistics.median(outcome.age_ns for outcome in in_time))


def upstream_counts(outcomes: Sequence[Outcome]) -> bool | None:
    """Whether bytes from the client alone, which nobody answers, keep a tunnel alive. None: not known.

    Told by those that sent well within the timer and were watched for longer than it.
    """
    timer_ns = silent_end_ns(outcomes)
    if timer_ns is None:
        bracket = heartbeat_bracket(outcomes)
        timer_ns = bracket[1] if bracket else None
    if timer_ns is None:
        return None
    sent_often = [
        outcome
        for outcome in outcomes
        if outcome.trial.kind is Kind.UPSTREAM and 2 * outcome.trial.interval_ns <= timer_ns and outcome.beats
    ]
    if any(o.fate is Fate.ALIVE and o.age_ns > 1.1 * timer_ns for o in sent_often):
        return True
    return False if any(o.fate in DIED for o in sent_often) else None
