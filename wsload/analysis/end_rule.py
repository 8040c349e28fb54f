"""One row of the table that says why a tunnel ended (:mod:`.end_rules`): what it wants of each side."""

import msgspec

from wsload.analysis.evidence import Evidence, timer_words, told
from wsload.record.outcome import Cause, Confidence, PlanAct

ANY: frozenset[str] = frozenset()


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One row. An empty set asks nothing; all that is asked must hold."""

    cause: Cause
    confidence: Confidence
    source: str
    wire: frozenset[str] = ANY
    plan: frozenset[str] = frozenset({PlanAct.NOTHING, PlanAct.STALL})
    flags: frozenset[str] = ANY
    """HAProxy's first two flags."""
    without_log: bool = False
    backend: frozenset[str] = ANY
    """How the backend ended it."""
    backend_saw: frozenset[str] = ANY
    """What ended it in the backend's eyes, which did nothing itself."""
    root: tuple[str, ...] = ()
    """What the session's term_events begin with."""
    client_reset: bool = False
    """By fc_err."""
    server_reset: bool = False
    """By bc_err."""
    idle_is: str = ""
    """The timer that an idle time must match."""
    idle_past: str = ""
    """The timer that an idle time must lie shortly past."""
    is_set: tuple[str, ...] = ()
    is_off: tuple[str, ...] = ()
    haproxy_ended: bool = False
    note: str = ""

    def admits(self, wire: str, plan: str, flags: str) -> bool:
        """Whether what the row asks of these three holds; :meth:`applies` asks the rest."""
        return (
            (not self.wire or wire in self.wire)
            and (not self.plan or plan in self.plan)
            and (not self.flags or flags in self.flags)
        )

    def applies(self, evidence: Evidence) -> bool:
        """Whether the rest of what the row asks holds."""
        log = evidence.log
        return (
            (not self.without_log or log is None)
            and (not self.backend or evidence.backend_did in self.backend)
            and (not self.backend_saw or evidence.backend_saw in self.backend_saw)
            and (not self.root or (log is not None and log.events.startswith(self.root)))
            and (not self.client_reset or (log is not None and log.client_reset))
            and (not self.server_reset or (log is not None and log.server_reset))
            and (not self.idle_is or evidence.matches(self.idle_is))
            and (not self.idle_past or evidence.shortly_after(self.idle_past))
            and (not self.is_set or all(evidence.timer_ns(name) for name in self.is_set))
            and (not self.is_off or not any(evidence.timer_ns(name) for name in self.is_off))
            and (not self.haproxy_ended or evidence.haproxy_ended)
        )

    def sentence(self, evidence: Evidence) -> str:
        """The evidence, the timer that decided, and the row's note."""
        timer = self.idle_is or self.idle_past
        parts = [told(evidence)] + ([timer_words(evidence, timer)] if timer else [])
        return "; ".join(parts + ([self.note] if self.note else []))


def one(*values: str) -> frozenset[str]:
    """A set of them, as rows write it."""
    return frozenset(values)
