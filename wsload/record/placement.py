"""Which cores each part of a run is kept to, and that in words."""

from collections.abc import Mapping, Sequence

import msgspec

ROLE_NAMES = {"driver": "driver", "haproxy": "HAProxy", "backend": "backend"}


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """Core numbers, ascending. Of a part: empty where it is not pinned, or not on this host."""

    host: tuple[int, ...] = ()
    """All that this run may use."""
    driver: tuple[int, ...] = ()
    haproxy: tuple[int, ...] = ()
    backend: tuple[int, ...] = ()
    parent: tuple[int, ...] = ()
    """Of the process that starts and records everything."""

    def pinned(self) -> dict[str, tuple[int, ...]]:
        """Role -> its cores, for those that are pinned."""
        each = {"driver": self.driver, "haproxy": self.haproxy, "backend": self.backend}
        return {role: cores for role, cores in each.items() if cores}


def sharing_words(roles: Sequence[str], pinned: Mapping[str, Sequence[int]], host: Sequence[int]) -> str:
    """``driver, HAProxy and backend share 2 cores``; ``HAProxy alone on core 1, driver and backend share
    core 0``.

    ``roles`` are those on this host; who is not ``pinned`` may run on any core of the ``host``.
    """
    if not any(pinned.get(role) for role in roles):
        return _unpinned(roles, len(host))
    groups: dict[tuple[int, ...], list[str]] = {}
    for role in sorted(roles, key=lambda role: role != "haproxy"):
        groups.setdefault(tuple(sorted(pinned.get(role) or host)), []).append(role)
    clauses = []
    for cores, members in groups.items():
        is_own = not any(set(cores) & set(other) for other in groups if other != cores)
        own_verb = "share" if len(members) > 1 else "alone on"
        verb = own_verb if is_own else "on"
        place = core_words(cores) if pinned.get(members[0]) else f"any of {len(host)} cores"
        clauses.append(f"{listed(members)} {verb} {place}")
    return ", ".join(clauses)


def core_words(cores: Sequence[int]) -> str:
    """``core 1``, ``cores 0-2,5``; ``cores`` ascend."""
    runs: list[list[int]] = []
    for core in cores:
        if runs and core == runs[-1][-1] + 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    listed = ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
    return f"core {listed}" if len(cores) == 1 else f"cores {listed}"


def _unpinned(roles: Sequence[str], cores: int) -> str:
    verb = "share" if len(roles) > 1 else "alone has"
    return f"{listed(roles)} {verb} {cores} {'core' if cores == 1 else 'cores'}"


def listed(roles: Sequence[str]) -> str:
    """``driver, HAProxy and backend``."""
    *others, last = (ROLE_NAMES.get(role, role) for role in roles)
    return f"{', '.join(others)} and {last}" if others else last
