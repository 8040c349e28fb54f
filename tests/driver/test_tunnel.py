"""A tunnel against a transport that only writes down what it is told."""

import asyncio
from struct import iter_unpack
from typing import cast

import pytest
from websockets.frames import Frame as ReferenceFrame
from websockets.frames import Opcode
from websockets.protocol import State as ReferenceState
from websockets.server import ServerProtocol

from wsload.driver.traffic import TRAFFIC, CohortTraffic
from wsload.driver.tunnel import State, Tunnel
from wsload.driver.worker import Worker
from wsload.plan.phases import PhaseTimes
from wsload.profile.model import Cohort, Match, Traffic
from wsload.record.outcome import PlanAct, Wire
from wsload.wire.closing import close_payload
from wsload.wire.frames import STAMP_BYTES
from wsload.wire.handshake import Upgrade, build_upgrade
from wsload.wire.reference import HandshakeJudge

UPGRADE = build_upgrade("h", "/", bytes(16), {}, ())
ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + UPGRADE.accept + b"\r\n\r\n"
)


class WrittenDown:
    def __init__(self) -> None:
        self.written = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


class Listener:
    """Stands where the worker stands, and writes down what it hears."""

    mask = b"\x01\x02\x03\x04"

    def __init__(self) -> None:
        self.heard: list[str] = []

    def upgrade_of(self, tunnel: Tunnel) -> Upgrade:
        return UPGRADE

    def judge_of(self, tunnel: Tunnel) -> HandshakeJudge:
        return HandshakeJudge(UPGRADE.key, ())

    def tunnel_connected(self, tunnel: Tunnel) -> None:
        tunnel.state = State.UPGRADING

    def tunnel_opened(self, tunnel: Tunnel, now_ns: int) -> None:
        self.heard.append("opened")
        tunnel.cohort.opened(tunnel, now_ns)

    def handshake_failed(self, tunnel: Tunnel, reason: str, now_ns: int) -> None:
        self.heard.append(f"failed {reason}")

    def tunnel_ended(self, tunnel: Tunnel, now_ns: int) -> None:
        seen = tunnel.extra.close_seen if tunnel.extra is not None else None
        self.heard.append(f"ended {tunnel.wire}" + (f" {seen.code}" if seen else ""))

    def await_fin(self, tunnel: Tunnel, now_ns: int) -> None:
        self.heard.append("awaits fin")

    def protocol_error(self, tunnel: Tunnel, now_ns: int) -> None:
        self.heard.append("protocol error")


def cohort(traffic: Traffic = Traffic.IDLE, **settings: object) -> CohortTraffic:
    spec = Cohort(name="c", traffic=traffic, **settings)  # type: ignore[arg-type]
    return TRAFFIC[traffic](spec, PhaseTimes(0, 0, 2**62), Listener.mask)


def connected(made: CohortTraffic | None = None) -> tuple[Tunnel, Listener, WrittenDown]:
    listener, transport = Listener(), WrittenDown()
    tunnel = Tunnel(cast(Worker, listener), made or cohort(), 0)
    tunnel.connection_made(cast(asyncio.Transport, transport))
    return tunnel, listener, transport


def opened(made: CohortTraffic | None = None) -> tuple[Tunnel, Listener, WrittenDown]:
    tunnel, listener, transport = connected(made)
    tunnel.data_received(ANSWER)
    return tunnel, listener, transport


def server_frame(opcode: Opcode, payload: bytes, fin: bool = True) -> bytes:
    return ReferenceFrame(opcode, payload, fin=fin).serialize(mask=False)


def as_a_server_reads(data: bytes) -> list[tuple[int, bytes]]:
    server = ServerProtocol()
    server.state = ReferenceState.OPEN
    server.parser = super(ServerProtocol, server).parse()
    next(server.parser)
    server.receive_data(data)
    return [(int(event.opcode), bytes(event.data)) for event in server.events_received()]  # type: ignore[union-attr]


def stamps(made: CohortTraffic) -> list[bytes]:
    """Of the replies that were matched."""
    noted = made.recorder.replies.getvalue()[: made.recorder.replies.tell()]
    return [stamp for stamp, _ in iter_unpack("<16sq", noted)]


def due_ns(made: CohortTraffic) -> list[int]:
    """When each sent message was due."""
    noted = made.recorder.sends.getvalue()[: made.recorder.sends.tell()]
    return [due for due, _ in iter_unpack("<qq", noted)]


def test_it_opens_on_the_common_answer() -> None:
    tunnel, listener, _ = opened()
    assert listener.heard == ["opened"]
    assert tunnel.state is State.OPEN


@pytest.mark.parametrize("cut", [1, 20, len(ANSWER) - 1])
def test_it_opens_on_an_answer_in_two_pieces(cut: int) -> None:
    tunnel, listener, _ = connected()
    tunnel.data_received(ANSWER[:cut])
    assert listener.heard == []
    tunnel.data_received(ANSWER[cut:] + b"\x89\x00")
    assert listener.heard == ["opened"]
    assert tunnel.extra is None


def test_a_refusal_names_its_status() -> None:
    tunnel, listener, transport = connected()
    tunnel.data_received(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
    assert listener.heard == ["failed 503"]
    assert transport.aborted


def test_a_refusal_without_a_length_is_read_to_its_end() -> None:
    tunnel, listener, _ = connected()
    tunnel.data_received(b"HTTP/1.1 403 Forbidden\r\n\r\nbo")
    tunnel.data_received(b"dy")
    tunnel.eof_received()
    tunnel.connection_lost(None)
    assert listener.heard == ["failed 403"]


@pytest.mark.parametrize(("error", "reason"), [(None, "closed"), (ConnectionResetError(), "reset")])
def test_an_end_before_the_answer_is_a_failed_handshake(error: Exception | None, reason: str) -> None:
    tunnel, listener, _ = connected()
    tunnel.connection_lost(error)
    assert listener.heard == [f"failed {reason}"]


def test_a_ping_is_answered_with_its_payload() -> None:
    tunnel, _, transport = opened()
    tunnel.data_received(server_frame(Opcode.PING, b"hello"))
    assert as_a_server_reads(transport.written) == [(Opcode.PONG, b"hello")]


def test_a_close_frame_is_answered_in_kind_and_goes_on_record() -> None:
    tunnel, listener, transport = opened()
    tunnel.data_received(server_frame(Opcode.CLOSE, close_payload(1001, "bye")))
    assert as_a_server_reads(transport.written) == [(Opcode.CLOSE, close_payload(1001, "bye"))]
    tunnel.eof_received()
    tunnel.connection_lost(None)
    assert listener.heard == ["opened", "awaits fin", "ended close 1001"]


def test_closing_by_plan_sends_one_close_frame() -> None:
    tunnel, listener, transport = opened()
    tunnel.close_by_plan(1, 1000)
    tunnel.close_by_plan(2, 1000)
    assert as_a_server_reads(transport.written) == [(Opcode.CLOSE, close_payload(1000))]
    tunnel.data_received(server_frame(Opcode.CLOSE, close_payload(1000)))
    tunnel.eof_received()
    tunnel.connection_lost(None)
    assert tunnel.plan is PlanAct.CLOSE
    assert listener.heard == ["opened", "ended close 1000"]


@pytest.mark.parametrize(
    ("eof", "error", "wire"), [(True, None, Wire.FIN), (False, ConnectionResetError(), Wire.RST)]
)
def test_fin_and_rst_are_told_apart(eof: bool, error: Exception | None, wire: Wire) -> None:
    tunnel, listener, _ = opened()
    if eof:
        tunnel.eof_received()
    tunnel.connection_lost(error)
    assert listener.heard[-1] == f"ended {wire}"


def test_a_stamped_echo_is_filed_whole_or_in_pieces_small_or_large() -> None:
    for size in (STAMP_BYTES, 64, 125, 126, 4096):
        made = cohort(Traffic.CHATTY, payload_bytes=size)
        tunnel, _, transport = opened(made)
        made.send(tunnel, 5)
        ((_, payload),) = as_a_server_reads(transport.written)
        echo = server_frame(Opcode.BINARY, payload)
        tunnel.data_received(echo)
        tunnel.data_received(echo[:7])
        tunnel.data_received(echo[7:])
        assert stamps(made) == [payload[:STAMP_BYTES]] * 2


def test_a_fragmented_message_goes_through_the_reference_lane() -> None:
    tunnel, _, transport = opened()
    tunnel.data_received(server_frame(Opcode.TEXT, b"a", fin=False) + server_frame(Opcode.CONT, b"b"))
    assert tunnel.cohort.recorder.messages_without_stamp == 1
    tunnel.data_received(server_frame(Opcode.PING, b"x"))
    assert as_a_server_reads(transport.written) == [(Opcode.PONG, b"x")]


def test_a_masked_frame_from_the_server_is_a_protocol_error() -> None:
    tunnel, listener, transport = opened()
    tunnel.data_received(ReferenceFrame(Opcode.TEXT, b"x").serialize(mask=True))
    assert listener.heard == ["opened", "protocol error"]
    ((opcode, payload),) = as_a_server_reads(transport.written)
    assert (opcode, payload[:2]) == (Opcode.CLOSE, (1002).to_bytes(2, "big"))


def test_replies_in_order_find_their_messages() -> None:
    made = cohort(Traffic.CHATTY, match=Match.FIFO, payload_bytes=4)
    tunnel, _, _ = opened(made)
    made.send(tunnel, 5)
    made.send(tunnel, 6)
    for _ in range(3):
        tunnel.data_received(server_frame(Opcode.TEXT, b"reply"))
    intended = [int.from_bytes(stamp[:8], "little") for stamp in stamps(made)]
    assert intended == [5, 6]
    assert made.recorder.messages_without_stamp == 1


def test_a_closed_loop_sends_the_next_message_on_each_reply_until_it_closes() -> None:
    made = cohort(Traffic.CHATTY, rate_per_s=None)
    tunnel, _, transport = opened(made)
    ((_, payload),) = as_a_server_reads(transport.written)
    tunnel.data_received(server_frame(Opcode.BINARY, payload))
    assert len(as_a_server_reads(transport.written)) == 2
    tunnel.close_by_plan(1, 1000)
    tunnel.data_received(server_frame(Opcode.BINARY, payload))
    assert len(due_ns(made)) == 2


def test_a_message_due_while_the_socket_takes_no_more_is_counted_not_queued() -> None:
    made = cohort(Traffic.CHATTY)
    tunnel, _, transport = opened(made)
    tunnel.pause_writing()
    made.send(tunnel, 5)
    assert transport.written == b""
    tunnel.resume_writing()
    made.send(tunnel, 6)
    assert due_ns(made) == [6]


def test_a_pong_is_matched_by_its_stamp() -> None:
    made = cohort(Traffic.PINGED)
    tunnel, _, transport = opened(made)
    made.send(tunnel, 5)
    ((opcode, payload),) = as_a_server_reads(transport.written)
    assert opcode == Opcode.PING
    tunnel.data_received(server_frame(Opcode.PONG, payload))
    tunnel.data_received(server_frame(Opcode.PONG, b"unasked"))
    assert stamps(made) == [payload]
