"""All checks in the order in which an engineer does them by hand."""

from collections.abc import Awaitable, Callable

from wsload.probe.check import Check, Probed, Status
from wsload.probe.connection_checks import check_name, check_tcp, check_tls
from wsload.probe.request_checks import check_http, check_upgrade
from wsload.probe.tunnel_checks import check_close, check_echo, check_ping

_Step = Callable[[Probed], Awaitable[Check]]
_STEPS: tuple[tuple[str, _Step, tuple[str, ...], bool], ...] = (
    ("name", check_name, (), False),
    ("tcp", check_tcp, ("name",), False),
    ("tls", check_tls, ("tcp",), True),
    ("upgrade", check_upgrade, ("tcp", "tls"), False),
    ("http", check_http, ("tcp", "tls"), False),
    ("ping", check_ping, ("upgrade",), False),
    ("echo", check_echo, ("upgrade",), False),
    ("close", check_close, ("upgrade",), False),
)
"""Name, check, those that must not have failed for it to make sense, and whether it is for wss only."""


async def run_checks(probed: Probed, tell: Callable[[Check], None]) -> None:
    """Do all of them, each told as soon as it is done. The tunnel is closed at the end."""
    done: dict[str, Check] = {}
    try:
        for name, step, needs, only_secure in _STEPS:
            if only_secure and not probed.target.secure:
                continue
            broken = next((need for need in needs if need in done and _stops(done[need])), None)
            done[name] = (
                await step(probed)
                if broken is None
                else Check(name, Status.SKIPPED, f"makes no sense without {broken}")
            )
            tell(done[name])
    finally:
        if probed.tunnel is not None:
            probed.tunnel.close()


def _stops(check: Check) -> bool:
    return check.status in (Status.FAILED, Status.SKIPPED)
