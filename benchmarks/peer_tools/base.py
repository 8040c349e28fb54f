"""What is asked of every load generator, and what one has to say about itself to be asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import msgspec

PAYLOAD = "x" * 64
"""Of each message: text, so that every tool can send it."""
REPLY_FRAME_BYTES = len(PAYLOAD) + 2
"""What the backend writes for each echo: a server's frame is not masked (RFC 6455, 5.2)."""
SETTLE_S = 2.0
"""Between the ramp's planned end and the window that is measured."""
_SPARE_S = 4.0
"""For how long tunnels outlive that window: no tool begins on the instant."""


class Traffic(StrEnum):
    """What the tunnels of a workload do."""

    IDLE = "idle"
    ECHO = "echo"


class Workload(msgspec.Struct, frozen=True):
    """The same for every tool: ``tunnels`` opened evenly over ``ramp_s``, then measured for ``hold_s``."""

    traffic: Traffic
    tunnels: int
    ramp_s: float
    hold_s: float
    rate_per_s: float = 0.0
    """Messages of each tunnel."""
    sized_for: int = 0
    """As many processes as for so many tunnels, where that is more: a tool at its base has them all."""

    @property
    def opened_per_s(self) -> float:
        """How fast the ramp opens."""
        return self.tunnels / self.ramp_s

    @property
    def stay_s(self) -> float:
        """From the first opening to when tunnels may go; a tool whose tunnels count each from its own opening
        gives each as long."""
        return self.ramp_s + SETTLE_S + self.hold_s + _SPARE_S

    @property
    def gap_s(self) -> float:
        """Between two messages of a tunnel."""
        return 1 / self.rate_per_s


class Target(msgspec.Struct, frozen=True):
    """HAProxy's WebSocket route."""

    ip: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """``ws://127.0.0.1:8080/ws``."""
        return f"ws://{self.ip}:{self.port}{self.path}"


class Latency(msgspec.Struct, frozen=True):
    """What a tool itself says an echo took, in ms; None is what it does not say."""

    p50_ms: float | None = None
    p99_ms: float | None = None
    mean_ms: float | None = None
    corrected_p50_ms: float | None = None
    """From when the message was due, not from when it was sent."""
    corrected_p99_ms: float | None = None


@dataclass(frozen=True)
class Launch:
    """How a tool is started, in a folder that holds what it needs and takes what it writes."""

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Beside our own; ``HOME`` is that folder."""


@dataclass(frozen=True)
class Tool:
    """One load generator.

    Args:
        name: As users call it.
        find: From the folder of installed tools to the words that start it; None where it is missing.
        version_arguments: What makes it say its version; the last version number in its words is taken.
        install: From the folder of installed tools to commands; none for what is only used where it is found.
        prepare: Writes what it needs into an empty folder, and says how it is started there.
        latency: What it reported of an echo workload, from that folder and all that it wrote on stdout.
        has_memory_bar: Whether a bar for memory per tunnel is stated against it.
    """

    name: str
    find: Callable[[Path], list[str] | None]
    version_arguments: Sequence[str]
    prepare: Callable[[Sequence[str], Workload, Target, Path], Launch]
    latency: Callable[[Path, str], Latency]
    install: Callable[[Path], Sequence[Sequence[str]]] | None = None
    has_memory_bar: bool = True
