"""Keeps our own process off the cores of others while a run lasts."""

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
