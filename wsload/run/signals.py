"""SIGINT and SIGTERM for all runs under way: one place takes them and tells each."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from wsload.errors import InterruptedRunError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

SignalListener = Callable[[str], None]


class Signals:
    """Made by :func:`taking_signals`."""

    def __init__(self) -> None:
        self.came = False
        """Whether there was one."""
        self._listeners: list[SignalListener] = []

    @contextlib.contextmanager
    def told_to(self, listener: SignalListener) -> Iterator[None]:
        """Each signal's name goes to ``listener`` while it lasts.

        Raises InterruptedRunError if one came before: nothing new is begun then.
        """
        if self.came:
            raise InterruptedRunError("interrupted before it was begun")
        self._listeners.append(listener)
        try:
            yield
        finally:
            self._listeners.remove(listener)

    def take(self, name: str) -> None:
        """One came."""
        self.came = True
        for listener in tuple(self._listeners):
            listener(name)


@contextlib.contextmanager
def taking_signals() -> Iterator[Signals]:
    """Both signals go to the :class:`Signals` that is yielded; then all is as before."""
    loop, signals = asyncio.get_running_loop(), Signals()
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number in _SIGNALS:
        loop.add_signal_handler(number, signals.take, number.name)
    try:
        yield signals
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])
