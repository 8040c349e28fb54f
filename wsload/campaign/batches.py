"""Which cells of a campaign run at once, and why the others do not. Pure: cells and a machine in."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from wsload.campaign.grid import Cell
from wsload.plan.busyness import haproxy_share, host_share
from wsload.plan.model import Machine, Plan
from wsload.plan.preflight import HAPROXY_DESCRIPTORS, memory_needed_bytes, sockets_per_tunnel
from wsload.plan.sharding import make_plan
from wsload.profile.model import BackendMode, Haproxy, Profile, Traffic, Via
from wsload.units import format_count, format_size

MOST_BUSY = 0.7
"""Share of HAProxy's threads, and of the host's cores, up to which cells do not get into each other's way."""
_HARD_STOP = "hard-stop-after"
"""A setting of the whole process."""
_OWN_TIMER = ".tunnel_timeout"
_HOST_SPARE = 1000

Batch = tuple[Cell, ...]


class Order(NamedTuple):
    """The batches, one after another, and how they came about in one line."""

    batches: tuple[Batch, ...]
    words: str


def one_by_one(cells: Sequence[Cell]) -> tuple[Batch, ...]:
    """Each cell a batch of its own."""
    return tuple((cell,) for cell in cells)


def at_once(cells: Sequence[Cell], machine: Machine) -> Order:
    """Cells that differ in HAProxy's timers alone, as many together as one process and the host can take.

    Repetitions are kept apart, so that a drift of the machine shows between them. A control runs beside the
    last cells that are like it: on an otherwise idle host it would be faster than they are for that alone.
    """
    grid = [cell for cell in cells if not cell.is_control]
    reasons = dict.fromkeys(filter(None, (obstacle(cell.loaded.profile) for cell in grid)))
    groups = _groups(grid)
    if len(groups) > 1 and not reasons:
        reasons[_unlike(grid)] = None
    batches: list[Batch] = []
    for group in groups:
        batches.append(())
        for cell in group:
            why = too_much([*batches[-1], cell], machine) if batches[-1] else ""
            if why:
                reasons[why] = None
                batches.append(())
            batches[-1] = (*batches[-1], cell)
    words = _words(batches, reasons)
    for control in (cell for cell in cells if cell.is_control):
        _place(control, batches, machine)
    return Order(tuple(batches), words)


def _groups(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Cells that may run at once, in the order of their first ones."""
    groups: list[list[Cell]] = []
    for cell in cells:
        mine = next((group for group in groups if _may_join(cell, group[0])), None)
        groups.append([cell]) if mine is None else mine.append(cell)
    return groups


def _place(control: Cell, batches: list[Batch], machine: Machine) -> None:
    """Into the last batch of several cells that are like it and leave room, else behind them all."""
    for number, batch in reversed(list(enumerate(batches))):
        is_like = _but_for_haproxy(batch[0].loaded.profile) == _but_for_haproxy(control.loaded.profile)
        if len(batch) > 1 and is_like and not too_much([*batch, control], machine):
            batches[number] = (*batch, control)
            return
    batches.append((control,))


def obstacle(profile: Profile) -> str:
    """Why no cell with such a profile can share a HAProxy; empty where it can."""
    return next((words for words, applies in _OBSTACLES if applies(profile)), "")


_OBSTACLES: tuple[tuple[str, Callable[[Profile], bool]], ...] = (
    ("without a managed HAProxy there is none to share", lambda each: each.target.via is not Via.HAPROXY),
    ("haproxy.processes is above 1, and cells share one process", lambda each: each.haproxy.processes > 1),
    ("haproxy.port is fixed, and each cell needs a port", lambda each: each.haproxy.port is not None),
    (
        "haproxy.nofile lets HAProxy work out its slots, which cells would share",
        lambda each: each.haproxy.nofile is not None,
    ),
    (
        "haproxy.memory bounds one process, which cells would share",
        lambda each: each.haproxy.memory_bytes is not None,
    ),
    (
        "load.pin and haproxy.cpus give each run's parts their cores, which cells would share",
        lambda each: each.load.pin or bool(each.haproxy.cpus),
    ),
    (
        'backend.mode = "external": the cells would share the backend, whose timers are not known',
        lambda each: each.backend.mode is BackendMode.EXTERNAL,
    ),
    ("backend.port is fixed, and each cell has a backend", lambda each: each.backend.port is not None),
    (
        'CPU would mix: rate = "max" takes all there is',
        lambda each: any(
            cohort.traffic is Traffic.CHATTY and cohort.rate_per_s is None for cohort in each.cohorts
        ),
    ),
)


def but_for_timers(profile: Profile) -> Profile:
    """What has to be equal in cells that run at once: all but the timers, and what follows from them."""
    hard_stop = {name: ns for name, ns in profile.haproxy.timeouts_ns.items() if name == _HARD_STOP}
    replace = msgspec.structs.replace
    return replace(
        profile,
        haproxy=replace(profile.haproxy, timeouts_ns=hard_stop),
        cohorts=tuple(replace(cohort, tunnel_timeout_ns=None) for cohort in profile.cohorts),
        load=replace(profile.load, hold_ns=0) if profile.capacity is not None else profile.load,
    )


def _but_for_haproxy(profile: Profile) -> Profile:
    """What has to be equal in a control and the cells beside it: all that it has, too."""
    rest = but_for_timers(profile)
    target = msgspec.structs.replace(rest.target, via=Via.DIRECT)
    return msgspec.structs.replace(rest, haproxy=Haproxy(), target=target)


def _may_join(cell: Cell, first: Cell) -> bool:
    if obstacle(cell.loaded.profile):
        return False
    return cell.repeat == first.repeat and but_for_timers(cell.loaded.profile) == but_for_timers(
        first.loaded.profile
    )


def too_much(cells: Sequence[Cell], machine: Machine) -> str:
    """What these cells need together that is not there; empty where all is."""
    plans = [make_plan(cell.loaded.profile, machine) for cell in cells]
    return next((words for limit in _LIMITS if (words := limit(plans, machine))), "")


def _descriptors(plans: Sequence[Plan], machine: Machine) -> str:
    plans = _through_haproxy(plans)
    slots = sum(plan.profile.haproxy.maxconn for plan in plans)
    needed = 2 * slots + HAPROXY_DESCRIPTORS + len(plans)
    if needed <= machine.nofile_hard:
        return ""
    return (
        f"{len(plans)} cells need {format_count(needed)} descriptors in one HAProxy process, and it may have "
        f"{format_count(machine.nofile_hard)} (ulimit -n)"
    )


def _through_haproxy(plans: Sequence[Plan]) -> list[Plan]:
    return [plan for plan in plans if plan.profile.target.via is Via.HAPROXY]


def _host_descriptors(plans: Sequence[Plan], machine: Machine) -> str:
    needed = sum(plan.profile.load.tunnels * sockets_per_tunnel(plan) for plan in plans) + _HOST_SPARE
    if needed <= machine.file_max:
        return ""
    return (
        f"{len(plans)} cells need {format_count(needed)} descriptors of the host, and there are "
        f"{format_count(machine.file_max)} (fs.file-max)"
    )


def _memory(plans: Sequence[Plan], machine: Machine) -> str:
    needed = sum(sum(memory_needed_bytes(plan).values()) for plan in plans)
    if needed <= machine.memory_available_bytes:
        return ""
    there = format_size(machine.memory_available_bytes)
    return f"{len(plans)} cells need {format_size(needed)} of memory, and {there} is there"


def _haproxy_cpu(plans: Sequence[Plan], machine: Machine) -> str:  # noqa: ARG001 - all limits are alike
    plans = _through_haproxy(plans)
    threads = plans[0].profile.haproxy.threads
    share = haproxy_share(plans) / threads
    if share <= MOST_BUSY:
        return ""
    return (
        f"CPU would mix: {len(plans)} cells would keep one HAProxy process busy for about "
        f"{share:.0%} of its time at their peak, over {MOST_BUSY:.0%}"
    )


def _host_cpu(plans: Sequence[Plan], machine: Machine) -> str:
    share = host_share(plans) / machine.cores
    if share <= MOST_BUSY:
        return ""
    return (
        f"CPU would mix: {len(plans)} cells would keep this host's {machine.cores} cores busy for about "
        f"{share:.0%} of the time at their peak, over {MOST_BUSY:.0%}"
    )


_LIMITS: tuple[Callable[[Sequence[Plan], Machine], str], ...] = (
    _descriptors,
    _host_descriptors,
    _memory,
    _haproxy_cpu,
    _host_cpu,
)


def _unlike(cells: Sequence[Cell]) -> str:
    """Which axes keep cells apart."""
    keys = [key for key in cells[0].values if not _is_timer(key)]
    if not keys:
        return "repetitions are kept apart"
    verb = "differs" if len(keys) == 1 else "differ"
    return f"{' and '.join(keys)} {verb}, and cells that run at once may differ in HAProxy's timers alone"


def _is_timer(axis: str) -> bool:
    return (axis.startswith("haproxy.timeouts.") and not axis.endswith(_HARD_STOP)) or axis.endswith(
        _OWN_TIMER
    )


def _words(batches: Sequence[Batch], reasons: dict[str, None]) -> str:
    sizes = [len(batch) for batch in batches]
    if not sizes:
        return ""
    if max(sizes) == 1:
        if len(sizes) == 1 and not reasons:
            return "parallel: one cell, nothing to run beside it"
        return f"parallel: cells run one after another: {'; '.join(reasons)}"
    if len(sizes) == 1:
        return f"parallel: {sizes[0]} cells at once in one HAProxy process"
    listed = f"{', '.join(map(str, sizes[:-1]))} and {sizes[-1]}"
    return f"parallel: batches of {listed} cells, each in one HAProxy process: {'; '.join(reasons)}"
