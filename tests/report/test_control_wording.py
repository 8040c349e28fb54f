"""What is said of a control arm, from chosen numbers."""

from collections.abc import Mapping

from wsload.analysis.control import ControlArm, Figure, Side
from wsload.report.control_wording import control_sentences

ECHO: Mapping[Figure, float] = {("echo", "p50"): 0.3, ("echo", "p99"): 2.0}


def side(run: str, tunnels: int = 300, **changes: object) -> Side:
    facts: dict[str, object] = {
        "axes": {},
        "validity": "valid",
        "failed": 0,
        "latency_ms": {},
        "cuts": {},
    }
    return Side(run=run, tunnels=tunnels, **(facts | changes))  # type: ignore[arg-type]


def said(control: Side, *cells: Side, at_once: bool = True, level: int | None = None) -> list[str]:
    return control_sentences([ControlArm(control, cells, at_once, level)])


def test_latency_that_haproxy_adds_is_told_with_both_figures_and_the_cells_spread() -> None:
    slow = {("echo", "p50"): 0.5, ("echo", "p99"): 1.0}
    middle = {("echo", "p50"): 0.4, ("echo", "p99"): 2.5}
    fast = {("echo", "p50"): 0.35, ("echo", "p99"): 3.0}
    cells = [side(f"tunnel={n}s", latency_ms=each) for n, each in enumerate((slow, middle, fast))]
    assert said(side("control", latency_ms=ECHO), *cells)[:2] == [
        "Control: control had the same load without HAProxy; it and the 3 cells ran at the same time.",
        "Latency of echoes: p50 100us more with HAProxy (300us without, 400us with it; cells 350us to "
        "500us); p99 the same within the cells' own spread (2ms without HAProxy, 1ms to 3ms with it).",
    ]


def test_a_single_cell_has_no_spread_and_may_be_faster() -> None:
    cell = side("tunnel=1s", latency_ms={("handshake", "p99"): 4.0, ("ping", "p50"): 1.0})
    control = side("control", latency_ms={("handshake", "p99"): 5.0, ("echo", "p50"): 1.0})
    assert said(control, cell, at_once=False)[:2] == [
        "Control: control had the same load without HAProxy; it and the cell ran one after another.",
        "Latency of handshakes: p99 1ms less with HAProxy (5ms without, 4ms with it).",
    ]


def test_cuts_are_haproxys_where_none_came_without_it() -> None:
    cells = [side("tunnel=1s", cuts={"haproxy_tunnel_timeout": 300}), side("tunnel=20s")]
    assert said(side("control"), *cells)[1:] == [
        "Cuts that HAProxy adds: HAProxy tunnel timeout, none without it, 0 of 300 (tunnel=20s) to 300 of "
        "300 (tunnel=1s) with it.",
    ]


def test_cuts_that_come_without_it_too_are_not_its_doing() -> None:
    cells = [side("a", cuts={"backend_close": 28}), side("b", cuts={"backend_close": 31})]
    assert said(side("control", cuts={"backend_close": 30}), *cells)[1:] == [
        "Cuts that are not HAProxy's doing: backend close frame, 30 of 300 without it, 28 of 300 (a) to 31 "
        "of 300 (b) with it.",
    ]


def test_no_cuts_are_told_too() -> None:
    assert said(side("control"), side("a"))[1:] == ["Cuts: none, with HAProxy or without."]


def test_at_a_level_of_a_search_cuts_are_a_rate_among_live_tunnels() -> None:
    short = side("tunnel=1s", 40, cuts={"haproxy_tunnel_timeout": 100}, judged_s=5.0)
    long = side("tunnel=9s", 90, cuts={"haproxy_tunnel_timeout": 100}, judged_s=10.0)
    assert said(side("control", 100, judged_s=5.0), short, long, level=100) == [
        "Control: control had the same load without HAProxy; it and the 2 cells ran at the same time, "
        "compared at 100 tunnels.",
        "Cuts that HAProxy adds: HAProxy tunnel timeout, none without it, 600 a minute of 90 live "
        "(tunnel=9s) to 1,200 a minute of 40 live (tunnel=1s) with it.",
    ]


def test_a_doubtful_control_and_failed_openings_are_told() -> None:
    lines = said(side("control", validity="suspect"), side("a", failed=12))
    assert lines[1] == "The control is suspect: see the reasons in control."
    assert lines[-1] == "Openings that failed: 0 without HAProxy, up to 12 with it (a)."
