"""What the watched tunnels say together: the path's idle timer, how sure, and what it looks like. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wsload.probe.answer import printable
from wsload.probe.idle_plan import (
    DIED,
    SEEN_ENDS,
    Fate,
    Kind,
    Outcome,
    heartbeat_bracket,
    lifetime_ns,
    silent_end_ns,
    strays,
    upstream_counts,
)
from wsload.probe.likeness import Likeness, likenesses
from wsload.units import NS_PER_MS, format_duration

_LEAST_PLUS_MINUS_NS: Final = NS_PER_MS
_QUIET_SHARE: Final = 0.9
LOST_BEATS: Final = 1
"""How many lost heartbeats in a row the advised interval survives."""


class Verdict(StrEnum):
    """What was found."""

    TIMER = "timer"
    """Silence ends tunnels."""
    LIFETIME = "lifetime"
    """Age ends tunnels, or a timer that pings do not refresh."""
    NONE = "none"
    """No tunnel ended that kept its heartbeat or was silent."""
    UNMEASURED = "unmeasured"
    """No silent tunnel could be watched."""


@dataclass(frozen=True)
class Finding:
    """The result of one search."""

    verdict: Verdict
    bound_ns: int
    interrupted: bool
    outcomes: tuple[Outcome, ...]
    timer_ns: int | None = None
    plus_minus_ns: int = 0
    fate: Fate | None = None
    """How most tunnels ended that it ended."""
    survived_ns: int | None = None
    """Longest interval of pings that kept a tunnel alive."""
    died_ns: int | None = None
    """Shortest one above it that did not."""
    upstream_counts: bool | None = None
    """Whether bytes from the client alone keep a tunnel alive."""
    longest_silence_ns: int = 0
    """In both directions, survived by any tunnel."""
    advised_ns: int | None = None
    """A heartbeat that survives :data:`LOST_BEATS` lost ones."""
    looks_like: tuple[Likeness, ...] = ()

    @property
    def measured(self) -> bool:
        """Whether it says anything about the path."""
        return self.verdict is not Verdict.UNMEASURED


def conclude(
    outcomes: Sequence[Outcome], bound_ns: int, *, rtt_ns: int = 0, interrupted: bool = False
) -> Finding:
    """Put all outcomes of a search together. ``rtt_ns`` is a ping's, which the advice leaves room for."""
    # A close frame ends a silence too, but not one that was survived.
    silence_ns = max((o.longest_silence_ns for o in outcomes if o.fate is not Fate.CLOSE), default=0)
    opened = [outcome for outcome in outcomes if outcome.fate is not Fate.REFUSED]
    if not any(outcome.trial.kind is Kind.SILENT for outcome in opened):
        return Finding(Verdict.UNMEASURED, bound_ns, interrupted, tuple(outcomes))
    bracket = heartbeat_bracket(outcomes)
    low_ns, high_ns = bracket or (_longest_kept_ns(outcomes), None)
    age_ns = lifetime_ns(outcomes)
    if age_ns is not None:
        ends = _dead(outcomes)
        verdict, timer_ns = Verdict.LIFETIME, age_ns
        plus_minus_ns = _spread_ns([outcome.age_ns for outcome in ends])
    elif (timer := _timer(outcomes)) is not None:
        verdict, (timer_ns, plus_minus_ns) = Verdict.TIMER, timer
        ends = [outcome for outcome in _dead(outcomes) if outcome.died_of_silence]
    else:
        return Finding(
            Verdict.NONE,
            bound_ns,
            interrupted,
            tuple(outcomes),
            survived_ns=low_ns or None,
            longest_silence_ns=silence_ns,
        )
    # Our own pings may cross the end of a tunnel; silent ones are not asked before it is known.
    told_by = [outcome for outcome in ends if outcome.trial.kind is Kind.SILENT] or ends
    fate = Counter(outcome.fate for outcome in told_by).most_common(1)[0][0]
    one_way = upstream_counts(outcomes) if verdict is Verdict.TIMER else None
    likes = likenesses(
        timer_ns, plus_minus_ns, fate, by_age=verdict is Verdict.LIFETIME, client_alone_counts=one_way
    )
    advised_ns = (timer_ns - plus_minus_ns - rtt_ns) // (LOST_BEATS + 1)
    return Finding(
        verdict,
        bound_ns,
        interrupted,
        tuple(outcomes),
        timer_ns=timer_ns,
        plus_minus_ns=plus_minus_ns,
        fate=fate,
        survived_ns=low_ns or None,
        died_ns=high_ns,
        upstream_counts=one_way,
        longest_silence_ns=silence_ns,
        advised_ns=advised_ns if verdict is Verdict.TIMER and advised_ns > 0 else None,
        looks_like=tuple(likes),
    )


def sentences(finding: Finding) -> list[str]:
    """The finding for a person, the most important first; each stands by itself."""
    return [
        line
        for part in (_headline, _heartbeats, _upstream, _likeness, _advice, _caveats)
        for line in part(finding)
    ]


def _headline(finding: Finding) -> list[str]:
    bound = format_duration(finding.bound_ns)
    if finding.verdict is Verdict.UNMEASURED:
        why = Counter(outcome.detail for outcome in finding.outcomes if outcome.fate is Fate.REFUSED)
        said = f": {why.most_common(1)[0][0]}" if why else ""
        return [f"not measured: no silent tunnel could be opened{said}"]
    if finding.verdict is Verdict.NONE:
        if not _server_speaks(finding):
            # The bound itself, give or take the moment that a tunnel was asked late.
            return [f"no timer up to {_plain(min(finding.bound_ns, finding.longest_silence_ns))} of silence"]
        return [
            f"no timer seen in {bound}, but the server sends something by itself (pings, messages): "
            f"no tunnel was silent for longer than {format_duration(finding.longest_silence_ns)}, "
            "so longer timers cannot be seen, and do not matter while it does"
        ]
    assert finding.timer_ns is not None
    length = f"{_plain(finding.timer_ns)} ±{_plain(finding.plus_minus_ns)}"
    how = _how(finding)
    if finding.verdict is Verdict.LIFETIME:
        pinged = [o.trial.interval_ns for o in finding.outcomes if o.trial.kind is Kind.PINGED]
        return [
            f"every tunnel ended at the age of {length}, even pinged every {_plain(min(pinged))}: a limit on "
            f"a tunnel's life, a timer that pings do not refresh, or a restart just then; {how}"
        ]
    return [f"a tunnel ends after {length} without a byte in either direction: {how}"]


def _how(finding: Finding) -> str:
    silent = [o for o in finding.outcomes if o.trial.kind is Kind.SILENT and o.fate is not Fate.REFUSED]
    counted = Counter(_end_words(outcome) for outcome in silent)
    return ", ".join(
        f"{words} ({number} of {len(silent)} silent tunnels)" for words, number in counted.most_common()
    )


def _end_words(outcome: Outcome) -> str:
    if outcome.fate is Fate.CLOSE:
        reason = f' "{printable(outcome.detail)}"' if outcome.detail else ""
        return f"close frame with code {outcome.close_code}{reason}"
    return {
        Fate.FIN: "FIN without a close frame",
        Fate.RST: "RST",
        Fate.UNANSWERED: f"no end on the wire, but a later ping got {outcome.detail}: "
        "the connection was forgotten on the way",
        Fate.ALIVE: "alive",
        Fate.OPEN: "still open",
        Fate.REFUSED: "did not open",
    }[outcome.fate]


def _heartbeats(finding: Finding) -> list[str]:
    if finding.verdict is Verdict.LIFETIME or (finding.survived_ns is None and finding.died_ns is None):
        return []
    survived = (
        "none survived" if finding.survived_ns is None else f"every {_plain(finding.survived_ns)} survived"
    )
    died = "" if finding.died_ns is None else f", every {_plain(finding.died_ns)} died"
    return [f"heartbeat (ping and pong): {survived}{died}"]


def _upstream(finding: Finding) -> list[str]:
    if finding.verdict is not Verdict.TIMER:
        return []
    words = {
        True: "count: the timer is refreshed by the client alone",
        False: "do not count: the timer watches what the server sends (nginx's proxy_read_timeout does), "
        "so only answered pings or the server's own messages help",
        None: "were not tried long enough to tell",
    }
    return [
        f"bytes from the client alone (unsolicited pongs) {words[finding.upstream_counts]}",
        "bytes from the server alone cannot be caused from here",
    ]


def _likeness(finding: Finding) -> list[str]:
    if finding.timer_ns is None:
        return []
    if not finding.looks_like:
        return ["looks like no timer that is known here"]
    return [f"looks like {like.name} [{like.source}]" for like in finding.looks_like]


def _advice(finding: Finding) -> list[str]:
    if finding.advised_ns is None:
        return []
    return [
        f"to keep tunnels: ping every {_plain(finding.advised_ns)} or more often, which survives one lost "
        "ping; or raise the timer"
    ]


def _caveats(finding: Finding) -> list[str]:
    refused = sum(outcome.fate is Fate.REFUSED for outcome in finding.outcomes)
    lines = (
        [f"{refused} of {len(finding.outcomes)} tunnels did not open"] if refused and finding.measured else []
    )
    lost = Counter(_end_words(outcome) for outcome in strays(finding.outcomes))
    lines += [f"{number} ended though others like it lived on: {words}" for words, number in lost.items()]
    if finding.verdict is Verdict.NONE and all(o.trial.kind is Kind.SILENT for o in finding.outcomes):
        lines.append("the server answers no pings, so a connection forgotten on the way would not be seen")
    if finding.verdict in (Verdict.TIMER, Verdict.LIFETIME) and _server_speaks(finding):
        lines.append("the server sends something by itself, so the timer was seen only where it paused")
    return lines


def _server_speaks(finding: Finding) -> bool:
    silent = [outcome for outcome in finding.outcomes if outcome.trial.kind is Kind.SILENT]
    quiet_ns = _QUIET_SHARE * max((outcome.age_ns for outcome in silent), default=0)
    return any(outcome.unasked for outcome in silent) and finding.longest_silence_ns < quiet_ns


def _timer(outcomes: Sequence[Outcome]) -> tuple[int, int] | None:
    """The idle timer and its uncertainty: from ends that were seen, else from heartbeats that died."""
    timer_ns = silent_end_ns(outcomes)
    if timer_ns is not None:
        ends = [o.idle_ns for o in outcomes if o.was_silent and o.fate in SEEN_ENDS]
        return timer_ns, _spread_ns(ends)
    bracket = heartbeat_bracket(outcomes)
    if bracket is None:
        return None
    low_ns, high_ns = bracket
    return (low_ns + high_ns) // 2, (high_ns - low_ns) // 2


def _dead(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.fate in DIED]


def _spread_ns(values_ns: Sequence[int]) -> int:
    return max((max(values_ns) - min(values_ns)) // 2, _LEAST_PLUS_MINUS_NS)


def _longest_kept_ns(outcomes: Sequence[Outcome]) -> int:
    pinged = [outcome for outcome in outcomes if outcome.trial.kind is Kind.PINGED]
    return max(
        (o.trial.interval_ns for o in pinged if o.fate in (Fate.ALIVE, Fate.OPEN) and o.beats), default=0
    )


def _plain(ns: int) -> str:
    return format_duration(round(ns / NS_PER_MS) * NS_PER_MS)
