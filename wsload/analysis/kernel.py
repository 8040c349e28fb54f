"""What the kernel counted in a run's window, and in its hold."""

from collections.abc import Iterable

from wsload.record.kernel import increase
from wsload.record.layout import KernelLine
from wsload.record.summary import KernelPart


def summarise_kernel(
    lines: Iterable[KernelLine], hold_from_s: float, hold_to_s: float, slack_s: float = 0.0
) -> KernelPart | None:
    """``kernel`` of the summary; None where the folder does not tell (an earlier version's).

    A moment's counters are those of the last line up to it, as lines are written where something changed;
    ``slack_s`` is by how much an interval's end may lie past the hold's edge that it stands for.
    """
    lines = iter(lines)
    first = next(lines, None)
    if first is None:
        return None
    hold_from = hold_to = last = first
    for line in lines:
        hold_from = line if line.t_s <= hold_from_s + slack_s else hold_from
        hold_to = line if line.t_s <= hold_to_s + slack_s else hold_to
        last = line
    return KernelPart(
        counters=increase(first.counters, last.counters), hold=increase(hold_from.counters, hold_to.counters)
    )
