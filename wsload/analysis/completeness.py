"""How whole a run's evidence is, in words: what ended against what was logged, and why a log did not fit."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from wsload.analysis.join import SLACK_S
from wsload.analysis.sources import LogFit, Sources, fits
from wsload.record.layout import RunInfo
from wsload.record.summary import Completeness
from wsload.units import NS_PER_S, format_count, format_duration, format_many, format_share

_FORMAT_HELP = "`option httplog`, `option tcplog` and wsload's JSON are read"


class Weight(StrEnum):
    """What a note means for the verdicts."""

    GOOD = "good"
    PLAIN = "plain"
    """Neither here nor there."""
    DOUBT = "doubt"
    """They are less sure than they could be."""


class Note(msgspec.Struct, frozen=True):
    """One line."""

    text: str
    weight: Weight = Weight.PLAIN


def notes_on(info: RunInfo, counts: Completeness, sources: Sources) -> tuple[bool, list[Note]]:
    """Whether all evidence is there that should be, and what there is to say about it."""
    notes = [*_on_the_log(info, counts, sources), *_on_the_backend(counts)]
    return not any(note.weight is Weight.DOUBT for note in notes), notes


def _on_the_log(info: RunInfo, counts: Completeness, sources: Sources) -> Iterator[Note]:
    log = sources.log
    if info.via == "direct":
        yield Note("no HAProxy took part in this run")
        return
    if log is None:
        add = "; join one with --haproxy-log FILE" if info.via == "url" else ""
        yield Note(f"no log of HAProxy's: the client's side alone says who ended a tunnel{add}", Weight.DOUBT)
        return
    yield _joined(counts)
    if counts.without_line:
        share = format_share(float(f"{counts.without_line / counts.ended:.2g}"))
        yield Note(
            f"{format_many(counts.without_line, 'end')} without a log line ({share}): judged with less "
            "confidence",
            Weight.DOUBT,
        )
        yield from (Note(text, Weight.DOUBT) for text in _misfits(info, counts, log))
    if counts.dropped:
        yield Note(
            f"{format_many(counts.dropped, 'log line')} lost before they could be stored", Weight.DOUBT
        )
    if counts.without_end:
        whose = (
            "of other clients or times" if sources.given.haproxy_log else "of no tunnel that a client knows"
        )
        yield Note(f"{format_many(counts.without_end, 'log line')} {whose}")
    if log.early:
        yield Note(
            f"{format_many(log.early, 'log line')} written at the 101, which say nothing of an end: "
            "remove `option logasap`",
            Weight.DOUBT,
        )
    if counts.unread:
        yield Note(f"{format_many(counts.unread, 'log line')} not understood ({_FORMAT_HELP})")


def _on_the_backend(counts: Completeness) -> Iterator[Note]:
    if counts.backend_records:
        joined = f"{format_count(counts.backend_matched)} of {format_count(counts.backend_records)}"
        is_whole = counts.backend_matched == counts.backend_records
        yield Note(f"{joined} records of the backend joined", Weight.GOOD if is_whole else Weight.PLAIN)


def _joined(counts: Completeness) -> Note:
    if not counts.ended:
        return Note("nothing ended that HAProxy could have logged")
    every = "every one of" if counts.matched == counts.ended else f"{format_count(counts.matched)} of"
    text = f"{every} {format_many(counts.ended, 'end')} joined with HAProxy's log line"
    return Note(text, Weight.GOOD if counts.matched == counts.ended else Weight.PLAIN)


def _misfits(info: RunInfo, counts: Completeness, log: LogFit) -> Iterator[str]:
    """Why lines that should be there are not, the first reason that can be shown."""
    if fits(counts):
        return
    if not counts.log_lines:
        yield f"no line could be read as an end: is it HAProxy's log? {_FORMAT_HELP}"
        return
    began_s, ended_s = info.started_unix_s, info.started_unix_s + info.ramp_s + info.hold_s + info.drain_s
    if log.likely_ahead_s is not None:
        ahead_s = log.likely_ahead_s
        side = "ahead of" if ahead_s > 0 else "behind"
        yield (
            f"the same addresses end in the log {_duration(abs(ahead_s))} {side} the run: another time zone "
            f"or clock; add --log-ahead={_signed(ahead_s)}"
        )
    elif log.foreign_ips:
        yield (
            f"the log's clients ({', '.join(log.foreign_ips)}, ...) are none of the run's: is there a NAT or "
            "another proxy in front, or is it another HAProxy's log?"
        )
    elif log.to_unix_s < began_s - SLACK_S or log.from_unix_s > ended_s + SLACK_S:
        yield (
            f"the log covers {_utc(log.from_unix_s)} to {_utc(log.to_unix_s)}, the run {_utc(began_s)} to "
            f"{_utc(ended_s)}: another day's file, or another time zone (then add --log-ahead=1h, or as much "
            "as it is)"
        )


def _duration(seconds: float) -> str:
    return format_duration(round(seconds, 3) * NS_PER_S)


def _signed(seconds: float) -> str:
    return f"{'-' if seconds < 0 else ''}{round(abs(seconds), 1):.6g}s"


def _utc(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%SZ}"
