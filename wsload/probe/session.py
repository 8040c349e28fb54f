"""One probe, end to end: the checks, then the idle timers if asked for; a signal ends either early."""

import asyncio
import signal
from collections.abc import Callable

from wsload.clock import MonotonicClock
from wsload.probe.check import Check, Probed, Status
from wsload.probe.checks import run_checks
from wsload.probe.idle_finder import IdleFinder, Underway
from wsload.probe.idle_finding import Finding, conclude
from wsload.probe.result import ProbeResult
from wsload.probe.target import Target

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def probe(
    target: Target,
    bound_ns: int | None,
    tell_check: Callable[[Check], None],
    tell_idle: Callable[[Underway], None] | None = None,
) -> ProbeResult:
    """Probe it. Ctrl-C and SIGTERM give a result too, of what is known by then.

    Args:
        target: What to probe.
        bound_ns: The longest silence to try when looking for idle timers; None: do not look.
        tell_check: Called with each check as soon as it is done.
        tell_idle: Called a few times a second while tunnels are watched.
    """
    session = _Session(target, tell_check, tell_idle)
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, session.interrupt)
    try:
        return await session.run(bound_ns)
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class _Session:
    def __init__(
        self,
        target: Target,
        tell_check: Callable[[Check], None],
        tell_idle: Callable[[Underway], None] | None,
    ) -> None:
        self._probed = Probed(target, MonotonicClock())
        self._tell_check, self._tell_idle = tell_check, tell_idle
        self._checks: list[Check] = []
        self._checking: asyncio.Task[None] | None = None
        self._finder: IdleFinder | None = None
        self._interrupted = False

    def interrupt(self) -> None:
        """Stop what is under way."""
        self._interrupted = True
        if self._finder is not None:
            self._finder.stop()
        elif self._checking is not None:
            self._checking.cancel()

    async def run(self, bound_ns: int | None) -> ProbeResult:
        """All of it."""
        self._checking = asyncio.create_task(run_checks(self._probed, self._done))
        await asyncio.wait([self._checking])
        if not self._checking.cancelled():
            self._checking.result()
        finding = None
        if bound_ns is not None and not self._interrupted:
            finding = await self._find(bound_ns)
        return ProbeResult(self._probed.target.url, tuple(self._checks), finding, self._interrupted)

    async def _find(self, bound_ns: int) -> Finding | None:
        upgrade = next((check for check in self._checks if check.name == "upgrade"), None)
        if upgrade is None or upgrade.status is not Status.PASSED:
            self._done(Check("idle", Status.SKIPPED, "makes no sense without upgrade"))
            return None
        probed = self._probed
        assert probed.address is not None
        self._finder = IdleFinder(
            probed.target,
            probed.address,
            probed.clock,
            pings=probed.rtt_ns is not None,
            tell=self._tell_idle,
        )
        outcomes = await self._finder.find(bound_ns)
        return conclude(outcomes, bound_ns, rtt_ns=probed.rtt_ns or 0, interrupted=self._interrupted)

    def _done(self, check: Check) -> None:
        self._checks.append(check)
        self._tell_check(check)
