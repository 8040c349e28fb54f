"""What parent and worker say to each other (:mod:`wsload.children` carries it)."""

import msgspec

from wsload.plan.model import Assignment, Endpoint
from wsload.record.snapshot import Snapshot


class Prepare(msgspec.Struct, tag="prepare"):
    """Parent: here is your share."""

    assignment: Assignment
    endpoints: tuple[Endpoint, ...]
    headers: dict[str, str]
    subprotocols: tuple[str, ...]


class Go(msgspec.Struct, tag="go"):
    """Parent: the run starts at this monotonic time."""

    start_ns: int


class Offer(msgspec.Struct, tag="offer"):
    """Parent: offer ``level`` tunnels in the whole run. Times are ns since the run's start.

    From ``since_ns`` on and over ``rise_ns``, those called ``level`` or more close politely, and those below
    it that are not open are opened, but for clients who were cut and come back by themselves.
    """

    level: int
    since_ns: int
    rise_ns: int


class Drain(msgspec.Struct, tag="drain"):
    """Parent: stop opening and sending; close what is open, now."""


class Ready(msgspec.Struct, tag="ready"):
    """Worker: prepared."""

    rss_bytes: int


class Finished(msgspec.Struct, tag="finished"):
    """Worker: every tunnel has ended and the last snapshot is sent."""


ToWorker = Prepare | Go | Offer | Drain
FromWorker = Ready | Snapshot | Finished
