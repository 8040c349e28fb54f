"""Why a tunnel ended: the first row of the table (:mod:`.end_rules`) that applies to the evidence."""

from collections.abc import Mapping
from functools import lru_cache

from wsload.analysis.end_rule import Rule
from wsload.analysis.end_rules import RULES
from wsload.analysis.evidence import Evidence
from wsload.record.outcome import Cause, Confidence
from wsload.record.snapshot import Disconnect


@lru_cache
def _rules_for(wire: str, plan: str, flags: str) -> tuple[Rule, ...]:
    """The rows that may apply: of these three few combinations occur, and they exclude most rows."""
    return tuple(rule for rule in RULES if rule.admits(wire, plan, flags))


def attribute(evidence: Evidence) -> tuple[Cause, Confidence, str]:
    """The cause of one tunnel's end, how sure it is, and one sentence with the figures that say so.

    Pure; every end has a verdict. A log line that should be there and is not lowers the confidence of what
    is concluded without it.
    """
    end = evidence.disconnect
    rules = _rules_for(end.wire, end.plan, evidence.flags)
    rule = next(rule for rule in rules if rule.applies(evidence))
    confidence = rule.confidence
    if evidence.log_is_lost and confidence is Confidence.LIKELY:
        confidence = Confidence.GUESS
    return rule.cause, confidence, rule.sentence(evidence)


def first_cause(disconnect: Disconnect, timers_ms: Mapping[str, int]) -> tuple[Cause, Confidence, str]:
    """The verdict from the client's side alone, while the run lasts; :func:`attribute` knows more later."""
    return attribute(Evidence(disconnect, timers_ms))
