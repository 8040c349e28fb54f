"""The live view on stderr while something runs."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from wsload.report.live import Progress, live_block


@contextlib.contextmanager
def live_view(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Yields what takes progress, or None where nobody watches: quiet, or stderr is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(live_block(progress), refresh=True)
