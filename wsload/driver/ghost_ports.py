"""The local ports of clients that vanished, kept from the next clients while HAProxy holds their slots.

A vanished client's port is free on this host at once, but HAProxy still knows a connection from it. Were the
port given to a new client, its SYN would make the kernel reset that connection, and the ghost would be gone
before its time. In the field the next client comes from another address. A socket that is only bound to the
port keeps connect() from choosing it (inet_hash_connect() passes over ports that somebody bound).
"""

import socket
from collections import deque

from wsload.units import NS_PER_S

_SLACK_NS = NS_PER_S
"""HAProxy's timer counts from the last byte it saw, which is earlier; but it may be late."""
_CLOSING_NS = NS_PER_S // 2


class GhostPorts:
    """A descriptor for each port that is held, ``most`` of them: beyond that the oldest is let go."""

    def __init__(self, hold_ns: int, most: int) -> None:
        """``hold_ns`` is how long HAProxy holds a ghost's slot; 0: that is not known, and no port is held."""
        self._hold_ns, self._most = hold_ns, most
        self._vanished: list[tuple[int, str, int]] = []
        """When each did whose port is not held yet, and its address."""
        self._held: deque[tuple[int, socket.socket]] = deque()
        """Until when, about ascending."""

    def __len__(self) -> int:
        return len(self._held)

    def vanished(self, ip: str, port: int, now_ns: int) -> None:
        """The client at that address did. Its port is held from the next :meth:`tend` on."""
        if self._hold_ns and self._most > 0:
            self._vanished.append((now_ns, ip, port))

    def tend(self, now_ns: int) -> None:
        """Hold the ports of who vanished, and let go of those whose ghosts are gone by now.

        A transport closes its socket only after it has said that it is lost: a port that is in use is tried
        again for a while, and then left to whom it belongs.
        """
        still_closing = []
        for at_ns, ip, port in self._vanished:
            if not self._hold(ip, port, at_ns) and now_ns < at_ns + _CLOSING_NS:
                still_closing.append((at_ns, ip, port))
        self._vanished = still_closing
        while self._held and (self._held[0][0] <= now_ns or len(self._held) > self._most):
            self._held.popleft()[1].close()

    def _hold(self, ip: str, port: int, since_ns: int) -> bool:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind((ip, port))
        except OSError:
            sock.close()
            return False
        self._held.append((since_ns + self._hold_ns + _SLACK_NS, sock))
        return True
