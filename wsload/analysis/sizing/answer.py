"""The answer of ``wsload size``: what one node needs, which limit binds, how many nodes it takes. Pure.

Formulas: haproxy-facts.md, section 7. History of :data:`SCHEMA`: 1 first.
"""

import math

import msgspec

from wsload.analysis.sizing.constraints import (
    Constraint,
    Load,
    accepts_per_s,
    constraints,
    load_of,
    max_sockets,
    messages_per_s,
    openings_per_s,
    recovery_s,
    storm_per_s,
)
from wsload.analysis.sizing.question import Question
from wsload.analysis.sizing.slots import Hold, ghost_hold, half_open_hold, idle_timer_ns
from wsload.units import NS_PER_S, format_duration

SCHEMA = "wsload.size/1"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it comes to. Figures are one node's, at the peak, with the spare nodes out."""

    question: Question
    nodes: int
    """As given, or needed and spare together."""
    nodes_needed: int | None
    """To carry it, spares among them; None where no number of such nodes does."""
    impossible: list[str]
    """Constraints that a node breaks with a single tunnel: why no number of nodes is enough."""
    fits: bool
    tunnels: int
    ghosts: int
    half_open: int
    slots: int
    maxconn: int
    max_sockets: int
    """HAProxy's Maxsock: the descriptor limit that it needs."""
    ghost_hold_s: float | None
    """How long a vanished client's slot is held; None: for ever."""
    ghost_hold_why: str
    constraints: list[Constraint]
    binding: str
    """The constraint that is nearest to its limit, or furthest beyond."""
    openings_per_s: float
    messages_per_s: float
    storm_per_s: float
    accepts_per_s: float
    recovery_s: float
    notes: list[str]

    @property
    def broken(self) -> list[Constraint]:
        """Constraints that are not met."""
        return [each for each in self.constraints if not each.ok]


def endless_hold(question: Question) -> str:
    """Why slots of clients that are gone would never be free, as a flag's name; empty where they are."""
    fleet, release = question.fleet, question.costs.release
    if fleet.vanish_per_s and math.isinf(ghost_hold(fleet, release).ns):
        return "--vanish"
    if fleet.half_close_per_s and math.isinf(half_open_hold(fleet, release).ns):
        return "--half-close"
    return ""


def size(question: Question) -> Answer:
    """Work it out. Holds must be finite (:func:`endless_hold`), ``spare`` below ``nodes``."""
    carrying = _carrying(question)
    needed = None if carrying is None else carrying + question.spare
    nodes = question.nodes or needed or 1 + question.spare
    load = load_of(question, _share(question.fleet.tunnels, nodes - question.spare))
    rows = constraints(load)
    hold = ghost_hold(question.fleet, question.costs.release)
    return Answer(
        question=question,
        nodes=nodes,
        nodes_needed=needed,
        impossible=[row.name for row in constraints(load_of(question, 1)) if not row.ok],
        fits=all(row.ok for row in rows),
        tunnels=load.slots.tunnels,
        ghosts=load.slots.ghosts,
        half_open=load.slots.half_open,
        slots=load.slots.total,
        maxconn=load.maxconn,
        max_sockets=max_sockets(load),
        ghost_hold_s=hold.ns / NS_PER_S if math.isfinite(hold.ns) else None,
        ghost_hold_why=hold.why,
        constraints=rows,
        binding=max(rows, key=lambda row: row.strain).name,
        openings_per_s=openings_per_s(load),
        messages_per_s=messages_per_s(load),
        storm_per_s=storm_per_s(load),
        accepts_per_s=accepts_per_s(load),
        recovery_s=recovery_s(load),
        notes=_notes(load, hold),
    )


def _carrying(question: Question) -> int | None:
    """The fewest nodes that carry all tunnels: what fits on one fits with fewer tunnels too."""
    tunnels = question.fleet.tunnels

    def carry(nodes: int) -> bool:
        return all(row.ok for row in constraints(load_of(question, _share(tunnels, nodes))))

    if not carry(tunnels):  # not even one tunnel each
        return None
    low, high = 0, tunnels
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if carry(middle) else (middle, high)
    return high


def _share(tunnels: int, nodes: int) -> int:
    return -(-tunnels // nodes)


def _notes(load: Load, hold: Hold) -> list[str]:
    """What the figures rest on, and what in the settings works against the user."""
    fleet = load.fleet
    timer_ns = idle_timer_ns(fleet)
    notes = []
    if not fleet.timeouts_ns.get("tunnel"):
        notes.append("no `timeout tunnel`: an idle tunnel ends at the smaller of `client` and `server`")
    if fleet.ping_every_ns is not None and fleet.ping_every_ns >= timer_ns:
        notes.append(
            f"pings every {format_duration(fleet.ping_every_ns)} come too late for the idle timer of "
            f"{format_duration(timer_ns)}: tunnels without other traffic are cut"
        )
    elif fleet.ping_every_ns is not None and 2 * fleet.ping_every_ns > timer_ns:
        notes.append(
            f"pings every {format_duration(fleet.ping_every_ns)}: one that is lost is enough to run into the "
            f"idle timer of {format_duration(timer_ns)}"
        )
    if fleet.vanish_per_s:
        notes.append(f"a vanished client's slot: {hold.why}")
    if fleet.active_share:
        notes.append("an active tunnel is counted with both buffers full at once: the worst case")
    return notes
