"""How our own process, which records, shares the cores with those that it measures, while a run lasts."""

import contextlib
import os
from collections.abc import Collection, Iterator


@contextlib.contextmanager
def kept_to(cores: Collection[int]) -> Iterator[None]:
    """This thread, and threads and children that it starts, run on these cores only; empty: as before."""
    before = os.sched_getaffinity(0)
    if cores:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def giving_way() -> Iterator[None]:
    """Whoever runs when this process wakes goes on; it waits until they sleep or their turn is over.

    Else the parent would stop a worker in the middle of its sending whenever it gets a message from it: with
    SCHED_BATCH (sched(7)) that keeps the worker 0.7 ms at most, and not up to 4.6. It needs no privilege.
    Children start without it (:mod:`wsload.children`).
    """
    if os.sched_getscheduler(0) != os.SCHED_OTHER:  # somebody chose something else for us
        yield
        return
    with contextlib.suppress(OSError):  # a sandbox may forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
