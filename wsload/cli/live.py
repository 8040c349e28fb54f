"""The live view on stderr while something runs."""

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wsload.report.live import BatchProgress, Progress, live_block

if TYPE_CHECKING:
    from rich.live import Live


class LiveView:
    """A block that is drawn anew, and lines that scroll away above it."""

    def __init__(self, live: "Live") -> None:
        self._live = live

    def show(self, progress: Progress | BatchProgress) -> None:
        """Draw the block for this state."""
        self._live.update(live_block(progress), refresh=True)

    def say(self, line: str) -> None:
        """Put a line above the block, for good."""
        self._live.console.print(line, markup=False, highlight=False)


@contextlib.contextmanager
def live_view(*, quiet: bool) -> Iterator[LiveView | None]:
    """Yields the view, or None where nobody watches: quiet, or stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield LiveView(live)
