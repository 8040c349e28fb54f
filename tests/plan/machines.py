"""Machines to plan for."""

import msgspec

from wsload.plan.model import Machine

LAPTOP = Machine(
    cores=2,
    nofile_hard=20_000,
    file_max=2_000_000,
    port_range=(32_768, 60_999),
    somaxconn=4096,
    memory_available_bytes=8 * 1024**3,
    conntrack_max=None,
    core_ids=(0, 1),
)
SERVER = msgspec.structs.replace(
    LAPTOP,
    cores=16,
    core_ids=tuple(range(16)),
    nofile_hard=1_000_000,
    memory_available_bytes=64 * 1024**3,
)


def machine(**changes: object) -> Machine:
    """The laptop, changed."""
    return msgspec.structs.replace(LAPTOP, **changes)
