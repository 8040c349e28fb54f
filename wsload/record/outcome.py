"""Closed sets: phases, what was seen on the wire, and why a tunnel ended."""

from enum import StrEnum


class Phase(StrEnum):
    """Where in the run an event belongs: by its intended time, not by when it was noticed."""

    OPEN = "open"
    HOLD = "hold"
    DRAIN = "drain"


class Wire(StrEnum):
    """What the client saw on the wire when its tunnel ended."""

    FIN = "fin"
    RST = "rst"
    CLOSE = "close"
    """A close frame arrived (its code and reason are recorded), whatever TCP did afterwards."""
    TIMEOUT = "timeout"
    """Nothing: our own bound on the closing handshake ran out and we aborted."""
    UNSEEN = ""
    """The worker that held the tunnel is gone; nobody saw."""


class Cause(StrEnum):
    """Our verdict on why a tunnel ended."""

    PLANNED = "planned"
    BACKEND_CLOSE = "backend_close"
    HAPROXY_TUNNEL_TIMEOUT = "haproxy_tunnel_timeout"
    PEER_FIN = "peer_fin"
    PEER_RESET = "peer_reset"
    GENERATOR_LOST = "generator_lost"


class Confidence(StrEnum):
    """How sure the verdict is."""

    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


class Verdict(StrEnum):
    """Of all SLOs together."""

    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"


class Validity(StrEnum):
    """Whether the run may be believed."""

    VALID = "valid"
    SUSPECT = "suspect"
    INVALID = "invalid"
