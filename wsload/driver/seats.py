"""A worker's seats: each has one tunnel at a time, of a cohort, from a source address, to an endpoint."""

import os
import sys
from array import array

from wsload.driver.messages import Prepare
from wsload.driver.tunnel import Tunnel
from wsload.plan.model import Endpoint
from wsload.profile.model import TUNNEL_TIMEOUT_HEADER
from wsload.units import NS_PER_MS
from wsload.wire.handshake import Upgrade, build_upgrade

_UPGRADES_PER_ENDPOINT = 64
"""Prebuilt requests, each with a nonce of its own, that tunnels take in turn."""


class Seats:
    """Indexed like the assignment; what belongs to the present tunnel of a seat changes with it.

    Arrays, not lists: a list's number is an object of 32 bytes beside its 8, and there may be 19,000 seats.
    """

    def __init__(self, prepare: Prepare) -> None:
        assignment = prepare.assignment
        count = len(assignment.tunnel_ids)
        self.tunnels: list[Tunnel | None] = [None] * count
        self.ids = array("i", assignment.tunnel_ids.tolist())
        """Of each seat, in the whole run."""
        self.cohort_of = array("B", assignment.cohort_of.tolist())
        self.due_ns = array("q", bytes(8 * count))
        """When each tunnel's opening was due."""
        self.began_ns = array("q", bytes(8 * count))
        """When each tunnel's connection was begun; 0: not yet."""
        self._source_of = array("H", assignment.source_of.tolist())
        self._target_of = array("H", assignment.target_of.tolist())
        self._sources, self._endpoints = assignment.sources, prepare.endpoints
        self._local_ip: list[str] = [""] * count
        self._local_port = array("H", bytes(2 * count))
        common = _upgrades(prepare, {})
        self._upgrades = [
            common
            if cohort.tunnel_timeout_ns is None
            else _upgrades(prepare, {TUNNEL_TIMEOUT_HEADER: str(cohort.tunnel_timeout_ns // NS_PER_MS)})
            for cohort in assignment.cohorts
        ]

    def source(self, index: int) -> str | None:
        """The address a seat connects from; None: the kernel chooses."""
        return self._sources[self._source_of[index]] if self._sources else None

    def endpoint(self, index: int) -> Endpoint:
        """Where a seat connects to."""
        return self._endpoints[self._target_of[index]]

    def upgrade(self, index: int) -> Upgrade:
        """The request that a seat sends."""
        return self._upgrades[self.cohort_of[index]][self._target_of[index]][index % _UPGRADES_PER_ENDPOINT]

    def taken(self, index: int, due_ns: int) -> None:
        """The next tunnel has a seat; of the former's address and beginning nothing may be left."""
        self.due_ns[index], self.began_ns[index] = due_ns, 0
        self._local_ip[index], self._local_port[index] = "", 0

    def connected_from(self, index: int, ip: str, port: int) -> None:
        """The present tunnel has its own address."""
        self._local_ip[index], self._local_port[index] = sys.intern(ip), port

    def facts(self, index: int) -> tuple[int, tuple[str, int], Endpoint]:
        """Its id, its present tunnel's own address, and where it connects to."""
        return self.ids[index], (self._local_ip[index], self._local_port[index]), self.endpoint(index)


def _upgrades(prepare: Prepare, own: dict[str, str]) -> list[list[Upgrade]]:
    """Some for each endpoint; ``own`` are headers beside the profile's."""
    return [
        [
            build_upgrade(
                endpoint.host, endpoint.path, os.urandom(16), prepare.headers | own, prepare.subprotocols
            )
            for _ in range(_UPGRADES_PER_ENDPOINT)
        ]
        for endpoint in prepare.endpoints
    ]
