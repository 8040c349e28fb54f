"""The largest ping interval that keeps a tunnel under an idle timer, for given loss and jitter."""

import msgspec

MOST_LOST = 20


class Pings(msgspec.Struct, frozen=True, kw_only=True):
    """``ping <= (T - RTT - jitter) / (k + 1)``, so that ``k`` pings in a row may be lost."""

    interval_s: float | None
    """None: the timer is shorter than round trip and jitter together."""
    may_be_lost: int
    loss: float
    jitter_s: float
    rtt_s: float
    accepted: float
    """The chance that more than ``may_be_lost`` pings in a row are lost is at most this."""


def largest_interval_s(timer_s: float, rtt_s: float, jitter_s: float, lost: int) -> float:
    """The largest ping interval that outlives a timer with ``lost`` pings in a row lost; 0: there is none.

    The rule of haproxy-facts.md, section 7.
    """
    return max((timer_s - rtt_s - jitter_s) / (lost + 1), 0.0)


def safe_pings(
    timer_s: float, *, loss: float = 0.01, jitter_s: float = 0.5, rtt_s: float = 0.2, accepted: float = 1e-6
) -> Pings:
    """Pings are lost one by one with a chance of ``loss``, each independently; at least one may be lost."""
    may_be_lost = 1
    while loss ** (may_be_lost + 1) > accepted * (1 + 1e-9) and may_be_lost < MOST_LOST:
        may_be_lost += 1
    return Pings(
        interval_s=largest_interval_s(timer_s, rtt_s, jitter_s, may_be_lost) or None,
        may_be_lost=may_be_lost,
        loss=loss,
        jitter_s=jitter_s,
        rtt_s=rtt_s,
        accepted=accepted,
    )
