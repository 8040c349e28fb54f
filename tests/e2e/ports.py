"""Ports for what a test starts itself, which nothing else on a busy machine gets in the meantime."""

import random
import socket
from pathlib import Path

_LEAST, _MOST = 10_000, 20_000
"""Below the kernel's own as it comes; where its range was widened downward, any will do."""


def ports_in_a_row(count: int = 1) -> int:
    """The first of ``count`` ports in a row that are free now.

    They lie below those that the kernel gives to whoever asks for any port, so that they stay free.
    """
    first_given = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        first = random.randrange(_LEAST, max(first_given, _MOST) - count)
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
