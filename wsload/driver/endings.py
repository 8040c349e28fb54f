"""What goes on record of a tunnel that ended or never opened."""

from wsload.driver.tunnel import Tunnel
from wsload.plan.model import Endpoint
from wsload.plan.phases import PhaseTimes
from wsload.record.outcome import PlanAct, Wire
from wsload.record.snapshot import Disconnect, HandshakeFailure

PLANNED_ENDS = frozenset({PlanAct.CLOSE, PlanAct.HALF_CLOSE, PlanAct.VANISH, PlanAct.RESET})
"""After these an end is what the plan asked for."""


def record_end(
    tunnel: Tunnel,
    tunnel_id: int,
    local: tuple[str, int],
    endpoint: Endpoint,
    phases: PhaseTimes,
    now_ns: int,
) -> Disconnect:
    """The end of a tunnel that was open; ``now_ns`` is when its transport was gone.

    Its moment is that of the FIN or of the close frame, where there was one, and so are its idle times.
    """
    at_ns = tunnel.mark_ns if tunnel.wire is Wire.FIN else now_ns
    idle_rx_ns, idle_tx_ns = at_ns - tunnel.rx_ns, at_ns - tunnel.tx_ns
    code, reason = None, ""
    seen = tunnel.extra.close_seen if tunnel.extra is not None else None
    if seen is not None:
        at_ns, code, reason = seen.at_ns, seen.code, seen.reason
        idle_rx_ns, idle_tx_ns = seen.idle_rx_ns, seen.idle_tx_ns
    return Disconnect(
        t_ns=at_ns - phases.start_ns,
        tunnel=tunnel_id,
        cohort=tunnel.cohort.name,
        local_ip=local[0],
        local_port=local[1],
        remote=endpoint.address,
        phase=phases.phase_at(at_ns),
        age_ns=at_ns - tunnel.opened_ns,
        idle_rx_ns=idle_rx_ns,
        idle_tx_ns=idle_tx_ns,
        wire=tunnel.wire,
        close_code=code,
        close_reason=reason,
        plan=tunnel.plan,
    )


def record_failure(
    tunnel: Tunnel,
    tunnel_id: int,
    local: tuple[str, int],
    endpoint: Endpoint,
    t_ns: int,
    waited_ns: int,
    reason: str,
) -> HandshakeFailure:
    """A tunnel that never opened; ``t_ns`` is since the run's start."""
    return HandshakeFailure(
        t_ns=t_ns,
        tunnel=tunnel_id,
        cohort=tunnel.cohort.name,
        local_ip=local[0],
        local_port=local[1],
        remote=endpoint.address,
        waited_ns=waited_ns,
        reason=reason,
    )
