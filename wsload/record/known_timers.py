"""Idle timers of devices often met between clients and HAProxy: what a fixed interval may come from.

All are defaults as their makers document them, and most can be set: a match is a guess, never a proof.
"""

from dataclasses import dataclass

from wsload.units import NS_PER_S


@dataclass(frozen=True)
class KnownTimer:
    """One device's default."""

    name: str
    idle_ns: int
    """Silence after which it ends a connection; with ``by_age``, the age, silent or not."""
    wire: str
    """What a client sees: ``fin``, ``rst``, ``silence`` (state is dropped; whoever sends next learns it,
    from an RST or from no answer at all), or empty where the maker does not say."""
    source: str
    by_age: bool = False


KNOWN_TIMERS: tuple[KnownTimer, ...] = (
    KnownTimer(
        "Google Cloud external Application Load Balancer",
        30 * NS_PER_S,
        "",
        "github.com/kubernetes/ingress-gce/tree/master/examples/websocket (backend service timeout)",
        by_age=True,
    ),
    KnownTimer(
        "Heroku router",
        55 * NS_PER_S,
        "",
        "devcenter.heroku.com/articles/http-routing#timeouts (a rolling window of 55 s)",
    ),
    KnownTimer(
        "AWS ALB",
        60 * NS_PER_S,
        "",
        "docs.aws.amazon.com/elasticloadbalancing/latest/application (idle_timeout.timeout_seconds)",
    ),
    KnownTimer(
        "AWS Classic ELB",
        60 * NS_PER_S,
        "fin",
        "docs.aws.amazon.com/elasticloadbalancing/latest/classic/config-idle-timeout.html",
    ),
    KnownTimer(
        "nginx",
        60 * NS_PER_S,
        "fin",
        "nginx.org/en/docs/http/websocket.html (proxy_read_timeout)",
    ),
    KnownTimer(
        "Cloudflare",
        100 * NS_PER_S,
        "",
        "community.cloudflare.com/t/cloudflare-websocket-timeout/5865",
    ),
    KnownTimer(
        "Azure Load Balancer",
        240 * NS_PER_S,
        "silence",
        "learn.microsoft.com/azure/load-balancer/load-balancer-tcp-reset (RST with TCP reset enabled)",
    ),
    KnownTimer(
        "AWS NLB",
        350 * NS_PER_S,
        "silence",
        "aws.amazon.com/blogs/networking-and-content-delivery/introducing-nlb-tcp-configurable-idle-timeout",
    ),
    KnownTimer(
        "Linux conntrack",
        432_000 * NS_PER_S,
        "silence",
        "docs.kernel.org/networking/nf_conntrack-sysctl.html (nf_conntrack_tcp_timeout_established)",
    ),
)
"""By length."""
