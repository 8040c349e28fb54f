"""The run's clock, and what the tool did to the system or saw happen to it, noted on that clock."""

from wsload.clock import Clock
from wsload.record import layout
from wsload.record.layout import ActionLine
from wsload.run.folder import FolderWriter
from wsload.units import NS_PER_S


class Journal:
    """Writes ``actions.jsonl``. Until :meth:`begin`, everything happens at 0."""

    def __init__(self, folder: FolderWriter, clock: Clock) -> None:
        self._folder, self._clock = folder, clock
        self._start_ns: int | None = None

    def begin(self, delay_ns: int) -> int:
        """The run's time 0 is ``delay_ns`` from now; returns it as a monotonic time."""
        self._start_ns = self._clock.now_ns() + delay_ns
        return self._start_ns

    def until_start_ns(self) -> int:
        """How long until the run's time 0; negative after it."""
        return -self.elapsed_ns

    @property
    def elapsed_ns(self) -> int:
        """Since the run's start; negative between :meth:`begin` and that."""
        return 0 if self._start_ns is None else self._clock.now_ns() - self._start_ns

    @property
    def elapsed_s(self) -> float:
        """The same in seconds, never negative."""
        return max(self.elapsed_ns, 0) / NS_PER_S

    def note(self, action: str, **detail: object) -> None:
        """Add a line. Raises RecordingError."""
        self._folder.append_json(layout.ACTIONS, ActionLine(round(self.elapsed_s, 3), action, dict(detail)))
