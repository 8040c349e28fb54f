"""The verdicts on a run's intervals, in one line."""

from wsload.record.outcome import Validity
from wsload.record.summary import DoubtfulSpan, Summary
from wsload.report.wording import Row
from wsload.units import NS_PER_S, format_count, format_duration

MOST_SPANS = 6
"""More than these are counted only: ``summary.json`` has them all, and the plots show them."""


def doubt_rows(summary: Summary) -> list[Row]:
    """How many intervals are doubtful, and which; no row where none is, as in results of earlier versions."""
    part, spans = summary.intervals, summary.doubts
    if not spans:
        return []
    counts = (("suspect", part.suspect), ("invalid", part.invalid), ("left out of the hold", part.left_out))
    cells = [("judged", format_count(part.judged))]
    cells += [(name, format_count(count)) for name, count in counts if count]
    cells += [("", span_words(span)) for span in shown_spans(spans)]
    if len(spans) > MOST_SPANS:
        cells.append(("", f"and {format_count(len(spans) - MOST_SPANS)} more times"))
    return [Row("intervals", tuple(cells), grave=part.invalid > 0)]


def shown_spans(spans: list[DoubtfulSpan]) -> list[DoubtfulSpan]:
    """The first of them, the invalid ones before all others, in the order of time."""
    chosen = sorted(spans, key=lambda span: span.validity != Validity.INVALID)[:MOST_SPANS]
    return sorted(chosen, key=lambda span: span.from_s)


def span_words(span: DoubtfulSpan) -> str:
    """``4s-7s invalid (lag, behind)``."""
    from_, to = (format_duration(t_s * NS_PER_S) for t_s in (span.from_s, span.to_s))
    return f"{from_}-{to} {span.validity} ({', '.join(span.doubts)})"
