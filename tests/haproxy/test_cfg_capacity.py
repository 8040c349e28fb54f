import pytest

from tests.haproxy.cfg_samples import GOOD, QUIET, ROUTE, findings, only, shown
from wsload.haproxy.cfg_finding import Severity


@pytest.mark.parametrize(
    ("setting", "severity", "title", "written"),
    [
        ("maxconn 9970", None, "", ""),
        (
            "maxconn 10000",
            "risky",
            "`maxconn 10000` is more than this machine's descriptors",
            "maxconn 9900",
        ),
        ("maxconn 100\n ulimit-n 260", None, "", ""),
        (
            "maxconn 100\n ulimit-n 200",
            "harmful",
            "`ulimit-n 200` is too low for `maxconn 100`",
            "ulimit-n 260",
        ),
        (
            "maxconn 100\n fd-hard-limit 200",
            "harmful",
            "`fd-hard-limit 200` is too low for `maxconn 100`",
            "fd-hard-limit 260",
        ),
        ("fd-hard-limit 1000", "risky", "no `maxconn` in `global`", "maxconn 400"),
    ],
)
def test_maxconn_is_held_against_descriptors(
    setting: str, severity: str | None, title: str, written: str
) -> None:
    found = findings(f"global\n hard-stop-after 1h\n {setting}\n{GOOD}{ROUTE}")
    told = [
        (finding.severity.value, finding.title, finding.fix.lines)
        for finding in found
        if finding.fix is not None
    ]
    assert told == ([] if severity is None else [(severity, title, (written,))])


def test_a_frontend_cannot_take_more_than_the_process() -> None:
    text = f"{QUIET}{GOOD} maxconn 200\n{ROUTE}"
    finding = only(text)
    assert (finding.line, finding.title) == (10, "`maxconn 200` of defaults is over the process's 100")


def test_a_queue_needs_a_timeout_of_its_own_as_tunnels_never_leave() -> None:
    text = f"{QUIET}{GOOD} timeout connect 5s\n{ROUTE}".replace("h:1", "h:1 maxconn 10")
    finding = only(text)
    assert (finding.line, finding.title) == (15, "server `maxconn` and no `timeout queue`: backend ws")
    assert "`timeout connect 5s`" in finding.effect
    assert shown(f"{text} timeout queue 3s\n") == []


def test_checked_servers_keep_their_tunnels_when_they_go_down() -> None:
    text = f"{QUIET}{GOOD}{ROUTE}".replace("h:1", "h:1 check")
    finding = only(text)
    assert (finding.line, finding.severity) == (14, Severity.HINT)
    assert shown(text.replace("check", "check on-marked-down shutdown-sessions")) == []
