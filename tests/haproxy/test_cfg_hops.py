import pytest

from tests.haproxy.cfg_samples import GOOD, HTTP, QUIET, ROUTE, findings, only
from wsload.haproxy.cfg_finding import Severity


def test_of_several_rules_for_the_tunnel_timer_the_last_one_wins() -> None:
    rules = (
        " http-request set-timeout tunnel 1m if { path /x }\n"
        " http-request set-timeout tunnel 2m\n"
        " http-request set-timeout tunnel 3m if { path /y }\n"
    )
    finding = only(f"{QUIET}{GOOD}{ROUTE}{rules}")
    assert (finding.line, finding.title) == (15, "`http-request set-timeout tunnel 1m` never counts")
    assert finding.effect.startswith("Line 16 ")


@pytest.mark.parametrize(("version", "severity"), [("3.0.11", Severity.HINT), ("3.2.26", Severity.RISKY)])
def test_a_listens_rule_is_lost_on_the_way_to_another_backend(version: str, severity: Severity) -> None:
    listen = "listen l\n bind :1\n http-request set-timeout tunnel 1h\n default_backend ws\n server s h:2\n"
    found = findings(f"{QUIET}{HTTP}{listen}backend ws\n server s h:1\n", version)
    lost = [finding for finding in found if finding.line == 11]
    assert [(finding.severity, finding.fix.place if finding.fix else "") for finding in lost] == [
        (severity, "backend ws")
    ]
    assert any("no `timeout tunnel`: backend ws" in finding.title for finding in found) == (
        severity is Severity.RISKY
    )


@pytest.mark.parametrize(
    ("server", "bind"),
    [("127.0.0.1:9", ":9"), ("unix@/run/x", "/run/x"), ("abns@x", "abns@x"), ("localhost:9", "127.0.0.1:9")],
)
def test_of_chained_hops_the_shorter_timer_is_named(server: str, bind: str) -> None:
    outer = f"backend ws\n timeout tunnel 1h\n server s {server}\n"
    inner = f"listen inner_ws\n bind {bind}\n timeout tunnel 1m\n server s h:1\n"
    finding = only(f"{QUIET}{HTTP}frontend f\n bind :1\n default_backend ws\n{outer}{inner}")
    assert (finding.line, finding.title) == (17, "`timeout tunnel 1m` is the shorter of two hops")
    assert finding.fix is not None
    assert finding.fix.lines == ("timeout tunnel 1h",)
