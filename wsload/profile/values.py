"""One value of a profile at a time: raw TOML in, typed value out, or what is wrong and what to write.

Every parser here takes what tomllib gives (or the bare string of a ``--set``) and raises
:class:`~wsload.units.UnitError` with a problem and a fix; the caller knows the file and the key.
"""

import ipaddress
import math
import re
from collections.abc import Callable
from difflib import get_close_matches
from enum import Enum
from typing import TypeVar
from urllib.parse import urlsplit

from wsload.units import (
    NS_PER_MS,
    NS_PER_S,
    UnitError,
    parse_count,
    parse_duration_ns,
    parse_rate_per_s,
    parse_share,
    parse_share_rate_per_s,
    parse_size_bytes,
)

E = TypeVar("E", bound=Enum)

Parser = Callable[[object], object]
AddressRange = tuple[ipaddress.IPv4Address, ipaddress.IPv4Address]

MAX_HAPROXY_TIMEOUT_NS = 2_147_483_647 * NS_PER_MS
"""HAProxy refuses more (haproxy-facts.md, section 1: "24d" passes, "25d" is fatal)."""

MAX_DURATION_NS = 3650 * 24 * 3600 * NS_PER_S
"""Ten years: sums of a few such still fit 64 bits."""

MAX_RATE_PER_S = 1_000_000.0
"""Of one tunnel: a message each microsecond."""

MAX_PAYLOAD_BYTES = 64 * 1024**2

LEAST_MEMORY_BYTES = 4 * 1024**2
"""With less HAProxy does not start."""

MAX_PORT = 65_535

_CLOSE_CODES = frozenset((*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)))
"""RFC 6455, section 7.4, and IANA's registry of close codes; 1004 to 1006 and 1015 are never sent."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
_CORE = re.compile(r"[0-9]{1,4}")
_COHORT_NAME = re.compile(r"[A-Za-z0-9_-]+")
_OWN_HEADERS = ("upgrade", "connection", "content-length", "transfer-encoding")


def shown(raw: object) -> str:
    """A raw value as a profile's author wrote it, for use in a message."""
    if isinstance(raw, bool):
        return str(raw).lower()
    return f'"{raw}"' if isinstance(raw, str) else str(raw)


def nearest(word: str, known: "list[str] | tuple[str, ...]") -> str:
    """A fix for a wrong word: the nearest known one, or all of them where none is near."""
    near = get_close_matches(word, known, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"use one of {', '.join(known)}"


def _number_text(raw: object, example: str) -> str:
    """The text of a quantity, whether quoted or a bare number; refuses other types and negatives."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise UnitError(f"{shown(raw)} is of the wrong type", f'write "{example}"')
    if isinstance(raw, float):
        if not math.isfinite(raw):
            raise UnitError(f"{raw} is no finite number", f'write "{example}"')
        raw = int(raw) if raw.is_integer() else raw
    text = str(raw).strip()
    if text.startswith("-"):
        raise UnitError(f"{shown(raw)} is negative", f'write a positive value, such as "{example}"')
    return text


def _quantity(raw: object, parse: Callable[[str], float], example: str) -> float:
    text = _number_text(raw, example)
    try:
        return parse(text)
    except UnitError as error:
        # A bare 5 is shown as it was written: without the quotes that the unit parser adds.
        problem = error.problem if isinstance(raw, str) else error.problem.replace(f'"{text}"', text)
        raise UnitError(problem, error.fix) from None


def duration(example: str, *, least_ns: int = 0) -> Callable[[object], int]:
    """Nanoseconds; refuses less than ``least_ns`` (1: zero makes no sense)."""

    def parse(raw: object) -> int:
        ns = int(_quantity(raw, parse_duration_ns, example))
        if ns < least_ns:
            bound = "zero" if ns == 0 else f"below {least_ns // NS_PER_MS}ms"
            raise UnitError(f"{shown(raw)} is {bound}", f'write more, such as "{example}"')
        if ns > MAX_DURATION_NS:
            raise UnitError(f"{shown(raw)} is more than ten years", f'write less, such as "{example}"')
        return ns

    return parse


def count(example: int, *, least: int = 1, most: int | None = None) -> Callable[[object], int]:
    """A whole number within bounds; ``5000``, ``"5k"``."""

    def parse(raw: object) -> int:
        number = int(_quantity(raw, parse_count, str(example)))
        if number < least:
            problem = f"{shown(raw)} is too few" if number else "0 makes no sense here"
            raise UnitError(problem, f"write {least} or more, such as {example}")
        if most is not None and number > most:
            raise UnitError(f"{shown(raw)} is too many", f"write at most {most}")
        return number

    return parse


def or_word(word: str, parser: Parser, meaning: object = None) -> Parser:
    """``parser``, or ``meaning`` where the value is the given word ("auto", "max", "none")."""

    def parse(raw: object) -> object:
        if raw == word:
            return meaning
        try:
            return parser(raw)
        except UnitError as error:
            fix = error.fix if f'"{word}"' in error.fix else f'{error.fix}, or "{word}"'
            raise UnitError(error.problem, fix) from None

    return parse


def rate(raw: object) -> float:
    """Per second, above zero."""
    per_s = _quantity(raw, parse_rate_per_s, "5/s")
    if per_s * MAX_DURATION_NS < NS_PER_S:
        raise UnitError(f"{shown(raw)} never comes", 'write a rate above zero, such as "5/s"')
    if per_s > MAX_RATE_PER_S:
        raise UnitError(f"{shown(raw)} is more than one a microsecond", 'write less, such as "5/s"')
    return per_s


def share_rate(raw: object) -> float:
    """Part of a population per second, from ``2%/min``; zero is never."""
    return _quantity(raw, parse_share_rate_per_s, "2%/min")


def size(raw: object) -> int:
    """Bytes of a payload, zero allowed."""
    size_bytes = int(_quantity(raw, parse_size_bytes, "64B"))
    if size_bytes > MAX_PAYLOAD_BYTES:
        raise UnitError(f"{shown(raw)} is too large for one message", 'write "64MiB" or less')
    return size_bytes


def memory(raw: object) -> int:
    """Bytes that a process may allocate."""
    size_bytes = int(_quantity(raw, parse_size_bytes, "64MiB"))
    if not LEAST_MEMORY_BYTES <= size_bytes < 2**62:
        raise UnitError(
            f"{shown(raw)} is no memory that HAProxy can run in", 'write "64MiB", or "4MiB" or more'
        )
    return size_bytes


def share(raw: object) -> float:
    """A cohort's relative weight: a number or a percentage, not negative."""
    return _quantity(raw, parse_share, "0.5")


def portion(example: str) -> Callable[[object], float]:
    """A part of a whole, 0..1: a percentage, or a number."""

    def parse(raw: object) -> float:
        part = _quantity(raw, parse_share, example)
        if part > 1:
            raise UnitError(
                f"{shown(raw)} is more than the whole", f'write at most "100%", such as "{example}"'
            )
        return part

    return parse


def close_code(raw: object) -> int:
    """A code that may stand in a close frame."""
    code = int(_quantity(raw, parse_count, "1000"))
    if code not in _CLOSE_CODES:
        raise UnitError(
            f"{shown(raw)} may not stand in a close frame",
            "write 1000, 1001, 1011, or 3000 to 4999 of your own",
        )
    return code


def refusal_status(raw: object) -> int:
    """An HTTP status that says no."""
    status = int(_quantity(raw, parse_count, "503"))
    if not 400 <= status <= 599:
        raise UnitError(f"{shown(raw)} refuses nothing", "write 400 to 599, such as 503")
    return status


def truth(raw: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(raw, bool):
        raise UnitError(f"{shown(raw)} is neither true nor false", "write true or false, without quotes")
    return raw


def haproxy_timeout(raw: object) -> int | None:
    """Nanoseconds in whole milliseconds up to HAProxy's limit; None for "none" (leave it unset)."""
    if raw == "none":
        return None
    ns = int(_quantity(raw, parse_duration_ns, "30s"))
    if ns == 0:
        raise UnitError(
            f"{shown(raw)} is zero, which HAProxy takes for unset", 'write "none" to leave it unset'
        )
    if ns % NS_PER_MS:
        raise UnitError(
            f"{shown(raw)} is finer than HAProxy's millisecond", 'write whole milliseconds: "1ms"'
        )
    if ns > MAX_HAPROXY_TIMEOUT_NS:
        raise UnitError(
            f"{shown(raw)} is above HAProxy's limit of 2147483647ms",
            'write "24d" or less, or "none" to leave it unset',
        )
    return ns


def text(raw: object) -> str:
    """Any text, quoted in TOML."""
    if not isinstance(raw, str):
        raise UnitError(f"{shown(raw)} is no text", f'write it in quotes: "{raw}"')
    return raw


def non_empty_text(raw: object) -> str:
    """Text with something in it."""
    if not text(raw).strip():
        raise UnitError("is empty", "write some text in quotes")
    return text(raw)


def choice(kind: type[E]) -> Callable[[object], E]:
    """A member of an enum, by its value; the error names them all, or the nearest."""
    members = {str(member.value): member for member in kind}

    def parse(raw: object) -> E:
        if isinstance(raw, str) and raw in members:
            return members[raw]
        raise UnitError(f"{shown(raw)} is not known here", nearest(str(raw), tuple(members)))

    return parse


def texts(parse_one: Callable[[str], object]) -> Parser:
    """A list of texts, each checked by ``parse_one``; a lone text stands for a list of one."""

    def parse(raw: object) -> tuple[str, ...]:
        items = [raw] if isinstance(raw, str) else raw
        if not isinstance(items, list):
            raise UnitError(f"{shown(raw)} is no list", 'write ["…", "…"]')
        for item in items:
            parse_one(text(item))
        return tuple(items)

    return parse


def cohort_name(raw: object) -> str:
    """A name that can stand in metrics, file names and table headings."""
    name = non_empty_text(raw)
    if not _COHORT_NAME.fullmatch(name):
        raise UnitError(f"{shown(raw)} is no cohort name", "use only letters, digits, _ and -")
    return name


def request_path(raw: object) -> str:
    """The path of the upgrade request, which goes into the request line as it is."""
    path = text(raw)
    if not path.startswith("/"):
        raise UnitError(f"{shown(raw)} does not start with /", f'write "/{path}"')
    if "#" in path or not path.isascii() or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in path):
        raise UnitError(f"{shown(raw)} cannot stand in a request line", "percent-encode it, such as %20")
    return path


def headers(raw: object) -> dict[str, str]:
    """Extra request headers. ``Host`` may be set (it replaces the endpoint's own); those that make the
    handshake may not, since a test that breaks its own handshake measures nothing."""
    if not isinstance(raw, dict):
        raise UnitError(f"{shown(raw)} is no table", 'write { Origin = "https://app.example" }')
    for name, value in raw.items():
        if not _TOKEN.fullmatch(name):
            raise UnitError(f"{shown(name)} is no header name", "use letters, digits and -")
        if name.lower() in _OWN_HEADERS or name.lower().startswith("sec-websocket-"):
            hint = ": name them in target.subprotocols" if name.lower() == "sec-websocket-protocol" else ""
            raise UnitError(f'"{name}" belongs to the handshake', f"leave it out{hint}")
        if not isinstance(value, str):
            raise UnitError(f"{name} = {shown(value)} is no text", f'write {name} = "{value}"')
        if not value.isprintable() or not value.isascii():
            raise UnitError(f"the value of {name} cannot stand in a header", "use printable ASCII")
    return dict(raw)


def subprotocol(raw: str) -> str:
    """One token of ``Sec-WebSocket-Protocol`` (RFC 6455, section 4.1)."""
    if not _TOKEN.fullmatch(raw):
        raise UnitError(f"{shown(raw)} is no subprotocol", "use a token without spaces or commas")
    return raw


def address_range(raw: str) -> AddressRange:
    """First and last IPv4 address of ``a``, ``a-b`` or a network (without its own two addresses)."""
    first, dash, last = raw.replace(" ", "").partition("-")
    try:
        if "/" in raw:
            network = ipaddress.IPv4Network(raw.strip(), strict=False)
            edge = 1 if network.prefixlen < 31 else 0
            return network[edge], network[-1 - edge]
        pair = ipaddress.IPv4Address(first), ipaddress.IPv4Address(last if dash else first)
    except ValueError:
        raise UnitError(
            f"{shown(raw)} is no IPv4 address, range or network",
            'write "127.0.0.2", "127.0.0.2-127.0.0.40" or "10.1.0.0/28"',
        ) from None
    if pair[0] > pair[1]:
        raise UnitError(f"{shown(raw)} runs backwards", f'write "{pair[1]}-{pair[0]}"')
    return pair


def host_port(raw: str) -> tuple[str, int]:
    """``host:port``."""
    host, colon, port = raw.rpartition(":")
    if not colon or not host or not re.fullmatch(r"[A-Za-z0-9.\-_\[\]:]+", host):
        raise UnitError(f"{shown(raw)} is no host:port", 'write "10.0.30.11:8080"')
    if not port.isdecimal() or not 1 <= int(port) <= MAX_PORT:
        raise UnitError(f"{shown(raw)} has no port between 1 and {MAX_PORT}", f'write "{host}:8080"')
    return host, int(port)


def port_range(raw: object) -> tuple[int, int]:
    """First and last of ``"20000-29999"``."""
    first, dash, last = text(raw).replace(" ", "").partition("-")
    fix = 'write "20000-29999"'
    if not (dash and first.isdecimal() and last.isdecimal()):
        raise UnitError(f"{shown(raw)} is no range of ports", fix)
    if not 1024 <= int(first) <= int(last) <= MAX_PORT:
        raise UnitError(f"{shown(raw)} does not ascend between 1024 and {MAX_PORT}", fix)
    return int(first), int(last)


def core_numbers(raw: object) -> tuple[int, ...]:
    """Ascending core numbers of ``"0,2-3"``, as taskset and cpu-map write them."""
    fix = 'write "1", "2-3" or "0,2-3"'
    written = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if not isinstance(written, str):
        raise UnitError(f"{shown(raw)} is no list of cores", fix)
    found: set[int] = set()
    for item in written.replace(" ", "").split(","):
        first, dash, last = item.partition("-")
        last = last if dash else first
        if not (_CORE.fullmatch(first) and _CORE.fullmatch(last)):
            raise UnitError(f"{shown(raw)} is no list of cores", fix)
        if int(first) > int(last):
            raise UnitError(f"{shown(raw)} does not ascend", fix)
        found.update(range(int(first), int(last) + 1))
    return tuple(sorted(found))


def ws_url(raw: str) -> str:
    """A ``ws://`` URL with a host. TLS is not driven yet and is refused rather than sent in clear."""
    fix = 'write "ws://host:port/path"'
    try:
        parts = urlsplit(raw)
        port = parts.port
    except ValueError:
        raise UnitError(f"{shown(raw)} is no URL with a port between 1 and {MAX_PORT}", fix) from None
    if parts.scheme in ("wss", "https"):
        raise UnitError(
            f"{shown(raw)} needs TLS, which wsload does not drive yet", 'give a clear "ws://" URL'
        )
    if parts.scheme != "ws" or not parts.hostname or port == 0:
        raise UnitError(f"{shown(raw)} is no WebSocket URL", fix)
    if parts.fragment or "@" in parts.netloc:
        raise UnitError(f"{shown(raw)} has a fragment or a user name", fix)
    request_path((parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
    return raw
