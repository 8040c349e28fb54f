"""Watches one core of a run's driver: whom did it keep waiting, and was it there at all?

Wakes each millisecond and notes how late it was. With real-time priority nothing but the machine itself (its
hypervisor, an interrupt) can make it late. Beside that it notes what the kernel says of the driver (how long
it was ready to run and had to wait) and for how long others of the run ran. Serves until SIGTERM or the
driver's end, then writes what it noted, and says on stdout which priority it had.

    python -m benchmarks.precision_witness CORE FILE.npy DRIVER_PID [--parent PID] [--system PID PID]
"""

import argparse
import gc
import os
import signal
import time
from pathlib import Path
from types import FrameType

import numpy as np

from wsload.children import die_with_parent

PERIOD_NS = 1_000_000
_PRIORITY = 10
"""Any real-time priority is above all that is not."""


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("core", type=int)
    parser.add_argument("file", type=Path)
    parser.add_argument("driver", type=int, metavar="PID")
    parser.add_argument("--parent", type=int, nargs="*", default=[], metavar="PID")
    parser.add_argument("--system", type=int, nargs="*", default=[], metavar="PID")
    options = parser.parse_args()
    die_with_parent(os.getppid())
    over = False

    def end(_signal: int, _frame: FrameType | None) -> None:
        nonlocal over
        over = True

    signal.signal(signal.SIGTERM, end)
    os.sched_setaffinity(0, [options.core])
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
        print("real-time", flush=True)
    except PermissionError:
        print("normal", flush=True)
    # Run time and time spent ready but waiting, ns since each one's start (proc_schedstat).
    (driver,), parent, system = (
        [os.open(f"/proc/{pid}/schedstat", os.O_RDONLY) for pid in pids]
        for pids in ([options.driver], options.parent, options.system)
    )
    rows: list[tuple[int, ...]] = []
    gc.disable()
    due_ns = time.monotonic_ns()
    while not over:
        due_ns += PERIOD_NS
        now_ns = time.monotonic_ns()
        if due_ns > now_ns:
            time.sleep((due_ns - now_ns) / 1e9)
            now_ns = time.monotonic_ns()
        try:
            waited_ns = int(os.pread(driver, 64, 0).split()[1])
            parent_ns, system_ns = (
                sum(int(os.pread(each, 64, 0).split()[0]) for each in group) for group in (parent, system)
            )
        except ProcessLookupError:
            break
        rows.append((now_ns, now_ns - due_ns, waited_ns, parent_ns, system_ns))
        if now_ns - due_ns > PERIOD_NS:  # what was missed is one lateness, not several
            due_ns = now_ns
    np.save(options.file, np.array(rows, dtype=np.int64).reshape(-1, 5))


if __name__ == "__main__":
    main()
