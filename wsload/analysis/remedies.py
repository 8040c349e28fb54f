"""What to do about a generator that was short of CPU time: it depends on who used it up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wsload.record.placement import listed
from wsload.units import format_many

BUSY_WORKER = 0.9
"""Share of a core above which a driver worker's own queueing shows in the latencies."""
FULL_CORES = 0.95
"""Share of the driver's cores from which on nothing is left of them: what is due waits for its turn."""
STOLEN = 0.05
"""Share of them that the hypervisor may take before it is worth a word."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What does not change in a run and decides what helps."""

    workers: int
    cores: int = 0
    """That driver workers may run on; 0: not known, in results of earlier versions."""
    sharers: Sequence[str] = ()
    """Roles of the system under test that may run on one of these cores too."""
    closed_loop: bool = False
    """A cohort sends its next message as soon as it has the reply (``rate = "max"``)."""


@dataclass(frozen=True, kw_only=True)
class CpuUse:
    """Shares of a span of time; None: not known."""

    cores: float | None = None
    """Of the driver's cores that were busy, by whomever."""
    stolen: float = 0.0
    """Of them that the hypervisor gave to others."""
    worker: float | None = None
    """Of one core, by the busiest driver worker."""


def cores_words(around: Surroundings) -> str:
    """``the 2 cores that driver, HAProxy and backend share``."""
    cores = format_many(around.cores, "core")
    if around.sharers:
        return f"the {cores} that {listed(['driver', *around.sharers])} share"
    return f"the driver's {cores}"


def make_room(around: Surroundings, use: CpuUse) -> str:
    """The remedy for a generator that was late or busy; first match wins."""
    return next(words(around, use) for applies, words in REMEDIES if applies(around, use))


def _is_stolen(_: Surroundings, use: CpuUse) -> bool:
    return use.stolen > STOLEN


def _is_closed_loop(around: Surroundings, use: CpuUse) -> bool:
    return around.closed_loop and (use.worker or 0.0) > BUSY_WORKER


def _is_full(_: Surroundings, use: CpuUse) -> bool:
    return use.cores is not None and use.cores >= FULL_CORES


def _has_a_worker_too_few(around: Surroundings, use: CpuUse) -> bool:
    busy = use.worker is None or use.cores is None or use.worker > BUSY_WORKER
    return busy and not 0 < around.cores <= around.workers


def _is_busy(_: Surroundings, use: CpuUse) -> bool:
    return (use.worker or 0.0) > BUSY_WORKER


def _leave_the_hypervisor(_: Surroundings, use: CpuUse) -> str:
    return (
        f"the hypervisor gave {use.stolen * 100:.0f} % of these cores to others: use a host of your own, "
        "or lower the load"
    )


def _read_a_closed_loop(_around: Surroundings, _use: CpuUse) -> str:
    return (
        'a closed loop (rate = "max") uses all there is by design, so read its rate as a limit of driver and '
        "system together, or state a rate"
    )


def _free_cores(around: Surroundings, _: CpuUse) -> str:
    if not around.sharers:
        return f"{cores_words(around)} were full: free cores, or lower the load"
    return (
        f"{cores_words(around)} were full, so more workers would not help: keep them apart on a host with "
        "free cores (--set load.pin=true), or lower the load"
    )


def _add_workers(around: Surroundings, _: CpuUse) -> str:
    return f"add workers: --set load.workers={around.workers + 1}, or lower the load"


def _lower_the_load(around: Surroundings, _: CpuUse) -> str:
    cores = format_many(around.cores, "core")
    return f"lower the load, or take a host with more cores ({cores} for the driver here)"


def _find_who_stopped_it(_around: Surroundings, _use: CpuUse) -> str:
    return (
        "there was CPU time left, so something else held the driver up: find out what (a process stopped, a "
        "virtual machine paused, a slow disk or swap), or lower the load"
    )


REMEDIES: tuple[tuple[Callable[[Surroundings, CpuUse], bool], Callable[[Surroundings, CpuUse], str]], ...] = (
    (_is_stolen, _leave_the_hypervisor),
    (_is_closed_loop, _read_a_closed_loop),
    (_is_full, _free_cores),
    (_has_a_worker_too_few, _add_workers),
    (_is_busy, _lower_the_load),
    (lambda _around, _use: True, _find_who_stopped_it),
)
