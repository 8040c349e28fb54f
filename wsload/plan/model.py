"""What the planner hands on: a plan for the whole run, and each worker's share of it."""

from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from wsload.profile.model import Cohort, Profile
from wsload.record.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Sequence

PORTS_PER_PAIR = 28_232
"""Local ports per (source address, destination): Linux's default range 32768-60999."""


MOST_TUNNELS = 2**31 - 1
"""A tunnel's id travels as 32 bits."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What this host offers. Read once (:func:`wsload.plan.preflight.read_machine`), then pure data."""

    cores: int
    nofile_hard: int
    """Hard descriptor limit of one process."""
    file_max: int
    """fs.file-max: descriptors of the whole host."""
    port_range: tuple[int, int]
    somaxconn: int
    memory_available_bytes: int
    conntrack_max: int | None
    """None where conntrack is not loaded."""
    conntrack_used: int = 0
    """Entries that are in its table already."""
    core_ids: tuple[int, ...]
    """The numbers of all cores that we may use, ascending. ``cores`` are fewer where runs share them."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """One run, worked out: every number a worker or a reader needs, none of them random any more."""

    profile: Profile
    workers: int
    cohort_tunnels: tuple[int, ...]
    """Tunnels of each cohort, in the profile's order; they add up to ``profile.load.tunnels``."""
    sources: tuple[str, ...]
    """Source addresses; empty: let the kernel choose."""
    targets: int
    """How many endpoints (HAProxy processes, backend listeners or urls) tunnels are spread over."""
    backend_listeners: int
    """Addresses the embedded backend listens on, so that HAProxy's ports toward it suffice."""
    placement: Placement
    """Which cores each part is kept to."""

    @property
    def first_level(self) -> int:
        """Tunnels offered at first: all, or the lowest level of a search for capacity."""
        capacity = self.profile.capacity
        return self.profile.load.tunnels if capacity is None else capacity.least


class Endpoint(msgspec.Struct, frozen=True):
    """Where a tunnel connects to: the address, and what its request says."""

    ip: str
    port: int
    host: str
    """Value of the Host header."""
    path: str

    @property
    def address(self) -> str:
        """``ip:port``."""
        return f"{self.ip}:{self.port}"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One worker's tunnels, in opening order. Arrays travel as little-endian bytes.

    Tunnel ``i`` of the assignment opens ``opens[i]`` ns after the run's start, belongs to
    ``cohorts[cohort_of[i]]``, connects from ``sources[source_of[i]]`` to ``endpoints[target_of[i]]`` and
    is called ``tunnel_ids[i]`` in the whole run.
    """

    worker: int
    seed: int
    cohorts: tuple[Cohort, ...]
    sources: tuple[str, ...]
    tunnel_ids_i4: bytes
    opens_ns_i8: bytes
    cohort_of_u1: bytes
    source_of_u2: bytes
    target_of_u2: bytes
    ramp_ns: int
    hold_ns: int
    drain_ns: int
    interval_ns: int
    handshake_timeout_ns: int
    first_level: int
    """Tunnels called this or more open when a higher level is offered, not at their time in ``opens``."""
    ghost_hold_ns: int = 0
    """How long HAProxy holds the slot of a client that vanished; 0: not known, or without HAProxy."""
    timer_slack_ns: int = 0
    """What falls due within this of each other may leave together, at most this late."""

    @classmethod
    def pack(
        cls,
        *,
        tunnel_ids: "Sequence[int] | NDArray[np.int64]",
        opens_ns: "Sequence[int] | NDArray[np.int64]",
        cohort_of: "Sequence[int] | NDArray[np.int64]",
        source_of: "Sequence[int] | NDArray[np.int64]",
        target_of: "Sequence[int] | NDArray[np.int64]",
        worker: int,
        seed: int,
        cohorts: tuple[Cohort, ...],
        sources: tuple[str, ...],
        ramp_ns: int,
        hold_ns: int,
        drain_ns: int,
        interval_ns: int,
        handshake_timeout_ns: int,
        first_level: int | None = None,
        ghost_hold_ns: int = 0,
        timer_slack_ns: int = 0,
    ) -> "Assignment":
        """Build one from number sequences of equal length; ``first_level`` None: all open at their time."""
        return cls(
            worker=worker,
            seed=seed,
            cohorts=cohorts,
            sources=sources,
            tunnel_ids_i4=np.asarray(tunnel_ids, dtype="<i4").tobytes(),
            opens_ns_i8=np.asarray(opens_ns, dtype="<i8").tobytes(),
            cohort_of_u1=np.asarray(cohort_of, dtype="<u1").tobytes(),
            source_of_u2=np.asarray(source_of, dtype="<u2").tobytes(),
            target_of_u2=np.asarray(target_of, dtype="<u2").tobytes(),
            ramp_ns=ramp_ns,
            hold_ns=hold_ns,
            drain_ns=drain_ns,
            interval_ns=interval_ns,
            handshake_timeout_ns=handshake_timeout_ns,
            first_level=MOST_TUNNELS if first_level is None else first_level,
            ghost_hold_ns=ghost_hold_ns,
            timer_slack_ns=timer_slack_ns,
        )

    @property
    def tunnel_ids(self) -> NDArray[np.int32]:
        """See the class."""
        return np.frombuffer(self.tunnel_ids_i4, "<i4")

    @property
    def opens_ns(self) -> NDArray[np.int64]:
        """See the class; ascending."""
        return np.frombuffer(self.opens_ns_i8, "<i8")

    @property
    def cohort_of(self) -> NDArray[np.uint8]:
        """See the class."""
        return np.frombuffer(self.cohort_of_u1, "<u1")

    @property
    def source_of(self) -> NDArray[np.uint16]:
        """See the class; all 0 where ``sources`` is empty."""
        return np.frombuffer(self.source_of_u2, "<u2")

    @property
    def target_of(self) -> NDArray[np.uint16]:
        """See the class."""
        return np.frombuffer(self.target_of_u2, "<u2")
