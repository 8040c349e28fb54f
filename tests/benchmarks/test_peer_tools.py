"""How each load generator is told what to do, and what is read of its own report. None of them is started."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.peer_tools import artillery, k6, locust, tcpkali, tsung, wsload_tool
from benchmarks.peer_tools.base import PAYLOAD, Latency, Target, Workload
from benchmarks.peer_tools.table import OURS, TOOLS, found, install_missing, parse_version, version_of
from tests.benchmarks.made_peers import ECHO, IDLE
from wsload.errors import WsloadError
from wsload.profile.load import parse_profile

TARGET = Target("127.0.0.1", 8080, "/ws")

LOCUST_CSV = """\
Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,\
Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%
WS,echo,14100,0,5,5.48484150710239,0.07896700117271394,18.200552000052994,64.0,1005.9510536049393,0.0,\
5,6,7,8,9,11,13,14,17,18,18
,Aggregated,14100,0,5,5.48484150710239,0.07896700117271394,18.200552000052994,64.0,1005.9510536049393,0.0,\
5,6,7,8,9,11,13,14,17,18,18
"""
TSUNG_LOG = """\
# stats: dump at 1795621006
stats: tr_echo 6107 1.0234128049778997 1.0023147331812292 8.29 0.108 0 0
stats: connected 0 76
# stats: dump at 1795621016
stats: tr_echo 5443 0.8145467573029569 0.8570489387967338 8.29 0.108 1.0234128049778997 6107
"""
TSUNG_MEAN_MS = (6107 * 1.0234128049778997 + 5443 * 0.8145467573029569) / (6107 + 5443)
TCPKALI_WORDS = """\
Total data sent:     9.2 MiB (9651639 bytes)
Packet rate estimate: 407.9↓, 368.3↑ (1↓, 1↑ TCP MSS/op)
Message latency at percentiles: 1.5/21.1 ms (50/99%)
Test duration: 20.0 s.
"""
K6_SUMMARY = {"metrics": {"echo": {"avg": 1.8, "med": 1, "p(99)": 9}, "vus": {"value": 20}}}


def test_locusts_report_has_percentiles_of_echoes(tmp_path: Path) -> None:
    (tmp_path / "locust_stats.csv").write_text(LOCUST_CSV)
    assert locust.latency(tmp_path, "") == Latency(p50_ms=5, p99_ms=14, mean_ms=5.48484150710239)


def test_tsungs_log_has_a_mean_over_all_its_lines_and_no_percentile(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "20261126-1536"
    folder.mkdir(parents=True)
    (folder / "tsung.log").write_text(TSUNG_LOG)
    said = tsung.latency(tmp_path, "")
    assert said.mean_ms == pytest.approx(TSUNG_MEAN_MS)
    assert (said.p50_ms, said.p99_ms) == (None, None)


def test_tsung_that_saw_no_echo_reports_nothing(tmp_path: Path) -> None:
    assert tsung.latency(tmp_path, "") == Latency()


def test_k6_reports_what_the_scripts_trend_measured(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(K6_SUMMARY))
    assert k6.latency(tmp_path, "") == Latency(p50_ms=1, p99_ms=9, mean_ms=1.8)


def test_tcpkali_reports_the_percentiles_it_was_asked_for(tmp_path: Path) -> None:
    assert tcpkali.latency(tmp_path, TCPKALI_WORDS) == Latency(p50_ms=1.5, p99_ms=21.1)


def test_wsload_reports_both_ways_of_counting(tmp_path: Path) -> None:
    service, corrected = {"p50": 0.1, "p99": 1.6, "mean": 0.2}, {"p50": 0.2, "p99": 3.1, "mean": 0.3}
    metrics = {"echo_service": {"all": service}, "echo_corrected": {"all": corrected}}
    assert wsload_tool.latency(tmp_path, json.dumps({"metrics": metrics})) == Latency(
        p50_ms=0.1, p99_ms=1.6, mean_ms=0.2, corrected_p50_ms=0.2, corrected_p99_ms=3.1
    )


@pytest.mark.parametrize(
    ("name", "words", "version"),
    [
        ("Locust", "locust 2.47.0 from /somewhere/site-packages/locust (Python 3.11.7)", "2.47.0"),
        ("Artillery", "VERSION INFO:\n\nArtillery: 2.0.21\nNode.js:   v20.20.2\n", "2.0.21"),
        ("Tsung", "Tsung version 1.7.0\n", "1.7.0"),
        ("k6", "k6 v1.2.3 (commit/abc, go1.24.4, linux/amd64)\n", "1.2.3"),
        ("tcpkali", "tcpkali version 1.1.1\n", "1.1.1"),
        ("Locust", "no number at all", ""),
    ],
)
def test_the_version_is_the_tools_own_not_its_runtimes(name: str, words: str, version: str) -> None:
    assert parse_version(name, words) == version


def test_a_tool_that_cannot_be_started_has_no_version() -> None:
    assert version_of(TOOLS["k6"], ["/no/such/k6"]) == ""


@pytest.mark.parametrize("workload", [IDLE, ECHO])
def test_locusts_file_is_python_and_sends_only_where_it_should(tmp_path: Path, workload: Workload) -> None:
    launch = locust.prepare(["locust"], workload, TARGET, tmp_path)
    text = (tmp_path / "locustfile.py").read_text()
    compile(text, "locustfile.py", "exec")
    assert (PAYLOAD in text) is (workload is ECHO)
    assert TARGET.url in text
    given = dict(zip(launch.arguments, launch.arguments[1:], strict=False))
    assert float(given["--users"]) / float(given["--spawn-rate"]) == workload.ramp_s


@pytest.mark.parametrize(
    ("workload", "step"),
    [
        (IDLE, {"think": "36000ms"}),
        (ECHO, {"loop": [{"send": PAYLOAD}, {"think": "100ms"}], "count": 310}),
    ],
)
def test_artillerys_tunnels_outlive_the_window(
    tmp_path: Path, workload: Workload, step: dict[str, object]
) -> None:
    artillery.prepare(["artillery"], workload, TARGET, tmp_path)
    script = json.loads((tmp_path / "script.yml").read_text())
    assert script["scenarios"][0]["flow"] == [step]
    assert script["config"]["phases"][0]["arrivalCount"] == workload.tunnels


def test_tsungs_scenario_is_xml_with_as_many_echoes_as_the_tunnel_lives(tmp_path: Path) -> None:
    launch = tsung.prepare(["tsung"], ECHO, TARGET, tmp_path)
    root = ET.parse(tmp_path / "tsung.xml").getroot()
    loop, users, message = (
        root.find(f".//{name}") for name in ("for", "users", "websocket[@type='message']")
    )
    assert loop is not None
    assert users is not None
    assert message is not None
    assert (loop.get("to"), users.get("maxnumber"), message.text) == ("310", "1000", PAYLOAD)
    assert launch.environment["ERL_EPMD_ADDRESS"] == "127.0.0.1"


def test_k6_shares_a_virtual_user_among_tunnels(tmp_path: Path) -> None:
    k6.prepare(["k6"], IDLE, TARGET, tmp_path)
    text = (tmp_path / "script.js").read_text()
    plan = json.loads(text.partition("const plan = ")[2].partition(";\n")[0])
    assert (plan["tunnels"], plan["vus"], plan["gap_ms"]) == (5000, 100, 0)


def test_wsload_has_the_workers_of_the_whole_load_also_with_ten_tunnels(tmp_path: Path) -> None:
    counts = []
    for tunnels, sized_for in ((40_000, 0), (10, 40_000)):
        few = Workload(IDLE.traffic, tunnels, IDLE.ramp_s, IDLE.hold_s, sized_for=sized_for)
        wsload_tool.prepare(["wsload"], few, TARGET, tmp_path)
        load = parse_profile((tmp_path / "peers.toml").read_text(), "peers").load
        counts.append((load.tunnels, load.workers))
    assert [tunnels for tunnels, _ in counts] == [40_000, 10]
    assert counts[0][1] == counts[1][1]
    assert counts[0][1] is not None


def test_a_missing_tool_is_named_with_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(WsloadError, match=r"not installed in .*: Locust, Artillery; add --install"):
        found(["wsload", "Locust", "Artillery"], tmp_path)


@pytest.fixture
def nothing_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("nothing_on_path")
def test_what_is_only_used_where_found_may_be_missing_unless_it_is_named(tmp_path: Path) -> None:
    program = tmp_path / "locust" / "bin" / "locust"
    program.parent.mkdir(parents=True)
    program.touch()
    assert list(found(["wsload", "Locust"], tmp_path)) == [OURS, "Locust"]
    with pytest.raises(WsloadError, match="not found on PATH: k6"):
        found(["wsload", "k6"], tmp_path)


@pytest.mark.usefixtures("nothing_on_path")
def test_an_installation_that_fails_names_the_tool_and_the_command(tmp_path: Path) -> None:
    with pytest.raises(
        WsloadError, match=r"Artillery is not installed: \"env .*artillery@2\".*run it by hand"
    ):
        install_missing(["Artillery"], tmp_path / "tools")


def test_each_tool_that_can_be_installed_has_a_folder_or_package_of_its_own(tmp_path: Path) -> None:
    installable = [tool for tool in TOOLS.values() if tool.install is not None]
    assert [tool.name for tool in installable] == ["Locust", "Artillery", "Tsung"]
    commands = [" ".join(tool.install(tmp_path)[-1]) for tool in installable if tool.install is not None]
    assert len(set(commands)) == len(commands)
