"""What to change so that an end of this cause does not come again: a table by cause.

Figures are of the run: the timers in force, how long tunnels had been silent, what was refused. Bounds on
heartbeats and descriptors are those of haproxy-facts.md, "Sizing": a ping at most every T/(k+1), less a round
trip and jitter, survives k lost pings; a tunnel costs HAProxy two descriptors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wsload.profile.plateaus import idle_timer
from wsload.record.layout import BACKEND_IDLE_CLOSE
from wsload.record.outcome import Cause, PlanAct
from wsload.units import NS_PER_MS, format_count, format_duration

_HOUR_MS = 3_600_000
_LONGEST_MS = 2_147_483_647
"""What HAProxy takes at most, 24.8 d."""
"""The backend's own idle timer, as it stands beside HAProxy's."""
_JITTER_S = 30
_NEAR_MS, _NEAR_SHARE = 1000, 0.1
"""How near a silence lies to a timer that may have ended it, late."""


@dataclass(frozen=True)
class Facts:
    """What is known about all ends of one cause."""

    count: int
    timers_ms: Mapping[str, int]
    idle_s: float | None = None
    """Median silence at the end."""
    plan_acts: Mapping[PlanAct, int] = field(default_factory=dict)
    """What the plan had last done to them -> how many."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Of tunnels that never opened: status or word -> how many."""
    close_codes: Mapping[int, int] = field(default_factory=dict)
    maxconn: int = 0
    tunnels: int = 0
    """Planned."""
    via: str = "haproxy"

    def timer(self, name: str) -> str:
        """`` 30s``, as it follows a setting's name; empty where it is not known."""
        ms = self.timers_ms.get(name, 0)
        return f" {_duration(ms)}" if ms else ""

    def mostly(self, act: PlanAct) -> bool:
        """Whether the plan had done this to most of them."""
        return self.plan_acts.get(act, 0) * 2 > self.count

    def contradicts(self, name: str) -> bool:
        """Whether a timer is in force that the silence measured does not bear out."""
        tunnel_ms, ms = self.timers_ms.get("tunnel", 0), self.timers_ms.get(name, 0)
        return bool(tunnel_ms) or (ms > 0 and abs(self.silence_ms - ms) > max(_NEAR_MS, _NEAR_SHARE * ms))

    @property
    def idle_ms(self) -> int:
        """The timer that cuts silent tunnels here: the shortest in force, else what was measured."""
        known = [ms for ms in (idle_timer(self.timers_ms), self.timers_ms.get(BACKEND_IDLE_CLOSE, 0)) if ms]
        return min(known, default=self.silence_ms)

    @property
    def silence_ms(self) -> int:
        """As measured."""
        return round((self.idle_s or 0.0) * 1000)


Advice = Callable[[Facts], str]


def _duration(ms: float) -> str:
    return format_duration(ms * NS_PER_MS)


def _heartbeat(ms: int) -> str:
    """The longest intervals between pings under an idle timer."""
    if not ms:
        return "send pings more often than the shortest idle timer on the path"
    one, two = _duration(ms // 2), _duration(ms // 3)
    return f"send a ping at least every {one}, less a round trip (survives one lost ping; {two}: two)"


def _longer(ms: int) -> str:
    """A tunnel timer well above ``ms``."""
    return _duration(min(max(_HOUR_MS, 2 * ms), _LONGEST_MS))


def _fallback_timeout(side: str) -> Advice:
    def advice(facts: Facts) -> str:
        write = f"write `timeout tunnel {_longer(facts.idle_ms)}` in the backend"
        if facts.contradicts(side):
            return (
                f"HAProxy's flags say a timer of the {side}'s side, and the silence seen "
                f"({_duration(facts.silence_ms)}) is none of the timers in force: look for a `set-timeout` "
                "rule, another backend's timers, or a second HAProxy on the path"
            )
        if not facts.timers_ms:
            since = f" after {_duration(facts.silence_ms)} of silence" if facts.silence_ms else ""
            return (
                f"a timer of the {side}'s side ended them{since}: if no `timeout tunnel` is set, {write}; "
                f"until then {_heartbeat(facts.silence_ms)}. Say the timers in force, e.g. "
                f"--timeout {side}=30s --timeout tunnel=1h, to be sure"
            )
        timer = facts.timer(side)
        return (
            f"no `timeout tunnel` is set, so `timeout {side}{timer}` cuts silent tunnels: {write}; "
            f"until then {_heartbeat(facts.idle_ms)}"
        )

    return advice


def _tunnel_timeout(facts: Facts) -> str:
    timer = facts.timer("tunnel")
    if facts.mostly(PlanAct.STALL):
        return (
            f"clients that stop reading hold a slot for `timeout tunnel{timer}`: a shorter one, with pings "
            "that keep healthy tunnels, frees it sooner"
        )
    if facts.mostly(PlanAct.HALF_CLOSE):
        return (
            f"half-closed tunnels hold a slot for `timeout tunnel{timer}` (from HAProxy 3.0 on `timeout "
            "client-fin` and `server-fin` do not shorten that): let the backend close when the client has"
        )
    heartbeat = _heartbeat(facts.idle_ms)
    return f"raise `timeout tunnel{timer}` above the longest silence that is to live, or {heartbeat}"


def _fin_timeout(side: str) -> Advice:
    return lambda facts: (
        f"`timeout {side}-fin{facts.timer(f'{side}-fin')}` ends tunnels of which one half is closed, as it "
        "is meant to: raise it only if half-closed tunnels have to live longer"
    )


def _killed(facts: Facts) -> str:
    rate = format_count(-(-facts.count // _JITTER_S))
    return (
        "an operator, `hard-stop-after`, a server marked down or HAProxy's own end cut them all at once "
        "(actions.jsonl says what wsload did): drain with SIGUSR1 and a longer `hard-stop-after`, and let "
        f"clients come back after a random time: {format_count(facts.count)} within {_JITTER_S}s are {rate}/s"
    )


def _backend_close(facts: Facts) -> str:
    codes = ", ".join(f"{code} x {format_count(count)}" for code, count in sorted(facts.close_codes.items()))
    with_codes = f" ({codes})" if codes else ""
    return f"the backend sent the close frame{with_codes}: its own log has the reason; no HAProxy timer helps"


def _backend_idle(facts: Facts) -> str:
    own_ms = facts.timers_ms.get(BACKEND_IDLE_CLOSE) or facts.silence_ms
    length = f" of {_duration(own_ms)}" if own_ms else ""
    return (
        f"raise the backend's own idle timer{length}, or {_heartbeat(own_ms)}; keep it shorter than "
        "HAProxy's `timeout tunnel`, so that clients are told with a close frame"
    )


def _path_idle(facts: Facts) -> str:
    silence = f" for {_duration(facts.silence_ms)}" if facts.silence_ms else ""
    bound = _duration(3 * facts.silence_ms or _HOUR_MS)
    return (
        f"something on the path cuts connections that are silent{silence}: raise its idle timer, or "
        f"{_heartbeat(facts.silence_ms)}; `wsload probe URL --find-idle-timeout {bound}` from either side of "
        "each device finds which"
    )


def _peer_fin(facts: Facts) -> str:
    if facts.via == "direct":
        return "the far side ended them with a FIN and no close frame: look in its log at their times"
    return (
        "who ended them cannot be told without HAProxy's log line: name its log with --haproxy-log FILE, and "
        "the timers in force with --timeout client=30s, --timeout tunnel=1h and the like"
    )


def _refused(facts: Facts) -> str:
    statuses = ", ".join(f"{status} x {format_count(n)}" for status, n in sorted(facts.reasons.items()))
    return (
        f"answered {statuses or 'an error'} instead of 101: check the path, the Origin header and "
        "credentials of the profile against the route's rules and the backend's log"
    )


def _queue(facts: Facts) -> str:
    name = "queue" if facts.timers_ms.get("queue") else "connect"
    return (
        f"every server slot was taken for `timeout {name}{facts.timer(name)}`: raise `maxconn` on the "
        "`server` lines or add servers; tunnels hold their slots, so a longer queue only delays the 503"
    )


def _backlog(facts: Facts) -> str:
    slots = max(facts.tunnels, facts.maxconn + 1)
    now = f" (now {format_count(facts.maxconn)})" if facts.maxconn else ""
    return (
        f"HAProxy was full: raise `maxconn`{now} to {format_count(slots)} or more, and its descriptor limit "
        f"(`ulimit -n`) to over {format_count(2 * slots)}, two a tunnel; dead clients hold slots for "
        f"`timeout tunnel{facts.timer('tunnel')}`, so see that they are pinged"
    )


def _backend_timeout(facts: Facts) -> str:
    return (
        f"the server did not accept within `timeout connect{facts.timer('connect')}`, or sent no 101 within "
        f"`timeout server{facts.timer('server')}`: find out why it is slow before raising either"
    )


def _says(text: str) -> Advice:
    return lambda _: text


ADVICE: Mapping[Cause, Advice] = {
    Cause.HAPROXY_TUNNEL_TIMEOUT: _tunnel_timeout,
    Cause.HAPROXY_CLIENT_TIMEOUT: _fallback_timeout("client"),
    Cause.HAPROXY_SERVER_TIMEOUT: _fallback_timeout("server"),
    Cause.HAPROXY_CLIENT_FIN: _fin_timeout("client"),
    Cause.HAPROXY_SERVER_FIN: _fin_timeout("server"),
    Cause.HAPROXY_KILLED: _killed,
    Cause.BACKEND_CLOSE: _backend_close,
    Cause.BACKEND_FIN: _says(
        "the backend closed TCP without a close frame, which clients report as 1006: look for its restarts "
        "and crashes at these times, and let it send a close frame"
    ),
    Cause.BACKEND_RESET: _says(
        "the backend reset the connection (a crash, a kill, or a close with unread data), which HAProxy "
        "passes on as a FIN: look in its log and the kernel's (OOM) at these times; no timer helps"
    ),
    Cause.BACKEND_IDLE_TIMEOUT: _backend_idle,
    Cause.CLIENT_RESET: _says(
        "something between client and HAProxy reset them, for the plan did not: repeat the run from beside "
        "HAProxy; if it stays clean, look at firewall, NAT and load balancer in between"
    ),
    Cause.PATH_IDLE_TIMEOUT: _path_idle,
    Cause.PEER_FIN: _peer_fin,
    Cause.PEER_RESET: _says(
        "an RST came, and HAProxy ends tunnels with a FIN: look at firewall, NAT and load balancer between "
        "client and HAProxy, and repeat the run from beside HAProxy"
    ),
    Cause.GENERATOR_LOST: _says(
        "wsload lost its own driver worker; these ends say nothing of HAProxy: look for the kernel's OOM "
        "killer, and repeat with fewer tunnels or more memory"
    ),
    Cause.REFUSED_STATUS: _refused,
    Cause.QUEUE_TIMEOUT: _queue,
    Cause.SERVER_DOWN: _says(
        "no server was up: look at health checks and maintenance with `show servers state` on HAProxy's "
        "socket"
    ),
    Cause.BACKEND_REFUSED: _says(
        "the server refused the connection, or closed it before its answer: is it listening at that address, "
        "and is its accept queue (somaxconn) long enough for this arrival rate?"
    ),
    Cause.BACKEND_TIMEOUT: _backend_timeout,
    Cause.SOURCE_PORTS: _says(
        "HAProxy had no free local port toward the server: give it more source addresses (`source` on the "
        "server line), the backend more addresses, or widen `net.ipv4.ip_local_port_range`"
    ),
    Cause.BACKLOG_WAIT: _backlog,
    Cause.HANDSHAKE_TIMEOUT: _says(
        "no answer within `load.handshake_timeout`: compare HAProxy's and the backend's CPU in the summary, "
        "and slow the ramp (`load.ramp_rate`) until they keep up"
    ),
    Cause.HANDSHAKE_FAILED: _says(
        "the connection failed before any answer: is the address right, is HAProxy listening, does a "
        "firewall let this many connections through?"
    ),
    Cause.UNKNOWN: _says("all that is known of each stands in disconnects.csv, column evidence"),
}
"""Every cause but ``planned``, about which there is nothing to change."""

CAUSE_WORDS: Mapping[Cause, str] = {
    Cause.PLANNED: "planned",
    Cause.HAPROXY_TUNNEL_TIMEOUT: "HAProxy tunnel timeout",
    Cause.HAPROXY_CLIENT_TIMEOUT: "HAProxy client timeout",
    Cause.HAPROXY_SERVER_TIMEOUT: "HAProxy server timeout",
    Cause.HAPROXY_CLIENT_FIN: "HAProxy client-fin timeout",
    Cause.HAPROXY_SERVER_FIN: "HAProxy server-fin timeout",
    Cause.HAPROXY_KILLED: "killed by HAProxy",
    Cause.BACKEND_CLOSE: "backend close frame",
    Cause.BACKEND_FIN: "backend FIN",
    Cause.BACKEND_RESET: "backend reset",
    Cause.BACKEND_IDLE_TIMEOUT: "backend idle timeout",
    Cause.CLIENT_RESET: "reset on the client side",
    Cause.PATH_IDLE_TIMEOUT: "idle timer on the path",
    Cause.PEER_FIN: "FIN, sender unknown",
    Cause.PEER_RESET: "RST, sender unknown",
    Cause.GENERATOR_LOST: "driver worker lost",
    Cause.REFUSED_STATUS: "refused",
    Cause.QUEUE_TIMEOUT: "queue timeout",
    Cause.SERVER_DOWN: "no server up",
    Cause.BACKEND_REFUSED: "backend refused",
    Cause.BACKEND_TIMEOUT: "backend timeout",
    Cause.SOURCE_PORTS: "no source port",
    Cause.BACKLOG_WAIT: "waited in the backlog",
    Cause.HANDSHAKE_TIMEOUT: "handshake timeout",
    Cause.HANDSHAKE_FAILED: "handshake failed",
    Cause.UNKNOWN: "unknown",
}
"""Each cause as people say it."""


def advice_for(cause: Cause, facts: Facts) -> str:
    """What to change, in one sentence; empty where nothing is."""
    entry = ADVICE.get(cause)
    return entry(facts) if entry is not None else ""
