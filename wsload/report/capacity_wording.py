"""The knee of a search for capacity, as rows of words."""

from wsload.record.outcome import Limit
from wsload.record.summary import CapacityResult, Plateau, Summary
from wsload.report.wording import Row
from wsload.units import format_count

LIMIT_WORDS = {
    Limit.MAXCONN: "HAProxy's maxconn",
    Limit.DESCRIPTORS: "HAProxy's descriptors",
    Limit.MEMORY: "HAProxy's memory",
    Limit.HAPROXY_CPU: "HAProxy's CPU",
    Limit.SOURCE_PORTS: "HAProxy's ports toward the backend",
    Limit.BACKEND: "the backend",
    Limit.TIMER: "the idle timer",
    Limit.GENERATOR: "wsload itself",
    Limit.UNKNOWN: "unknown",
}


def knee_sentence(found: CapacityResult) -> str:
    """The capacity, and what bound."""
    if not found.level:
        begin = f"no level passed, not even {format_count(found.plateaus[0].level)} tunnels"
    else:
        offered = f"({format_count(found.level)} offered)"
        begin = f"{format_count(found.capacity)} live tunnels within the SLO {offered}"
    if found.first_failed is None:
        return f"{begin}, the highest level tried"
    bound = LIMIT_WORDS[Limit(found.limit)]
    return f"{begin}; at {format_count(found.first_failed)}, {bound} bound: {found.evidence}"


def capacity_rows(summary: Summary) -> list[Row]:
    """The knee, then each level in the order they were tried; none without a search."""
    found = summary.capacity
    if found is None:
        return []
    return [
        Row("capacity", (("", knee_sentence(found)),), grave=not found.level),
        *([Row("each level", (("", found.held),))] if found.held else []),
        *(_plateau_row(plateau) for plateau in found.plateaus),
    ]


def _plateau_row(plateau: Plateau) -> Row:
    cells = [("live", format_count(plateau.live))]
    if plateau.maxconn:
        cells += [("slots", format_count(plateau.slots)), ("ghosts", format_count(plateau.ghosts))]
    cells += [
        ("cuts/h", format_count(plateau.cuts_per_hour)),
        ("failed", format_count(plateau.failed)),
        ("", "✓ passed" if plateau.passed else f"✗ {LIMIT_WORDS[Limit(plateau.limit)]}"),
    ]
    if not plateau.steady:
        cells.append(("", "not steady"))
    return Row(f"level {format_count(plateau.level)}", tuple(cells), grave=not plateau.passed)
