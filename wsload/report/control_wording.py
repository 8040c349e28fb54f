"""What a campaign's control arm says: what HAProxy adds, and what it has no part in."""

from collections.abc import Iterator, Mapping, Sequence

from wsload.analysis.advice import CAUSE_WORDS
from wsload.analysis.control import STATISTICS, Added, ControlArm, Figure, Side
from wsload.record.outcome import Cause, Validity
from wsload.report.wording import ms
from wsload.units import format_count

_METRIC_WORDS = {"echo": "echoes", "handshake": "handshakes", "ping": "pings"}


def control_sentences(arms: Sequence[ControlArm]) -> list[str]:
    """Sentences for people, about each control in turn."""
    return [sentence for arm in arms for sentence in _about(arm)]


def _about(arm: ControlArm) -> Iterator[str]:
    yield _setting(arm)
    if arm.control.validity != Validity.VALID:
        yield f"The control is {arm.control.validity}: see the reasons in {arm.control.run}."
    added = {each.figure: each for each in arm.added()}
    for metric in dict.fromkeys(name for name, _ in added):
        yield _latency(metric, added)
    yield from _cuts(arm)
    yield from _failures(arm)


def _setting(arm: ControlArm) -> str:
    count = len(arm.cells)
    cells = "the cell" if count == 1 else f"the {count} cells"
    when = "ran at the same time" if arm.at_once else "ran one after another"
    where = f", compared at {format_count(arm.level)} tunnels" if arm.level is not None else ""
    return f"Control: {arm.control.run} had the same load without HAProxy; it and {cells} {when}{where}."


def _latency(metric: str, added: Mapping[Figure, Added]) -> str:
    words = [_difference(added[metric, key], key) for key in STATISTICS if (metric, key) in added]
    return f"Latency of {_METRIC_WORDS[metric]}: {'; '.join(words)}."


def _difference(added: Added, key: str) -> str:
    without, spread = ms(added.without_ms), f"{ms(added.least_ms)} to {ms(added.most_ms)}"
    if not added.stands_out:
        return f"{key} the same within the cells' own spread ({without} without HAProxy, {spread} with it)"
    more = added.with_ms - added.without_ms
    cells = "" if ms(added.least_ms) == ms(added.most_ms) else f"; cells {spread}"
    return (
        f"{key} {ms(abs(more))} {'more' if more > 0 else 'less'} with HAProxy ({without} without, "
        f"{ms(added.with_ms)} with it{cells})"
    )


def _cuts(arm: ControlArm) -> Iterator[str]:
    causes = arm.causes()
    if not causes:
        yield "Cuts: none, with HAProxy or without."
    for cause in causes:
        name, with_it = CAUSE_WORDS[Cause(cause)], _range(arm.cells, cause)
        if arm.control.cuts.get(cause):
            without = _count(arm.control, cause)
            yield f"Cuts that are not HAProxy's doing: {name}, {without} without it, {with_it} with it."
        else:
            yield f"Cuts that HAProxy adds: {name}, none without it, {with_it} with it."


def _range(cells: Sequence[Side], cause: str) -> str:
    """``0 of 300 (tunnel=20s) to 300 of 300 (tunnel=1s)``."""
    ordered = sorted(cells, key=lambda cell: cell.cut_rate(cause))
    ends = ordered if len(ordered) == 1 else [ordered[0], ordered[-1]]
    return " to ".join(f"{_count(cell, cause)} ({cell.run})" for cell in ends)


def _count(side: Side, cause: str) -> str:
    count, tunnels = side.cuts.get(cause, 0), format_count(side.tunnels)
    if side.judged_s is None:
        return f"{format_count(count)} of {tunnels}"
    return f"{format_count(round(count * 60 / side.judged_s))} a minute of {tunnels} live"


def _failures(arm: ControlArm) -> Iterator[str]:
    most = max(arm.cells, key=lambda cell: cell.failed)
    if most.failed or arm.control.failed:
        yield (
            f"Openings that failed: {format_count(arm.control.failed)} without HAProxy, up to "
            f"{format_count(most.failed)} with it ({most.run})."
        )
