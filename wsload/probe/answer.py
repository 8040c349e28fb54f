"""An HTTP answer read for a person: who sent it, what is wrong with it, and what that usually means.

Pure. What a status means behind HAProxy, and how HAProxy logs it, is from runs on HAProxy 2.6.12, 3.0.11
and 3.2.26 (haproxy-facts.md, "What each cause looks like").
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wsload.units import NS_PER_MS, NS_PER_S
from wsload.wire.handshake import Upgrade
from wsload.wire.reference import HandshakeJudge

SWITCHING: Final = 101
_HEAD_END: Final = b"\r\n\r\n"
_STATUS_LINE = re.compile(r"HTTP/1\.[01] ([1-5]\d\d)(?: (.*))?")
_TLS_RECORDS: Final = (b"\x15\x03", b"\x16\x03")
_LONGEST_QUOTE: Final = 100

SERVER_HEADERS: Final = (
    "server",
    "via",
    "x-served-by",
    "x-server",
    "x-backend",
    "x-backend-server",
    "x-haproxy-server",
    "x-powered-by",
    "x-cache",
    "cf-ray",
    "x-amz-cf-id",
)
"""Headers that tell which server, or which device on the way, answered."""


class NotHttpError(ValueError):
    """Bytes that begin no HTTP/1.x answer. The text says what they look like."""


@dataclass(frozen=True)
class Response:
    """One answer's head, and as much of its body as has come."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    """Names in lower case; printable characters only, whatever the server sent."""
    head_bytes: int
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        """All values of a header, in order."""
        return [value for held, value in self.headers if held == name]

    def tokens(self, name: str) -> list[str]:
        """The comma-separated tokens of a header, in lower case."""
        return [token.strip().lower() for value in self.values(name) for token in value.split(",")]

    @property
    def status_line(self) -> str:
        """``503 Service Unavailable``."""
        return f"{self.status} {self.reason}".strip()

    @property
    def servers(self) -> str:
        """What it says about who sent it, such as ``Server: nginx``; empty if nothing."""
        told = [f"{_titled(name)}: {value}" for name in SERVER_HEADERS for value in self.values(name)]
        cookies = [value.partition("=")[0] for value in self.values("set-cookie")]
        return ", ".join(told + [f"sets cookie {name}" for name in cookies])

    @property
    def body_line(self) -> str:
        """The body's first line, without mark-up, that says more than the status line."""
        text = re.sub(r"<[^>]*>", " ", self.body.decode("utf-8", "replace"))
        lines = (" ".join(printable(line).split()) for line in text.splitlines())
        return next((line for line in lines if line and line != self.status_line), "")[:_LONGEST_QUOTE]

    @property
    def is_haproxy_page(self) -> bool:
        """Whether it is one of the error pages that HAProxy itself sends: no Server header, this mark-up."""
        return self.body.startswith(b"<html><body><h1>%d " % self.status) and not self.values("server")


def parse_response(data: bytes) -> Response | None:
    """The answer that ``data`` begins with; None while its head is not complete. Raises NotHttpError."""
    if data.startswith(_TLS_RECORDS):
        raise NotHttpError("it speaks TLS")
    if not b"HTTP/1.".startswith(data[:7]):
        raise NotHttpError(f'no HTTP answer but "{quoted(data)}"')
    end = data.find(_HEAD_END)
    if end < 0:
        return None
    status_line, *lines = data[:end].decode("latin-1").split("\r\n")
    match = _STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise NotHttpError(f'no HTTP answer but "{quoted(data)}"')
    fields = (line.partition(":") for line in lines)
    headers = tuple((name.strip().lower(), printable(value.strip())) for name, _, value in fields)
    head_bytes = end + len(_HEAD_END)
    return Response(int(match[1]), printable(match[2] or ""), headers, head_bytes, data[head_bytes:])


def printable(text: str) -> str:
    """Text from outside, safe for a terminal: what does not print becomes ``?``."""
    return "".join(char if char.isprintable() else "?" for char in text)


def quoted(data: bytes) -> str:
    """The first line of some bytes, for a person."""
    line = data[:_LONGEST_QUOTE].splitlines()[:1] or [b""]
    return printable(line[0].decode("latin-1"))


def upgrade_problem(response: Response, head: bytes, upgrade: Upgrade, subprotocols: Sequence[str]) -> str:
    """Why an answer with status 101 is no WebSocket upgrade (RFC 6455, section 4.1); empty if it is one.

    ``head`` is the answer's head as it came, its empty line included.
    """
    problem = next(_problems(response, upgrade, subprotocols), "")
    if problem:
        return problem
    # The reference has the last word on what is not named above.
    verdict = HandshakeJudge(upgrade.key, subprotocols).receive(head)
    return "" if verdict == "" else "101 that is no valid WebSocket answer (RFC 6455, section 4.1)"


def _problems(response: Response, upgrade: Upgrade, offered: Sequence[str]) -> Iterator[str]:
    if "websocket" not in response.tokens("upgrade"):
        yield '101 without "Upgrade: websocket"'
    if "upgrade" not in response.tokens("connection"):
        yield '101 without "Connection: Upgrade"'
    accepts, right = response.values("sec-websocket-accept"), upgrade.accept.decode()
    if not accepts:
        yield "101 without Sec-WebSocket-Accept: what answers speaks no WebSocket"
    elif accepts != [right]:
        yield (
            f"101 with the wrong Sec-WebSocket-Accept {', '.join(accepts)}, {right} is right: "
            "an answer to another request (a cache?), or a broken server"
        )
    for extension in response.values("sec-websocket-extensions"):
        yield f"101 with an extension nobody offered: {extension}"
    for chosen in response.values("sec-websocket-protocol"):
        if chosen not in offered:
            yield f"101 with the subprotocol {chosen}, which was not offered"


_AT_ONCE_NS: Final = 100 * NS_PER_MS
_RETRIES_NS: Final = (2_500 * NS_PER_MS, 3_500 * NS_PER_MS)


def _unavailable(took_ns: int) -> str:
    if took_ns < _AT_ONCE_NS:
        return (
            "it came at once, so most likely no server is up: all down, in maintenance or drained (logs SC--)"
        )
    if _RETRIES_NS[0] < took_ns < _RETRIES_NS[1]:
        return (
            "after about 3 s: most likely the server refuses connections and the retries ran out (logs SC--)"
        )
    return (
        "most likely no server had a free slot within timeout queue (logs sQ--), "
        "or none could be connected to within timeout connect (logs sC--)"
    )


_MEANINGS: dict[int, str] = {
    200: "an ordinary page: this path is not routed to the WebSocket backend, or the Upgrade header was lost",
    400: (
        "the request is malformed to whoever answers (HAProxy logs PR--), "
        "or a proxy on the way dropped its Connection and Upgrade headers"
    ),
    401: 'the server wants credentials: --header "Authorization: …"',
    403: (
        "a deny rule of HAProxy (logs PR--), or the server does not like the Origin: "
        '--header "Origin: https://…"'
    ),
    404: "this path is not routed to the WebSocket backend (it reached the default one), or it is mistyped",
    407: "a proxy on the way wants credentials",
    408: "HAProxy did not get the whole request within timeout http-request (logs cR--): a slow path",
    426: (
        "the server wants an upgrade and saw none, or another version: "
        "a proxy on the way drops Connection and Upgrade"
    ),
    429: "a limit on requests or connections per client",
    500: "the server failed while it answered",
    502: (
        "the server closed or reset the connection before its 101 (HAProxy logs SH--), "
        "or its answer was no valid HTTP (logs PH--)"
    ),
    504: "the server took the connection and sent no 101 within timeout server (HAProxy logs sH--)",
}


def meaning(response: Response, took_ns: int) -> str:
    """What a status other than 101 usually means behind HAProxy; empty where nothing is known."""
    if 300 <= response.status < 400 and response.values("location"):
        return f"it sends clients elsewhere; probe {response.values('location')[0]}"
    words = _unavailable(took_ns) if response.status == 503 else _MEANINGS.get(response.status, "")
    if response.is_haproxy_page:
        words = f"the page is HAProxy's own; {words}" if words else "the page is HAProxy's own"
    return words


def silence_meaning(timeout_ns: int) -> str:
    """What it usually means when a connection stands and no answer comes."""
    return (
        "most likely the frontend is full (maxconn): the kernel accepts, HAProxy does not, and logs nothing; "
        f"or the server is slow: --timeout {2 * timeout_ns // NS_PER_S or 1}s tells these apart "
        "if timeout server is shorter"
    )


CLOSED_UNANSWERED = (
    "the other side ended the connection without a word: no HTTP there, TLS wanted (type wss://), "
    "or a rule that rejects connections"
)


def _titled(name: str) -> str:
    return "-".join(part.capitalize() for part in name.split("-"))
