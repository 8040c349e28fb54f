"""The kernel's own TCP counters that tell a lossy result from a slow one: which, and how they are read.

Names are the kernel's, of ``/proc/net/snmp`` (Ip, Tcp) and ``/proc/net/netstat`` (TcpExt); what each counts
is said in the kernel's Documentation/networking/snmp_counter.rst. They count since boot, for everybody in the
network namespace.
"""

from collections.abc import Mapping

LOSS: Mapping[str, str] = {
    "ListenOverflows": "listen overflows",
    "ListenDrops": "listen drops",
    "TCPReqQFullDrop": "SYNs dropped, queue full",
    "TCPReqQFullDoCookies": "SYN cookies, queue full",
    "TCPTimeouts": "timeouts",
    "TCPLostRetransmit": "retransmissions lost",
    "TCPAbortOnTimeout": "given up",
    "TCPBacklogDrop": "backlog drops",
    "TCPRcvQDrop": "receive queue drops",
    "TCPZeroWindowDrop": "dropped, window closed",
    "TCPOFODrop": "out-of-order drops",
    "RcvPruned": "dropped, no memory",
    "TCPAbortOnMemory": "aborted, no memory",
    "PFMemallocDrop": "dropped, host short of memory",
    "TCPTimeWaitOverflow": "TIME-WAIT overflows",
    "InErrs": "bad segments",
    "InDiscards": "packets discarded on receipt",
    "OutDiscards": "packets discarded on sending",
}
"""Counter -> its words: something did not arrive, or was thrown away."""

SLOWNESS: Mapping[str, str] = {
    "TCPToZeroWindowAdv": "windows closed by a slow reader",
    "TCPMemoryPressures": "memory pressure",
}
"""Counter -> its words: somebody could not keep up, and nothing was lost for it."""

RETRANSMITTED, OF_SYN, NEEDLESS = "RetransSegs", "TCPSynRetrans", "TCPDSACKRecv"
"""Segments sent again; those of them that open a connection (SYN, SYN-ACK); and reports of the receiver that
it had got the first one too (DSACK): the sender was late to hear of it, and nothing was lost."""

COUNTERS = frozenset({*LOSS, *SLOWNESS, RETRANSMITTED, OF_SYN, NEEDLESS})

_PROTOCOLS = ("Ip", "Tcp", "TcpExt")


def parse_counters(text: str) -> dict[str, int]:
    """The :data:`COUNTERS` in the text of either file; those that this kernel lacks are left out.

    Each protocol has two lines, ``Tcp: NAME …`` and ``Tcp: NUMBER …``.
    """
    found: dict[str, int] = {}
    lines = text.splitlines()
    for head, values in zip(lines[::2], lines[1::2], strict=False):
        protocol, _, names = head.partition(":")
        same, _, numbers = values.partition(":")
        if protocol != same or protocol not in _PROTOCOLS:
            continue
        for name, number in zip(names.split(), numbers.split(), strict=False):
            if name in COUNTERS:
                found[name] = int(number)
    return found


def increase(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """By how much each counter that both have has risen, names sorted."""
    return {name: after[name] - before[name] for name in sorted(before.keys() & after.keys())}
