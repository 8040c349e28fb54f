"""The checks, in the order in which an engineer does them by hand; each says what it saw and why it failed."""

import asyncio
import errno
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wsload.clock import Clock
from wsload.probe import answer
from wsload.probe.connection import (
    Address,
    Exchange,
    Opening,
    Tunnel,
    connect,
    connect_tcp,
    exchange,
    open_tunnel,
    resolve,
    with_body,
)
from wsload.probe.target import Target
from wsload.record.outcome import Wire
from wsload.units import NS_PER_MS, format_duration
from wsload.wire.closing import NO_STATUS
from wsload.wire.frames import TEXT

Fact = str | int | float | bool | dict[str, str] | list[str] | None


class Status(StrEnum):
    """How a check came out."""

    PASSED = "passed"
    FAILED = "failed"
    INFO = "info"
    """Worth knowing, and no failure either way."""
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One line of the report. ``hint`` is what a failure usually means; ``facts`` go into the JSON."""

    name: str
    status: Status
    says: str
    hint: str = ""
    facts: dict[str, Fact] = field(default_factory=dict)


@dataclass
class Probed:
    """What earlier checks leave for later ones."""

    target: Target
    clock: Clock
    addresses: list[Address] = field(default_factory=list)
    address: Address | None = None
    """The first one that took a connection."""
    tunnel: Tunnel | None = None
    rtt_ns: int | None = None
    """Of the ping; None where none came back."""


_CONNECT_HINTS: Final = {
    errno.ECONNREFUSED: "nothing listens there: is HAProxy running, and its bind line on this address and port?",
    errno.ECONNRESET: "something on the way resets connections (a firewall?)",
    errno.EHOSTUNREACH: "no route to that host",
    errno.ENETUNREACH: "no route to that network",
    errno.EACCES: "a local firewall rule forbids it",
}
_DROPPED: Final = "no answer at all: a firewall that drops packets, a host that is down, or a full accept queue"
_SOON_EXPIRED_DAYS: Final = 14
_SECONDS_PER_DAY: Final = 86_400
_SERVER_ERRORS: Final = 500


async def check_name(probed: Probed) -> Check:
    """The host's name stands for an address."""
    target, started_ns = probed.target, probed.clock.now_ns()
    try:
        async with asyncio.timeout(target.timeout_ns / 1e9):
            probed.addresses = await resolve(target)
    except TimeoutError:
        return Check("name", Status.FAILED, f"{target.host}: no answer in {format_duration(target.timeout_ns)}")
    except OSError as error:
        words = error.strerror if isinstance(error, socket.gaierror) else str(error)
        return Check("name", Status.FAILED, f"{target.host}: {words}", "check the spelling, and your DNS")
    took_ns = probed.clock.now_ns() - started_ns
    ips = [address.ip for address in probed.addresses]
    if ips == [target.host]:
        return Check("name", Status.PASSED, f"{target.host} is an address", facts={"addresses": list(ips)})
    says = f"{target.host} is {', '.join(ips)} ({format_duration(took_ns)})"
    return Check("name", Status.PASSED, says, facts={"addresses": list(ips), "took_ms": _ms(took_ns)})


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
        return Check("tcp", Status.PASSED, says, facts={"address": str(address), "took_ms": _ms(took_ns)})
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
        return Check("tls", Status.FAILED, f"no TLS handshake: {_ssl_words(error)}", hint)
    took_ns = probed.clock.now_ns() - started_ns
    tls = stream.tls()
    stream.abort()
    assert tls is not None
    version, cipher = tls.version() or "", (tls.cipher() or ("",))[0]
    says = f"{version} in {format_duration(took_ns)}"
    facts: dict[str, Fact] = {"version": version, "cipher": cipher, "took_ms": _ms(took_ns)}
    if not probed.target.verify:
        return Check("tls", Status.INFO, f"{says}; the certificate was not checked (--insecure)", facts=facts)
    expires = str((tls.getpeercert() or {}).get("notAfter", ""))
    facts["certificate_expires"] = expires
    days = int((ssl.cert_time_to_seconds(expires) - time.time()) // _SECONDS_PER_DAY)
    hint = "renew it" if days < _SOON_EXPIRED_DAYS else ""
    return Check("tls", Status.PASSED, f"{says}; certificate valid for {days} more days", hint, facts)


async def check_upgrade(probed: Probed) -> Check:
    """The upgrade gives 101 with the right Sec-WebSocket-Accept."""
    assert probed.address is not None
    try:
        opening = await open_tunnel(probed.target, probed.address, probed.clock)
    except OSError as error:
        return Check("upgrade", Status.FAILED, f"the connection failed: {_ssl_words(error)}")
    probed.tunnel = opening.tunnel
    says, hint = describe_opening(opening, probed.target)
    status = Status.PASSED if opening.tunnel is not None else Status.FAILED
    return Check("upgrade", status, says, hint, _facts(opening.exchange))


def describe_opening(opening: Opening, target: Target) -> tuple[str, str]:
    """What came of an upgrade request, and what that usually means."""
    got, response = opening.exchange, opening.exchange.response
    took = format_duration(got.took_ns)
    if opening.problem:
        return f"{opening.problem}{_from(response)}", "no browser will accept it"
    if response is None:
        return _no_answer(got, target)
    if opening.tunnel is None:
        line = f': "{response.body_line}"' if response.body_line else ""
        says = f"{response.status_line} in {took}, not 101{line}{_from(response)}"
        return says, answer.meaning(response, got.took_ns)
    subprotocol = "".join(response.values("sec-websocket-protocol"))
    chosen = f", subprotocol {subprotocol}" if subprotocol else ""
    missing = "none of the offered subprotocols was chosen; browsers then close" if target.subprotocols else ""
    says = f"101 in {took}, Sec-WebSocket-Accept is right{chosen}{_from(response)}"
    return says, "" if subprotocol else missing


async def check_http(probed: Probed) -> Check:
    """An ordinary request to the same host is answered as such, not upgraded and not refused."""
    assert probed.address is not None
    target = probed.target
    lines = [f"GET / HTTP/1.1\r\nHost: {_host(target)}\r\nAccept: */*\r\nConnection: close\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in target.headers.items() if name.lower() != "host"]
    try:
        stream = await connect(target, probed.address, probed.clock)
    except OSError as error:
        return Check("http", Status.FAILED, f"the connection failed: {_ssl_words(error)}")
    try:
        got = await exchange(stream, ("".join(lines) + "\r\n").encode("latin-1"), target.timeout_ns)
        response = got.response
        if response is None:
            return Check("http", Status.FAILED, *_no_answer(got, target))
        if response.status >= _SERVER_ERRORS:
            response = await with_body(stream, response, target.timeout_ns // 10)
    finally:
        stream.abort()
    says = f"GET / gives {response.status_line} in {format_duration(got.took_ns)}{_from(response)}"
    facts = _facts(got)
    if response.status < 200:
        hint = "the route for WebSockets takes ordinary requests too: its condition has to look at Upgrade"
        return Check("http", Status.FAILED, f"{says}, an upgrade that nobody asked for", hint, facts)
    if response.status >= _SERVER_ERRORS:
        return Check("http", Status.FAILED, says, answer.meaning(response, got.took_ns), facts)
    return Check("http", Status.PASSED, f"{says}, not upgraded", facts=facts)


async def check_ping(probed: Probed) -> Check:
    """A ping is answered with its own payload."""
    tunnel = probed.tunnel
    assert tunnel is not None
    probed.rtt_ns = await tunnel.ping(probed.target.timeout_ns)
    if probed.rtt_ns is not None:
        says = f"answered in {format_duration(probed.rtt_ns)}"
        return Check("ping", Status.PASSED, says, facts={"rtt_ms": _ms(probed.rtt_ns)})
    if tunnel.end() is not None:
        return Check("ping", Status.FAILED, f"no pong: {describe_end(tunnel)}")
    return Check(
        "ping",
        Status.FAILED,
        f"no pong within {format_duration(probed.target.timeout_ns)}",
        "every server has to answer pings (RFC 6455, section 5.5.2); heartbeats from clients will not work",
    )


async def check_echo(probed: Probed) -> Check:
    """Whether a text message comes back. A server need not do that, so this is never a failure."""
    tunnel, timeout_ns = probed.tunnel, probed.target.timeout_ns
    assert tunnel is not None
    if tunnel.end() is not None:
        return Check("echo", Status.SKIPPED, "the tunnel is gone")
    text, sent_ns = f"wsload probe {os.urandom(4).hex()}".encode(), probed.clock.now_ns()
    tunnel.send(TEXT, text)
    message = await tunnel.receive(lambda message: message.opcode == TEXT, sent_ns + timeout_ns)
    facts: dict[str, Fact] = {"echo": message is not None and message.payload == text}
    if message is None:
        why = describe_end(tunnel) if tunnel.end() else f"within {format_duration(timeout_ns)}"
        return Check("echo", Status.INFO, f"a text message got no answer: {why}; a server need not echo", "", facts)
    took = format_duration(message.at_ns - sent_ns)
    facts["took_ms"] = _ms(message.at_ns - sent_ns)
    if message.payload == text:
        return Check("echo", Status.INFO, f"a text message came back in {took}", "", facts)
    said = answer.quoted(message.payload)
    return Check("echo", Status.INFO, f'a text message got another in {took}: "{said}"', "", facts)


async def check_close(probed: Probed) -> Check:
    """The closing handshake completes, and then the server ends TCP first (RFC 6455, section 7.1.1)."""
    assert probed.address is not None
    tunnel, timeout_ns = probed.tunnel, probed.target.timeout_ns
    if tunnel is None or tunnel.end() is not None:
        # Something before has ended it: a fresh one is as good.
        tunnel = probed.tunnel = (await open_tunnel(probed.target, probed.address, probed.clock)).tunnel
        if tunnel is None:
            return Check("close", Status.FAILED, "no second tunnel could be opened")
    started_ns = probed.clock.now_ns()
    tunnel.send_close()
    await tunnel.receive(lambda _: False, started_ns + timeout_ns)
    if tunnel.closed is None:
        seen = describe_end(tunnel) if tunnel.end() else f"nothing within {format_duration(timeout_ns)}"
        hint = "a server has to answer a close frame with one (RFC 6455, section 5.5.1); browsers report 1006"
        return Check("close", Status.FAILED, f"the close frame was not answered: {seen}", hint)
    assert tunnel.ended_ns is not None
    took = format_duration(tunnel.ended_ns - started_ns)
    says = f"close frame answered with {_code(tunnel)} in {took}"
    facts: dict[str, Fact] = {"close_code": tunnel.closed[0], "took_ms": _ms(tunnel.ended_ns - started_ns)}
    while tunnel.stream.ended is None and await tunnel.stream.changed(tunnel.ended_ns + timeout_ns):
        pass
    ended = tunnel.stream.ended
    facts["tcp_ended_by_server"] = None if ended is None else str(ended.wire)
    if ended is None:
        hint = "the server has to end TCP at once then (RFC 6455, section 7.1.1): until it does, its slot is taken"
        says = f"{says}, but TCP stayed open for {format_duration(timeout_ns)} more"
        return Check("close", Status.FAILED, says, hint, facts)
    after = format_duration(ended.at_ns - tunnel.ended_ns)
    return Check("close", Status.PASSED, f"{says}, then {ended.wire.upper()} from the server after {after}", "", facts)


_Step = Callable[[Probed], Awaitable[Check]]
_STEPS: tuple[tuple[str, _Step, tuple[str, ...], bool], ...] = (
    ("name", check_name, (), False),
    ("tcp", check_tcp, ("name",), False),
    ("tls", check_tls, ("tcp",), True),
    ("upgrade", check_upgrade, ("tcp", "tls"), False),
    ("http", check_http, ("tcp", "tls"), False),
    ("ping", check_ping, ("upgrade",), False),
    ("echo", check_echo, ("upgrade",), False),
    ("close", check_close, ("upgrade",), False),
)
"""Name, check, those that must not have failed for it to make sense, and whether it is for wss only."""


async def run_checks(probed: Probed, tell: Callable[[Check], None]) -> None:
    """Do all of them, each told as soon as it is done. The tunnel is closed at the end."""
    done: dict[str, Check] = {}
    try:
        for name, step, needs, only_secure in _STEPS:
            if only_secure and not probed.target.secure:
                continue
            broken = next((need for need in needs if need in done and _stops(done[need])), None)
            done[name] = (
                await step(probed)
                if broken is None
                else Check(name, Status.SKIPPED, f"makes no sense without {broken}")
            )
            tell(done[name])
    finally:
        if probed.tunnel is not None:
            probed.tunnel.close()


def describe_end(tunnel: Tunnel) -> str:
    """How the other side ended a tunnel, in words."""
    wire = tunnel.end()
    if wire is Wire.CLOSE:
        return f"close frame {_code(tunnel)}"
    return "nothing" if wire is None else f"{wire.upper()} without a close frame"


def _stops(check: Check) -> bool:
    return check.status in (Status.FAILED, Status.SKIPPED)


def _code(tunnel: Tunnel) -> str:
    code, reason = tunnel.closed or (NO_STATUS, "")
    named = "no code" if code == NO_STATUS else f"code {code}"
    return f'{named} "{answer.printable(reason)}"' if reason else named


def _no_answer(got: Exchange, target: Target) -> tuple[str, str]:
    if got.not_http:
        hint = f"type wss://{target.url.partition('://')[2]}" if "TLS" in got.not_http else ""
        return got.not_http, hint
    if got.ended is not None:
        return f"{got.ended.upper()} after {format_duration(got.took_ns)}, no answer", answer.CLOSED_UNANSWERED
    return f"no answer within {format_duration(target.timeout_ns)}", answer.silence_meaning(target.timeout_ns)


def _from(response: answer.Response | None) -> str:
    return f" ({response.servers})" if response is not None and response.servers else ""


def _facts(got: Exchange) -> dict[str, Fact]:
    """For the JSON. A cookie's value may be a secret: only its name is kept."""
    response = got.response
    if response is None:
        return {"status": None, "took_ms": _ms(got.took_ns)}
    headers = {
        name: value.partition("=")[0] if name == "set-cookie" else value for name, value in response.headers
    }
    return {"status": response.status, "took_ms": _ms(got.took_ns), "headers": headers}


def _host(target: Target) -> str:
    return next((value for name, value in target.headers.items() if name.lower() == "host"), target.authority)


def _ssl_words(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return error.strerror or str(error) or type(error).__name__


def _ms(ns: int) -> float:
    return round(ns / NS_PER_MS, 3)
