"""The checks of an open tunnel: ping, echo, closing handshake."""

import os

from wsload.probe import answer
from wsload.probe.check import Check, Fact, Probed, Status, error_words, to_ms
from wsload.probe.tunnel import Tunnel, open_tunnel
from wsload.record.outcome import Wire
from wsload.units import format_duration
from wsload.wire.closing import NO_STATUS
from wsload.wire.frames import TEXT


async def check_ping(probed: Probed) -> Check:
    """A ping is answered with its own payload."""
    tunnel = probed.tunnel
    assert tunnel is not None
    probed.rtt_ns = await tunnel.ping(probed.target.timeout_ns)
    if probed.rtt_ns is not None:
        says = f"answered in {format_duration(probed.rtt_ns)}"
        return Check("ping", Status.PASSED, says, facts={"rtt_ms": to_ms(probed.rtt_ns)})
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
        return Check(
            "echo", Status.INFO, f"a text message got no answer: {why}; a server need not echo", "", facts
        )
    took = format_duration(message.at_ns - sent_ns)
    facts["took_ms"] = to_ms(message.at_ns - sent_ns)
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
        try:
            tunnel = (await open_tunnel(probed.target, probed.address, probed.clock)).tunnel
        except OSError as error:
            return Check("close", Status.FAILED, f"no second tunnel: {error_words(error)}")
        if tunnel is None:
            return Check("close", Status.FAILED, "no second tunnel could be opened")
        probed.tunnel = tunnel
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
    facts: dict[str, Fact] = {"close_code": tunnel.closed[0], "took_ms": to_ms(tunnel.ended_ns - started_ns)}
    while tunnel.stream.ended is None and await tunnel.stream.changed(tunnel.ended_ns + timeout_ns):
        pass
    ended = tunnel.stream.ended
    facts["tcp_ended_by_server"] = None if ended is None else str(ended.wire)
    if ended is None:
        hint = "the server has to end TCP at once (RFC 6455, section 7.1.1): until then its slot is taken"
        says = f"{says}, but TCP stayed open for {format_duration(timeout_ns)} more"
        return Check("close", Status.FAILED, says, hint, facts)
    after = format_duration(ended.at_ns - tunnel.ended_ns)
    return Check(
        "close", Status.PASSED, f"{says}, then {ended.wire.upper()} from the server after {after}", "", facts
    )


def describe_end(tunnel: Tunnel) -> str:
    """How the other side ended a tunnel, in words."""
    wire = tunnel.end()
    if wire is Wire.CLOSE:
        return f"close frame {_code(tunnel)}"
    return "nothing" if wire is None else f"{wire.upper()} without a close frame"


def _code(tunnel: Tunnel) -> str:
    code, reason = tunnel.closed or (NO_STATUS, "")
    named = "no code" if code == NO_STATUS else f"code {code}"
    return f'{named} "{answer.printable(reason)}"' if reason else named
