"""When the phases of a run begin, in monotonic ns."""

import msgspec

from wsload.record.outcome import Phase


class PhaseTimes(msgspec.Struct):
    """Starts of the run, the hold and the drain. The drain's moves when a run is cut short."""

    start_ns: int
    hold_ns: int
    drain_ns: int

    def phase_at(self, at_ns: int) -> Phase:
        """The phase that a moment lies in."""
        if at_ns < self.hold_ns:
            return Phase.OPEN
        return Phase.HOLD if at_ns < self.drain_ns else Phase.DRAIN
