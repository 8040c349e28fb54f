"""The answer of ``wsload size`` in words, and the lines to paste."""

import json
from typing import Any

import pytest

from wsload.analysis.sizing.answer import Answer, size
from wsload.analysis.sizing.question import Fleet, Node, Question
from wsload.report.size_lines import haproxy_cfg, sysctl_lines, systemd_lines
from wsload.report.size_text import misfit, size_json, size_text
from wsload.units import NS_PER_S

S = NS_PER_S
MANY = Node(backends=100)


def answer(tunnels: int = 10_000, node: Node = MANY, **choices: Any) -> Answer:
    whole = {name: choices.pop(name) for name in ("nodes", "spare") if name in choices}
    return size(Question(fleet=Fleet(tunnels=tunnels, **choices), node=node, **whole))


def test_the_nodes_come_first_then_slots_with_their_ghosts_then_what_binds() -> None:
    lines = size_text(answer(20_000, nodes=3, spare=1, vanish_per_s=0.01 / 3600)).splitlines()
    assert lines[0].startswith("20,000 tunnels at the peak · timeout client 30s, server 30s, tunnel 1h")
    assert lines[1] == "3 nodes, of which 2 must carry it and 1 may be out"
    assert lines[2] == "10,000 tunnels on each + 100 ghosts = 10,100 slots; maxconn 12,700"
    assert lines[3].startswith("fits; ")
    assert "1 node would do" not in lines[3], "one carries it, and one must be spare"


def test_what_does_not_fit_is_one_line_with_what_to_type() -> None:
    small = answer(100_000, Node(), nodes=2)
    assert misfit(small) == (
        "does not fit on 2 nodes: source ports toward the backends; type --nodes 5, or give a node more"
    )
    text = size_text(small)
    assert "DOES NOT FIT on 2 nodes" in text
    assert "what would help" in text
    assert "--backends" in text
    assert misfit(answer()) == ""
    assert misfit(answer(10, Node(memory_bytes=1000))).startswith(
        "does not fit on any number of such nodes: memory;"
    )


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    wide = answer(10_000_000, Node(memory_bytes=10**9), nodes=3, vanish_per_s=0.001, active_share=0.5)
    assert max(map(len, size_text(wide, width=width).splitlines())) <= width


def test_the_lines_carry_the_answers_numbers() -> None:
    found = answer(
        9_000,
        Node(backends=100, threads=4),
        timeouts_ns={"connect": 5 * S, "tunnel": 90 * S, "hard-stop-after": 3600 * S},
    )
    cfg = [line.strip() for line in haproxy_cfg(found).splitlines()]
    assert cfg[: cfg.index("")] == ["global", "maxconn 11300", "nbthread 4", "hard-stop-after 1h"]
    assert "timeout connect 5s" in cfg
    assert "timeout tunnel  90s" in cfg
    assert not any(line.startswith("timeout hard-stop") for line in cfg)
    assert systemd_lines(found) == "[Service]\nLimitNOFILE=23000\n"


def test_no_sysctl_line_takes_away_what_linux_gives_by_itself() -> None:
    lines = sysctl_lines(answer(10, Node(conntrack=262_144)))
    values = {name: value for name, _, value in (line.partition(" = ") for line in lines)}
    assert values == {
        "net.core.somaxconn": "4096",
        "net.ipv4.tcp_max_syn_backlog": "4096",
        "net.netfilter.nf_conntrack_max": "262144",
    }


def test_sysctl_lines_grow_with_the_need() -> None:
    lines = sysctl_lines(answer(1_000_000, Node(file_max=100_000), nodes=1, reconnect_window_ns=S))
    names = [line.partition(" = ")[0] for line in lines]
    for name in ("fs.file-max", "fs.nr_open", "net.ipv4.ip_local_port_range"):
        assert name in names
    assert "# where conntrack is loaded: net.netfilter.nf_conntrack_max = 2500000" in lines


def test_the_json_has_every_row_with_its_verdict_and_the_lines() -> None:
    said = json.loads(size_json(answer(100_000, Node(), nodes=1)))
    assert said["schema"] == "wsload.size/1"
    assert (said["fits"], said["nodes_needed"]) == (False, 5)
    rows = {row["name"]: row for row in said["constraints"]}
    ports = rows["source ports toward the backends"]
    assert (ports["needed"], ports["available"], ports["ok"]) == (100_000, 28_232, False)
    assert ports["utilisation"] == pytest.approx(100_000 / 28_232)
    assert said["haproxy_cfg"].startswith("global\n")
    assert said["systemd"].startswith("[Service]\n")
