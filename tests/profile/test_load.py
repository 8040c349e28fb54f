"""Profiles: what is accepted, what defaults fill in, and what each refusal says."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsload.errors import ProfileError
from wsload.profile.keys import TABLES
from wsload.profile.load import default_maxconn, load_profile, parse_profile
from wsload.profile.model import Aggregation, Arrivals, BackendMode, Match, Reply, Traffic, Via

MS = 1_000_000
S = 1_000 * MS

FIVE_LINES = """
[load]
tunnels = 200
[[cohort]]
name = "idle"
"""

TWO_COHORTS = """
[load]
tunnels = "5k"
[[cohort]]
name = "idle"
[[cohort]]
name = "chatty"
traffic = "chatty"
rate = "1/s"
"""


def refusal(text: str, *overrides: str) -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        parse_profile(text, "p.toml", overrides)
    return caught.value


def test_a_five_line_profile_works() -> None:
    profile = parse_profile(FIVE_LINES, "runs/five.toml")
    assert profile.title == "five"
    assert profile.target.via is Via.HAPROXY
    assert profile.load.tunnels == 200
    assert profile.load.workers is None
    assert profile.haproxy.maxconn == 300
    assert profile.haproxy.timeouts_ns == {
        "connect": 5 * S,
        "client": 30 * S,
        "server": 30 * S,
        "tunnel": 3600 * S,
    }


def test_an_empty_profile_is_one_idle_cohort() -> None:
    assert [cohort.name for cohort in parse_profile("", "x.toml").cohorts] == ["idle"]


def test_every_key_of_the_formats_page_is_read() -> None:
    text = (Path(__file__).parent / "formats.toml").read_text(encoding="utf-8")
    profile = parse_profile(text, "formats.toml")
    target, haproxy, backend, load = profile.target, profile.haproxy, profile.backend, profile.load
    assert (profile.title, target.path, target.headers) == ("mixed", "/ws", {"Origin": "https://app.example"})
    assert (target.sources, haproxy.port, haproxy.maxconn, haproxy.threads) == ((), None, 5000, 1)
    assert list(haproxy.timeouts_ns) == ["connect", "client", "server", "tunnel"]
    assert (backend.mode, backend.reply, backend.push_rate_per_s) == (BackendMode.EMBEDDED, Reply.ECHO, 1.0)
    assert (load.tunnels, load.ramp_ns, load.hold_ns, load.drain_ns) == (5000, 10 * S, 60 * S, 5 * S)
    assert (load.interval_ns, load.handshake_timeout_ns, load.seed) == (S, 10 * S, 1)
    assert (load.lag_limit_ns, load.timer_slack_ns) == (50_000_000, 200_000)
    idle, chatty, pinged = profile.cohorts
    assert (idle.share, idle.traffic) == (0.6, Traffic.IDLE)
    assert (chatty.rate_per_s, chatty.arrivals, chatty.payload_bytes) == (1.0, Arrivals.POISSON, 64)
    assert chatty.match is Match.STAMP
    assert (pinged.traffic, pinged.every_ns) == (Traffic.PINGED, 20 * S)
    assert [(slo.metric, slo.cohort, slo.percentile, slo.bound) for slo in profile.slos] == [
        ("handshake", None, 99.0, S),
        ("handshake_failed", None, None, 0.001),
        ("echo_corrected", "chatty", 99.0, 50 * MS),
        ("echo_corrected", "chatty", 99.9, 200 * MS),
        ("disconnect_unexpected", None, None, 0.001),
    ]


def test_a_ramp_rate_sets_the_ramp() -> None:
    assert parse_profile("[load]\ntunnels = 5000\nramp_rate = '500/s'", "x").load.ramp_ns == 10 * S


def test_a_ramp_given_on_the_command_line_replaces_the_files_ramp_rate() -> None:
    text = "[load]\ntunnels = 5000\nramp_rate = '500/s'"
    assert parse_profile(text, "x", ["load.ramp=3s"]).load.ramp_ns == 3 * S
    assert parse_profile("[load]\nramp='3s'", "x", ["load.ramp_rate=100/s"]).load.ramp_ns == 10 * S


def test_a_timeout_of_none_is_left_out() -> None:
    profile = parse_profile("[haproxy.timeouts]\ntunnel = 'none'\nclient-fin = '1s'", "x")
    assert list(profile.haproxy.timeouts_ns) == ["connect", "client", "server", "client-fin"]


def test_a_rate_of_max_is_a_closed_loop() -> None:
    assert parse_profile(TWO_COHORTS, "x", ["cohort.chatty.rate=max"]).cohorts[1].rate_per_s is None


@given(st.integers(1, 10**6), st.integers(1, 50))
def test_the_default_maxconn_is_above_the_need_by_a_hundred_at_most(tunnels: int, processes: int) -> None:
    each = -(-tunnels // processes)
    assert each < default_maxconn(tunnels, processes) <= each + 100


def test_overrides_reach_every_kind_of_place() -> None:
    overrides = (
        "haproxy.timeouts.tunnel=5s",
        "load.tunnels=2k",
        "cohort[1].rate=5/s",
        "cohort.idle.share=3",
        'target.sources=["127.0.0.2-127.0.0.9"]',
        "target.subprotocols=chat",
        "slo.echo_corrected{chatty}=p(99)<=50ms",
        'slo."handshake"=["avg<1s", "max<2s"]',
        "load.tunnels=3000",
    )
    profile = parse_profile(TWO_COHORTS, "x.toml", overrides)
    assert profile.haproxy.timeouts_ns["tunnel"] == 5 * S
    assert profile.load.tunnels == 3000
    assert (profile.cohorts[1].rate_per_s, profile.cohorts[0].share) == (5.0, 3.0)
    assert (profile.target.sources, profile.target.subprotocols) == (("127.0.0.2-127.0.0.9",), ("chat",))
    assert [slo.aggregation for slo in profile.slos] == [
        Aggregation.PERCENTILE,
        Aggregation.AVG,
        Aggregation.MAX,
    ]
    assert profile.slos[0].operator == "<="


def test_a_loaded_profile_keeps_the_files_text_and_the_overrides(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(FIVE_LINES, encoding="utf-8")
    loaded = load_profile(path, ["load.hold=1s"])
    assert (loaded.text, loaded.overrides, loaded.profile.load.hold_ns) == (FIVE_LINES, ("load.hold=1s",), S)


@pytest.mark.parametrize(
    ("table", "line", "message"),
    [
        ("haproxy.timeouts", "tunnel = 5", 'haproxy.timeouts.tunnel: 5 has no unit; write "5s", or ms, m, h'),
        ("load", 'hold = "5"', 'load.hold: "5" has no unit; write "5s", or ms, m, h'),
        ("haproxy.timeouts", 'tunel = "5s"', "unknown key; did you mean haproxy.timeouts.tunnel?"),
        ("haproxy.timeouts", 'client_fin = "5s"', "unknown key; did you mean haproxy.timeouts.client-fin?"),
        ("haproxy", 'tunnel = "5s"', "haproxy.tunnel: unknown key; did you mean haproxy.timeouts.tunnel?"),
        ("load", "tunels = 5", "load.tunels: unknown key; did you mean load.tunnels?"),
        ("lod", "tunnels = 5", "lod: unknown key; did you mean load?"),
        ("load", "xyzzy = 5", "load.xyzzy: unknown key; known here: tunnels, ramp,"),
        ("haproxy.timeouts", 'tunnel = "25d"', "limit of 2147483647ms"),
        ("haproxy.timeouts", 'tunnel = "10us"', "finer than HAProxy's millisecond"),
        ("haproxy.timeouts", 'tunnel = "0s"', 'write "none" to leave it unset'),
        ("load", "tunnels = 0", "load.tunnels: 0 makes no sense here; write 1 or more"),
        ("load", "tunnels = -5", "load.tunnels: -5 is negative"),
        ("load", "tunnels = 1.5", "load.tunnels: 1.5 is not a whole number"),
        ("load", "tunnels = true", "load.tunnels: true is of the wrong type"),
        ("load", "tunnels = nan", "load.tunnels: nan is no finite number"),
        ("load", 'hold = "-5s"', 'load.hold: "-5s" is negative'),
        ("load", 'hold = "0s"', 'load.hold: "0s" is zero'),
        ("load", 'hold = "99999d"', "is more than ten years"),
        ("load", 'interval = "50ms"', 'load.interval: "50ms" is below 100ms; write more, such as "1s"'),
        ("load", 'ramp = "1s"\nramp_rate = "5/s"', "load.ramp_rate: ramp and ramp_rate are two ways"),
        ("load", 'ramp_rate = "0/s"', 'load.ramp_rate: "0/s" never comes'),
        ("load", "workers = 0", 'load.workers: 0 makes no sense here; write 1 or more, such as 2, or "auto"'),
        ("load", "seed = -1", "load.seed: -1 is negative"),
        ("haproxy", "processes = 0", "haproxy.processes: 0 makes no sense here"),
        ("haproxy", "port = 70000", "haproxy.port: 70000 is too many; write at most 65535"),
        ("backend", "port = 0", "backend.port: 0 makes no sense here"),
        ("backend", 'mode = "external"', 'backend.servers: mode = "external" needs some'),
        ("backend", 'mode = "external"\nservers = ["10.0.0.1"]', '"10.0.0.1" is no host:port'),
        ("backend", 'servers = ["10.0.0.1:80"]', "backend.servers: has no effect without mode"),
        ("target", 'via = "url"', 'target.url: via = "url" needs one'),
        ("target", 'url = "ws://a/"', "target.url: has no effect without via"),
        ("target", 'via = "url"\nurl = "wss://a/"', "needs TLS, which wsload does not drive yet"),
        ("target", 'via = "url"\nurl = "http://a/"', 'is no WebSocket URL; write "ws://host:port/path"'),
        ("target", 'via = "url"\nurl = "ws://a:99999/"', "is no URL with a port between 1 and 65535"),
        ("target", 'via = "haprox"', 'target.via: "haprox" is not known here; did you mean "haproxy"?'),
        ("target", 'path = "ws"', 'does not start with /; write "/ws"'),
        ("target", 'path = "/a b"', "cannot stand in a request line"),
        ("target", 'headers = { upgrade = "x" }', '"upgrade" belongs to the handshake'),
        ("target", 'headers = { Sec-WebSocket-Key = "x" }', "belongs to the handshake"),
        ("target", 'headers = { Sec-WebSocket-Protocol = "x" }', "name them in target.subprotocols"),
        ("target", r'headers = { A = "x\r\nB: y" }', "the value of A cannot stand in a header"),
        ("target", "sources = ['10.0.0.300']", '"10.0.0.300" is no IPv4 address, range or network'),
        ("target", "sources = ['10.0.0.9-10.0.0.2']", 'runs backwards; write "10.0.0.2-10.0.0.9"'),
        (
            "slo",
            'handshak = ["p(99)<1s"]',
            'slo.handshak: unknown metric "handshak"; did you mean "handshake"?',
        ),
        ("slo", '"handshake{iddle}" = ["p(99)<1s"]', 'unknown cohort "iddle"; did you mean "idle"?'),
        ("slo", "handshake = 5", "slo.handshake: 5 is no list"),
    ],
)
def test_bad_input_is_refused_with_what_to_write(table: str, line: str, message: str) -> None:
    error = refusal(f"[{table}]\n{line}\n")
    assert error.where == "p.toml"
    assert message in str(error)
    assert error.fix
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('rate = "5"', 'cohort[1].rate: "5" has no unit; write "5/s"'),
        ("share = -1", "cohort[1].share: -1 is negative"),
        ('name = "idle"', 'cohort[1].name: "idle" is the name of cohort[0] already'),
        ('name = "a b"', 'cohort[1].name: "a b" is no cohort name; use only letters'),
        ('name = ""', "cohort[1].name: is empty"),
        ('traffic = "chatty"\npayload = "8B"', "cohort[1].payload: 8B is too small for the stamp of 16B"),
        ('traffic = "chatty"\nrate = "max"\nmatch = "none"', 'cohort[1].rate: "max" waits for each reply'),
        ('rate = "5/s"', 'cohort[1].rate: has no effect without traffic; write traffic = "chatty"'),
        ('every = "5s"', 'cohort[1].every: has no effect without traffic; write traffic = "pinged"'),
        ('payload = "1GiB"', 'cohort[1].payload: "1GiB" is too large'),
    ],
)
def test_a_bad_cohort_is_refused_with_its_place(lines: str, message: str) -> None:
    name = "" if "name" in lines else 'name = "b"\n'
    assert message in str(refusal(f"[[cohort]]\nname = 'idle'\n[[cohort]]\n{name}{lines}\n"))


def test_shares_that_are_all_zero_are_refused() -> None:
    text = "[[cohort]]\nname='a'\nshare=0\n[[cohort]]\nname='b'\nshare=0"
    assert "the shares of all cohorts are zero" in str(refusal(text))


def test_a_cohort_without_a_name_is_refused() -> None:
    assert str(refusal("[[cohort]]\nshare = 1")) == 'p.toml: cohort[0].name: is missing; write name = "idle"'


def test_a_cohort_in_single_brackets_is_refused() -> None:
    assert "write [[cohort]]" in str(refusal("[cohort]\nname = 'a'"))


@pytest.mark.parametrize("match", ["stamp", "fifo"])
def test_matching_replies_needs_a_managed_backend_that_echoes(match: str) -> None:
    overrides = ("backend.reply=sink", f"cohort.chatty.match={match}")
    assert 'write match = "none", or backend.reply = "echo"' in str(refusal(TWO_COHORTS, *overrides))
    parse_profile(TWO_COHORTS, "x", ["backend.reply=sink", "cohort.chatty.match=none"])
    parse_profile(TWO_COHORTS, "x", ["backend.reply=sink", "target.via=url", "target.url=ws://127.0.0.1:1/"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("load.hold", '--set: "load.hold" is no KEY=VALUE; write --set load.hold=30s'),
        ("load.hold=5", '--set: load.hold: 5 has no unit; write "5s", or ms, m, h'),
        ("load.hld=5s", "--set: load.hld: unknown key; did you mean load.hold?"),
        ("cohort[7].rate=5/s", "--set: cohort[7].rate: there is no cohort[7]; the last is cohort[1]"),
        ("cohort.chaty.rate=5/s", '--set: cohort.chaty: unknown cohort "chaty"; did you mean "chatty"?'),
        ("cohort.chatty.rate=5", '--set: cohort[1].rate: 5 has no unit; write "5/s"'),
        ("cohort[0]=5", "--set: cohort[0]: names a whole table"),
        ("load.tunnels.x=5", "--set: load.tunnels.x: load.tunnels is a value, not a table"),
        ("load..x=5", "--set: load..x: is no key path"),
        ("load=5", "--set: load: 5 is no table; write [load] and its keys below"),
    ],
)
def test_a_bad_override_names_the_flag(override: str, message: str) -> None:
    assert str(refusal(TWO_COHORTS, override)).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[load]\nhold = 10s\n",
            "p.toml: line 2, column 10: Expected newline or end of document after a statement; "
            'a value with a unit needs quotes: hold = "10s"',
        ),
        ('title = "x', "p.toml: line 1, column 11: Unterminated string"),
        ("a = 1\n[load\n", "p.toml: line 2, column 6: Expected ']' at the end of a table declaration"),
    ],
)
def test_a_toml_syntax_error_is_told_with_line_and_column(text: str, message: str) -> None:
    assert str(refusal(text)) == message


def test_a_missing_file_suggests_the_shipped_profile_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match='no such file; did you mean the shipped profile "mixed"'):
        load_profile(tmp_path / "mixd.toml")


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_bytes(b'title = "\xff"')
    with pytest.raises(ProfileError, match="is not UTF-8 at byte 9"):
        load_profile(path)


def test_a_campaign_is_sent_to_its_own_command() -> None:
    assert 'run the file with "wsload campaign p.toml"' in str(refusal("profile = 'x'\n[grid]\n"))


def refusal_or_none(text: str, *overrides: str) -> str | None:
    try:
        parse_profile(text, "p.toml", overrides)
    except ProfileError as error:
        return str(error)
    return None


@given(st.text(max_size=60))
def test_any_text_gives_a_profile_or_one_clear_refusal(text: str) -> None:
    refused = refusal_or_none(text)
    assert refused is None or refused.startswith("p.toml: ")


ALL_KEYS = [
    f"{table}.{key}".replace("cohort[]", "cohort[1]").lstrip(".")
    for table, rows in TABLES.items()
    for key in rows
]
VALUES = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.from_regex(r"-?[0-9]{1,20}[a-z/%]{0,3}"),
)


@given(st.sampled_from(ALL_KEYS), st.one_of(VALUES, st.lists(VALUES, max_size=2)))
def test_any_value_of_any_key_gives_a_profile_or_one_clear_refusal(key: str, value: object) -> None:
    written = value if isinstance(value, str) else json.dumps(value)
    refused = refusal_or_none(TWO_COHORTS, f"{key}={written}")
    assert refused is None or refused.startswith(("--set: ", "p.toml: "))
