"""Campaigns: their cells, and what fails before any traffic."""

from pathlib import Path

import pytest

from wsload.campaign.grid import Campaign, cells, load_campaign
from wsload.errors import ProfileError
from wsload.profile.load import load_profile
from wsload.profile.shipped import resolve

PROFILE = """
[load]
tunnels = 100
[[cohort]]
name = "idle"
[[cohort]]
name = "chatty"
traffic = "chatty"
"""

TUNNEL_AXIS = '"haproxy.timeouts.tunnel" = ["2s", "5s"]'


def campaign(folder: Path, text: str, *overrides: str) -> Campaign:
    (folder / "p.toml").write_text(PROFILE, encoding="utf-8")
    path = folder / "c.toml"
    path.write_text(text if "profile" in text else f'profile = "p.toml"\n{text}', encoding="utf-8")
    return load_campaign(path, overrides)


def refusal(folder: Path, text: str, *overrides: str) -> str:
    with pytest.raises(ProfileError) as caught:
        cells(campaign(folder, text, *overrides))
    return str(caught.value).removeprefix(f"{folder}/")


def test_one_axis_gives_one_cell_for_each_value(tmp_path: Path) -> None:
    loaded = campaign(tmp_path, f'title = "t"\n[set]\n"load.hold" = "3s"\n[grid]\n{TUNNEL_AXIS}')
    assert (loaded.title, loaded.repeat, loaded.profile_text) == ("t", 1, PROFILE)
    assert loaded.axes == (("haproxy.timeouts.tunnel", ("2s", "5s")),)
    made = cells(loaded)
    assert [cell.folder for cell in made] == ["tunnel=2s", "tunnel=5s"]
    assert [cell.values for cell in made] == [
        {"haproxy.timeouts.tunnel": "2s"},
        {"haproxy.timeouts.tunnel": "5s"},
    ]
    assert made[1].overrides == ("load.hold=3s", "haproxy.timeouts.tunnel=5s")
    assert made[1].loaded.profile.haproxy.timeouts_ns["tunnel"] == 5_000_000_000
    assert made[1].loaded.profile.load.hold_ns == 3_000_000_000


def test_two_axes_give_all_pairs_and_a_repeat_goes_round_the_whole_grid(tmp_path: Path) -> None:
    made = cells(campaign(tmp_path, f'repeat = 2\n[grid]\n{TUNNEL_AXIS}\n"load.tunnels" = [100, "2k"]'))
    assert [cell.folder for cell in made[:4]] == [
        "tunnel=2s,tunnels=100,run=1",
        "tunnel=2s,tunnels=2k,run=1",
        "tunnel=5s,tunnels=100,run=1",
        "tunnel=5s,tunnels=2k,run=1",
    ]
    assert [cell.repeat for cell in made] == [1] * 4 + [2] * 4
    assert [cell.index for cell in made] == list(range(8))


def test_keys_without_quotes_mean_the_same(tmp_path: Path) -> None:
    made = cells(campaign(tmp_path, '[set]\nload.hold = "3s"\n[grid]\nhaproxy.timeouts.tunnel = ["2s"]'))
    assert made[0].overrides == ("load.hold=3s", "haproxy.timeouts.tunnel=2s")


def test_a_list_and_a_text_that_looks_like_a_number_can_be_set(tmp_path: Path) -> None:
    text = f'[set]\n"title" = "5"\n"slo.handshake" = ["p(99)<1s"]\n[grid]\n{TUNNEL_AXIS}'
    profile = cells(campaign(tmp_path, text))[0].loaded.profile
    assert (profile.title, profile.slos[0].text) == ("5", "p(99)<1s")


def test_folder_names_are_safe_and_tell_equal_leaves_apart(tmp_path: Path) -> None:
    text = '[grid]\n"cohort.chatty.rate" = ["5/s"]\n"target.sources" = ["10.1.0.0/28"]'
    assert cells(campaign(tmp_path, text))[0].folder == "rate=5-s,sources=10.1.0.0-28"
    text = '[grid]\n"haproxy.processes" = [1]\n"backend.processes" = [2]'
    assert cells(campaign(tmp_path, text))[0].folder == "haproxy.processes=1,backend.processes=2"


def test_the_callers_overrides_come_after_the_campaigns(tmp_path: Path) -> None:
    made = cells(campaign(tmp_path, f'[set]\n"load.hold" = "3s"\n[grid]\n{TUNNEL_AXIS}', "load.hold=1s"))
    assert made[0].loaded.profile.load.hold_ns == 1_000_000_000


def test_a_shipped_profile_is_found_by_name(tmp_path: Path) -> None:
    loaded = campaign(tmp_path, f'profile = "mixed"\n[grid]\n{TUNNEL_AXIS}')
    assert loaded.profile_path == resolve("mixed")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '[grid]\n"haproxy.timeouts.tunel" = ["2s"]',
            "c.toml: grid.haproxy.timeouts.tunel: unknown key; did you mean haproxy.timeouts.tunnel?",
        ),
        (
            '[grid]\n"haproxy.timeouts.tunnel" = ["2s", 5]',
            'c.toml: grid.haproxy.timeouts.tunnel: 5 has no unit; write "5s", or ms, m, h',
        ),
        (
            '[grid]\n"load.hold" = ["2s"]\n"cohort.chaty.rate" = ["1/s"]',
            'c.toml: grid.cohort.chaty.rate: unknown cohort "chaty"; did you mean "chatty"?',
        ),
        (
            '[grid]\n"backend.reply" = ["echo", "sink"]',
            'c.toml: grid.backend.reply: cohort[1].match: "stamp" needs a backend that echoes',
        ),
        (
            '[grid]\n"cohort[1].payload" = ["64B", "8B"]\n"cohort[1].match" = ["fifo", "stamp"]',
            "c.toml: grid.cohort[1].payload: ",
        ),
        (
            '[grid]\n"cohort[1].rate" = ["max"]\n"cohort[1].match" = ["none"]',
            "c.toml: grid, cohort[1].rate=max and cohort[1].match=none: cohort[1].rate: ",
        ),
        ('[set]\n"load.hld" = "2s"\n[grid]\n', "c.toml: set.load.hld: unknown key; did you mean load.hold?"),
        ('[set]\n"load.hold" = 2\n[grid]\n', "c.toml: set.load.hold: 2 has no unit"),
        ("[set]\n'load.hold' = 2020-01-01\n[grid]\n", "c.toml: set.load.hold: 2020-01-01 cannot be set"),
        ("[grid]\n", "c.toml: grid: has 0 axes; write one or two"),
        ("", "c.toml: grid: has 0 axes"),
        ('[grid]\n"a" = [1]\n"b" = [1]\n"c" = [1]', "c.toml: grid: has 3 axes"),
        (
            '[grid]\n"load.hold" = "2s"',
            'c.toml: grid.load.hold: "2s" is no list of values; write ["2s", "5s"]',
        ),
        ('[grid]\n"load.hold" = []', "c.toml: grid.load.hold: [] is no list of values"),
        ('[grid]\n"load.hold" = ["2s", "2s"]', 'c.toml: grid.load.hold: "2s" is there twice; use repeat = 2'),
        ('[grid]\n"cohort.chatty.rate" = ["5/s", "5 /s"]', "gives the folder of another cell, rate=5-s"),
        ("repeat = 0\n[grid]\n", "c.toml: repeat: 0 makes no sense here; write 1 or more"),
        ("repeet = 1\n", 'c.toml: repeet: is no key of a campaign; did you mean "repeat"?'),
        ("[load]\ntunnels = 5", "c.toml: load: is no key of a campaign; write it under [set]"),
        ("grid = 5", "c.toml: grid: 5 is no table"),
        (
            'profile = "mixd"\n',
            'c.toml: profile: "mixd": no such file; did you mean the shipped profile "mixed"?',
        ),
        ("profile = 5\n", "c.toml: profile: 5 is no text"),
        ('parallel = "yes"\n', 'c.toml: parallel: "yes" '),
        ("control = 1\n", "c.toml: control: 1 "),
        (
            'control = true\n[set]\n"target.via" = "direct"\n[grid]\n"load.tunnels" = [100]',
            'c.toml: control: is a run without HAProxy, and target.via = "direct"; leave it out, or write',
        ),
        (
            'control = true\n[set]\n"backend.mode" = "external"\n"backend.servers" = ["10.0.0.1:80"]\n'
            f"[grid]\n{TUNNEL_AXIS}",
            'c.toml: control: cannot go without HAProxy: backend.mode: via = "direct" drives the embedded',
        ),
        ("[grid\n", "c.toml: line 2, column 6: "),
    ],
)
def test_a_wrong_campaign_fails_before_any_traffic(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


def test_a_campaign_without_a_profile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(f"[grid]\n{TUNNEL_AXIS}", encoding="utf-8")
    with pytest.raises(ProfileError, match="profile: is missing; write profile ="):
        load_campaign(path)


def test_a_wrong_override_of_the_caller_names_the_flag(tmp_path: Path) -> None:
    assert refusal(tmp_path, f"[grid]\n{TUNNEL_AXIS}", "load.hold=5").startswith(
        "--set: load.hold: 5 has no unit"
    )


def test_the_quickstart_ends_in_time_and_sweeps_the_tunnel_timeout() -> None:
    made = cells(load_campaign(resolve("quickstart")))
    assert [cell.folder for cell in made] == [f"tunnel={n}s" for n in (1, 2, 4, 8, 16)]
    loads = [cell.loaded.profile.load for cell in made]
    assert sum(load.ramp_ns + load.hold_ns + load.drain_ns for load in loads) <= 75_000_000_000
    assert load_profile(resolve("quickstart-cell")).profile.load.tunnels == 3000
