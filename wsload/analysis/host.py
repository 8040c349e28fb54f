"""Who shared which cores in a run."""

from collections.abc import Mapping
from typing import Any

from wsload.record.placement import ROLE_NAMES, sharing_words


def host_words(environment: Mapping[str, Any]) -> str:
    """From ``environment.json``: ``driver, HAProxy and backend share 2 cores``, or empty."""
    cores = environment.get("cores")
    if not cores:
        return ""
    host = environment.get("core_ids", range(cores))  # earlier versions wrote their number only
    return sharing_words(
        environment.get("shares_host", tuple(ROLE_NAMES)), environment.get("pinned", {}), host
    )
