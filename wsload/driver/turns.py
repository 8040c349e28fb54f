"""Short turns on the CPU: who has them is let in sooner where others run on its core."""

import ctypes
import os
import struct

SLICE_NS = 100_000
"""The shortest that the kernel grants."""

_SYSCALLS = {"x86_64": (314, 315), "aarch64": (274, 275), "riscv64": (274, 275)}
"""Of sched_setattr and sched_getattr (the kernel's tables of system calls)."""
_ATTR = struct.Struct("=IIQiIQQQ")
"""struct sched_attr: size, policy, flags, nice, priority, runtime, deadline, period (sched_setattr(2))."""


def take_short_turns() -> bool:
    """Ask the kernel for turns of :data:`SLICE_NS` for this thread; whether it grants them.

    From Linux 6.12 on (EEVDF) a task that wakes goes before one that has longer turns, so that a driver is
    not held up for the milliseconds that another program's may last. It takes no privilege, and the share of
    the CPU that each gets stays as it is. Older kernels go on as before.
    """
    numbers = _SYSCALLS.get(os.uname().machine)
    if numbers is None:
        return False
    set_attr, get_attr = numbers
    syscall = ctypes.CDLL(None).syscall
    attr = ctypes.create_string_buffer(_ATTR.size)
    if syscall(get_attr, 0, attr, _ATTR.size, 0):
        return False
    size, policy, flags, nice, priority, *_ = _ATTR.unpack(attr.raw)
    if policy not in (os.SCHED_OTHER, os.SCHED_BATCH):  # somebody chose better for us
        return False
    wanted = _ATTR.pack(size, policy, flags, nice, priority, SLICE_NS, 0, 0)
    if syscall(set_attr, 0, wanted, 0):
        return False
    syscall(get_attr, 0, attr, _ATTR.size, 0)
    granted_ns: int = _ATTR.unpack(attr.raw)[5]
    return granted_ns == SLICE_NS
