"""What the kernel counted, in one line: whether packets were lost, or somebody was merely slow."""

from collections.abc import Mapping

from wsload.record.kernel import LOSS, NEEDLESS, OF_SYN, RETRANSMITTED, SLOWNESS
from wsload.record.summary import Summary
from wsload.report.wording import Row
from wsload.units import format_count

SCOPE = "counts of the whole host, not of this run alone"


def kernel_rows(summary: Summary) -> list[Row]:
    """Losses by the kernel's counters, or that there were none; no row in results of earlier versions."""
    found = summary.kernel
    if found is None:
        return []
    if not found.counters:
        return [Row("kernel", (("", "not known whether anything was lost: no TCP counters in /proc/net"),))]
    counters = found.counters
    lost = _losses(counters)
    cells = [*(lost or [("", "no loss")]), *_needless(counters), *_named(SLOWNESS, counters)]
    if len(cells) > 1 or lost:
        cells.append(("", SCOPE))
    return [Row("kernel", tuple(cells), grave=bool(lost))]


def _losses(counters: Mapping[str, int]) -> list[tuple[str, str]]:
    lost = counters.get(RETRANSMITTED, 0) - counters.get(NEEDLESS, 0)
    cells = [("retransmitted", _retransmitted(counters))] if lost > 0 else []
    return cells + _named(LOSS, counters)


def _retransmitted(counters: Mapping[str, int]) -> str:
    of_syn, needless = counters.get(OF_SYN, 0), counters.get(NEEDLESS, 0)
    kinds = [
        *([f"{format_count(of_syn)} to open"] if of_syn else []),
        *([f"{format_count(needless)} needlessly"] if needless else []),
    ]
    return format_count(counters[RETRANSMITTED]) + (f" ({', '.join(kinds)})" if kinds else "")


def _needless(counters: Mapping[str, int]) -> list[tuple[str, str]]:
    """Retransmissions none of which was needed."""
    again, needless = counters.get(RETRANSMITTED, 0), counters.get(NEEDLESS, 0)
    return [("retransmitted needlessly", format_count(again))] if 0 < again <= needless else []


def _named(words: Mapping[str, str], counters: Mapping[str, int]) -> list[tuple[str, str]]:
    return [(words[name], format_count(count)) for name in words if (count := counters.get(name, 0)) > 0]
