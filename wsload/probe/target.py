"""What is probed: one URL, taken apart and checked once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from wsload.errors import ProfileError
from wsload.units import NS_PER_S

_KEY = "URL"
_PORTS = {"ws": 80, "wss": 443}
_MEANT = {"http": "ws", "https": "wss"}
MAX_PORT = 65535


@dataclass(frozen=True)
class Target:
    """Where to connect and what to ask for. Made by :func:`parse_target`."""

    url: str
    secure: bool
    host: str
    port: int
    authority: str
    """What the Host header says: the URL's own ``host:port``."""
    path: str
    """With its query string."""
    headers: Mapping[str, str] = field(default_factory=dict)
    subprotocols: tuple[str, ...] = ()
    timeout_ns: int = 5 * NS_PER_S
    """Of each single step."""
    verify: bool = True
    """Whether a certificate has to be valid (wss only)."""


def parse_target(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: tuple[str, ...] = (),
    timeout_ns: int = 5 * NS_PER_S,
    verify: bool = True,
) -> Target:
    """Take a ``ws://`` or ``wss://`` URL apart. Raises ProfileError, which says what to type instead."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _error(url, f"has no port between 1 and {MAX_PORT}", 'write "ws://host:port/path"') from None
    if parts.scheme not in _PORTS:
        # "host:8080/ws" parses as the scheme "host": what was typed is all that can be trusted.
        rest = url.partition("://")[2] if "://" in url else url
        raise _error(url, "is no WebSocket URL", f'write "{_MEANT.get(parts.scheme, "ws")}://{rest}"')
    if not parts.hostname or port == 0:
        raise _error(url, "names no host and port", f'write "{parts.scheme}://host:port/path"')
    if "@" in parts.netloc:
        raise _error(url, "has a user name in it", 'leave it out, and type --header "Authorization: Basic …"')
    if parts.fragment:
        raise _error(url, "has a fragment, which no WebSocket URL may have", "leave out what follows #")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not url.isascii() or any(ord(char) <= 0x20 or ord(char) == 0x7F for char in url):
        raise _error(
            url,
            "has characters that no request can carry",
            "percent-encode the path, write the host in ASCII",
        )
    return Target(
        url=url,
        secure=parts.scheme == "wss",
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        authority=parts.netloc,
        path=path,
        headers=dict(headers or {}),
        subprotocols=subprotocols,
        timeout_ns=timeout_ns,
        verify=verify,
    )


def _error(url: str, problem: str, fix: str) -> ProfileError:
    return ProfileError("", _KEY, f'"{url}" {problem}', fix)
