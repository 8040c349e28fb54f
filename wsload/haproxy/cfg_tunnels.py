"""Which routes of a ``haproxy.cfg`` carry tunnels, and which timer ends an idle one. Pure."""

import msgspec

from wsload.haproxy.cfg_lines import Line
from wsload.haproxy.cfg_reader import Config
from wsload.haproxy.cfg_routes import Route, tells_websockets
from wsload.haproxy.cfg_sections import Section, Timeout
from wsload.units import haproxy_time


class About(msgspec.Struct, frozen=True, kw_only=True):
    """All that a check may look at."""

    config: Config
    routes: tuple[Route, ...]
    """Those that carry tunnels, as far as can be told."""
    version: str
    release: tuple[int, ...]
    nofile_hard: int


class IdleEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The timer that ends an idle tunnel; ``timer`` None: none does."""

    timer: Timeout | None
    words: str


def tunnel_routes(config: Config) -> tuple[Route, ...]:
    """The routes that carry tunnels: all of them, if the file tells of none."""
    told = tuple(route for route in config.routes if route.websocket)
    return told or config.routes


def tunnel_backends(about: About) -> list[Section]:
    """The tunnels' backends, each once."""
    return list({route.backend.line: route.backend for route in about.routes}.values())


def in_force(timer: Timeout | None) -> bool:
    """Whether there is such a timer; 0 switches one off."""
    return timer is not None and timer.ns != 0


def idle_end(route: Route) -> IdleEnd:
    """Which timer ends an idle tunnel of a route whose backend has no tunnel timer.

    Seen on all three versions: the smaller of client and server; the client's, if they are equal.
    """
    client, server = route.frontend.timeouts.get("client"), route.backend.timeouts.get("server")
    timers = [
        (timer, state)
        for timer, state in ((client, "cD"), (server, "sD"))
        if timer is not None and in_force(timer)
    ]
    if not timers:
        words = "No timer ends an idle tunnel: a client that vanishes keeps its slot until HAProxy ends."
        return IdleEnd(timer=None, words=words)
    if any(timer.ns is None for timer, _ in timers):
        words = "Then the smaller of `timeout client` and `timeout server` ends an idle tunnel."
        return IdleEnd(timer=timers[0][0], words=words)
    timer, state = min(timers, key=lambda pair: pair[0].ns or 0)
    words = (
        f"An idle tunnel ends after {_shown(timer)}, by `timeout {timer.name}` of line {timer.line.number}; "
        f"HAProxy logs {state}."
    )
    return IdleEnd(timer=timer, words=words)


def idle_timer(route: Route, about: About) -> Timeout | None:
    """The timer that ends an idle tunnel of a route; None if a rule sets it, or if none does."""
    timer = tunnel_timer(route, about)
    return None if isinstance(timer, Line) else timer if in_force(timer) else idle_end(route).timer


def tunnel_timer(route: Route, about: About) -> Timeout | Line | None:
    """What sets a route's tunnel timer: a rule goes before the backend's setting, which may be 0."""
    rules = list(route.backend.tunnel_rules)
    if about.release < (3, 2) and route.frontend is not route.backend:
        rules = [*route.frontend.tunnel_rules, *rules]  # a listen's are kept on the way, until 3.2
    covering = [rule for rule in rules if _always_for_tunnels(rule, route)]
    return covering[-1] if covering else route.backend.timeouts.get("tunnel")


def _always_for_tunnels(rule: Line, route: Route) -> bool:
    return is_unconditional(rule) or tells_websockets(rule.words, route.backend)


def is_unconditional(rule: Line) -> bool:
    """Whether a rule applies to every request."""
    return not {"if", "unless"} & set(rule.words)


def _shown(timer: Timeout) -> str:
    return haproxy_time(timer.ns) if timer.ns is not None else timer.text
