import pytest

from wsload.errors import ExitCode, ProfileError
from wsload.probe.target import parse_target


@pytest.mark.parametrize(
    ("url", "secure", "host", "port", "authority", "path"),
    [
        ("ws://app.example", False, "app.example", 80, "app.example", "/"),
        ("wss://app.example/ws?a=1", True, "app.example", 443, "app.example", "/ws?a=1"),
        ("ws://[::1]:8080/ws", False, "::1", 8080, "[::1]:8080", "/ws"),
        ("WS://10.0.0.1:81", False, "10.0.0.1", 81, "10.0.0.1:81", "/"),
    ],
)
def test_a_url_is_taken_apart(
    url: str, secure: bool, host: str, port: int, authority: str, path: str
) -> None:
    target = parse_target(url)
    assert (target.secure, target.host, target.port) == (secure, host, port)
    assert (target.authority, target.path) == (authority, path)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("http://app.example/ws", 'write "ws://app.example/ws"'),
        ("https://app.example/ws", 'write "wss://app.example/ws"'),
        ("app.example:8080/ws", 'write "ws://app.example:8080/ws"'),
        ("app.example/ws", 'write "ws://app.example/ws"'),
        ("ws://", 'write "ws://host:port/path"'),
        ("ws://app.example:0/", 'write "ws://host:port/path"'),
        ("ws://app.example:70000/", 'write "ws://host:port/path"'),
        ("ws://me:secret@app.example/", "--header"),
        ("ws://app.example/#top", "leave out what follows #"),
        ("ws://app.example/a b", "percent-encode"),
        ("ws://bücher.example/", "percent-encode"),
    ],
)
def test_what_is_no_websocket_url_is_refused_with_what_to_type(url: str, fix: str) -> None:
    with pytest.raises(ProfileError) as caught:
        parse_target(url)
    assert fix in str(caught.value)
    assert str(caught.value).startswith("URL: ")
    assert caught.value.exit_code is ExitCode.INVALID_CONFIG
