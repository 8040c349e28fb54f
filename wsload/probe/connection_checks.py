"""The checks before anything is asked: name, TCP, TLS."""

import asyncio
import errno
import os
import socket
import ssl
import time
from typing import Final

from wsload.probe.check import Check, Fact, Probed, Status, error_words, to_ms
from wsload.probe.stream import connect, connect_tcp, resolve
from wsload.units import NS_PER_S, format_duration

_CONNECT_HINTS: Final = {
    errno.ECONNREFUSED: "nothing listens there: does HAProxy run, and bind this address and port?",
    errno.ECONNRESET: "something on the way resets connections (a firewall?)",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ENETUNREACH: "no route to that network",
    errno.EACCES: "a local firewall rule forbids it",
}
_DROPPED: Final = (
    "no answer at all: a firewall that drops packets, a host that is down, or a full accept queue"
)
_SOON_EXPIRED_DAYS: Final = 14
_SECONDS_PER_DAY: Final = 86_400


async def check_name(probed: Probed) -> Check:
    """The host's name stands for an address."""
    target, started_ns = probed.target, probed.clock.now_ns()
    try:
        async with asyncio.timeout(target.timeout_ns / NS_PER_S):
            probed.addresses = await resolve(target)
    except TimeoutError:
        return Check(
            "name", Status.FAILED, f"{target.host}: no answer in {format_duration(target.timeout_ns)}"
        )
    except OSError as error:
        words = error.strerror if isinstance(error, socket.gaierror) else str(error)
        return Check("name", Status.FAILED, f"{target.host}: {words}", "check the spelling, and your DNS")
    took_ns = probed.clock.now_ns() - started_ns
    ips = [address.ip for address in probed.addresses]
    if ips == [target.host]:
        return Check("name", Status.PASSED, f"{target.host} is an address", facts={"addresses": list(ips)})
    says = f"{target.host} is {', '.join(ips)} ({format_duration(took_ns)})"
    return Check("name", Status.PASSED, says, facts={"addresses": list(ips), "took_ms": to_ms(took_ns)})


async def check_tcp(probed: Probed) -> Check:
    """One of the addresses takes a TCP connection; the first that does is used from here on."""
    failures: list[str] = []
    hint = ""
    for address in probed.addresses:
        started_ns = probed.clock.now_ns()
        try:
            sock = await connect_tcp(address, probed.target.timeout_ns)
        except OSError as error:
            if isinstance(error, TimeoutError) and error.errno is None:
                words, hint = f"nothing in {format_duration(probed.target.timeout_ns)}", _DROPPED
            else:
                words = os.strerror(error.errno) if error.errno else str(error)
                hint = _CONNECT_HINTS.get(error.errno or 0, "")
            failures.append(f"{address}: {words}")
            continue
        took_ns = probed.clock.now_ns() - started_ns
        sock.close()
        probed.address = address
        says = "; ".join([*failures, f"{address} connected in {format_duration(took_ns)}"])
        return Check("tcp", Status.PASSED, says, facts={"address": str(address), "took_ms": to_ms(took_ns)})
    return Check("tcp", Status.FAILED, "; ".join(failures), hint)


async def check_tls(probed: Probed) -> Check:
    """The TLS handshake completes and the certificate is valid for the host's name."""
    assert probed.address is not None
    started_ns = probed.clock.now_ns()
    try:
        stream = await connect(probed.target, probed.address, probed.clock)
    except ssl.SSLCertVerificationError as error:
        hint = "clients will refuse it too; --insecure goes on without checking"
        return Check("tls", Status.FAILED, f"the certificate is not valid: {error.verify_message}", hint)
    except OSError as error:
        hint = 'if it speaks no TLS, write "ws://"'
        return Check("tls", Status.FAILED, f"no TLS handshake: {error_words(error)}", hint)
    took_ns = probed.clock.now_ns() - started_ns
    tls = stream.tls()
    stream.abort()
    assert tls is not None
    version, cipher = tls.version() or "", (tls.cipher() or ("",))[0]
    says = f"{version} in {format_duration(took_ns)}"
    facts: dict[str, Fact] = {"version": version, "cipher": cipher, "took_ms": to_ms(took_ns)}
    if not probed.target.verify:
        return Check("tls", Status.INFO, f"{says}; the certificate was not checked (--insecure)", facts=facts)
    expires = str((tls.getpeercert() or {}).get("notAfter", ""))
    facts["certificate_expires"] = expires
    days = int((ssl.cert_time_to_seconds(expires) - time.time()) // _SECONDS_PER_DAY)
    hint = "renew it" if days < _SOON_EXPIRED_DAYS else ""
    return Check("tls", Status.PASSED, f"{says}; certificate valid for {days} more days", hint, facts)
