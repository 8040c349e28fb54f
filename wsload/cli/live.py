"""The live view on stderr while something runs."""

import contextlib
from collections.abc import Callable, Iterator

from wsload.cli.options import is_terminal
from wsload.report.live import Progress, live_block


@contextlib.contextmanager
def live_view(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Yields what takes progress, or None where nobody watches: quiet, or stderr is no terminal."""
    if quiet or not is_terminal():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda progress: live.update(live_block(progress), refresh=True)
