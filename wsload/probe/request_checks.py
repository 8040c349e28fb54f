"""The checks of HTTP requests: the upgrade, and an ordinary one beside it."""

from typing import Final

from wsload.probe import answer
from wsload.probe.check import Check, Fact, Probed, Status, error_words, to_ms
from wsload.probe.stream import Exchange, connect, exchange, with_body
from wsload.probe.target import Target
from wsload.probe.tunnel import Opening, open_tunnel
from wsload.units import format_duration

_SERVER_ERRORS: Final = 500


async def check_upgrade(probed: Probed) -> Check:
    """The upgrade gives 101 with the right Sec-WebSocket-Accept."""
    assert probed.address is not None
    try:
        opening = await open_tunnel(probed.target, probed.address, probed.clock)
    except OSError as error:
        return Check("upgrade", Status.FAILED, f"the connection failed: {error_words(error)}")
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
    missing = (
        "none of the offered subprotocols was chosen; browsers then close" if target.subprotocols else ""
    )
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
        return Check("http", Status.FAILED, f"the connection failed: {error_words(error)}")
    try:
        got = await exchange(stream, ("".join(lines) + "\r\n").encode("latin-1"), target.timeout_ns)
        response = got.response
        if response is None:
            return Check("http", Status.FAILED, *_no_answer(got, target))
        if response.status >= _SERVER_ERRORS:
            response = await with_body(stream, response, target.timeout_ns // 10)
    finally:
        stream.abort()
    says = f"GET / gives {response.status_line} in {format_duration(got.took_ns)}"
    facts = _facts(got)
    if response.status < 200:
        hint = "the route for WebSockets takes ordinary requests too: its condition has to look at Upgrade"
        return Check(
            "http", Status.FAILED, f"{says}, an upgrade that nobody asked for{_from(response)}", hint, facts
        )
    if response.status >= _SERVER_ERRORS:
        says += _from(response)
        return Check("http", Status.FAILED, says, answer.meaning(response, got.took_ns), facts)
    return Check("http", Status.PASSED, f"{says}, not upgraded{_from(response)}", facts=facts)


def _no_answer(got: Exchange, target: Target) -> tuple[str, str]:
    if got.not_http:
        hint = f"type wss://{target.url.partition('://')[2]}" if "TLS" in got.not_http else ""
        return got.not_http, hint
    if got.ended is not None:
        return (
            f"{got.ended.upper()} after {format_duration(got.took_ns)}, no answer",
            answer.CLOSED_UNANSWERED,
        )
    return f"no answer within {format_duration(target.timeout_ns)}", answer.silence_meaning(target.timeout_ns)


def _from(response: answer.Response | None) -> str:
    return f" ({response.servers})" if response is not None and response.servers else ""


def _facts(got: Exchange) -> dict[str, Fact]:
    """For the JSON. A cookie's value may be a secret: only its name is kept."""
    response = got.response
    if response is None:
        return {"status": None, "took_ms": to_ms(got.took_ns)}
    headers = {
        name: value.partition("=")[0] if name == "set-cookie" else value for name, value in response.headers
    }
    return {"status": response.status, "took_ms": to_ms(got.took_ns), "headers": headers}


def _host(target: Target) -> str:
    return next((value for name, value in target.headers.items() if name.lower() == "host"), target.authority)
