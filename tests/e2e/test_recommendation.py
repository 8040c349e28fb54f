"""A campaign that searches for capacity, to its recommendation; and that as HAProxy reads it."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.binaries import BINARIES
from tests.e2e.command import Command, Ended
from tests.e2e.scenarios import scenario
from tests.made_search import make_search_campaign
from wsload.analysis.campaign import read_campaign
from wsload.analysis.measured import read_searches
from wsload.analysis.recommend import recommend
from wsload.errors import ExitCode
from wsload.record import layout
from wsload.report.recommendation_wording import config_lines

pytestmark = pytest.mark.e2e


CELL = """
title = "small-search"
[haproxy]
maxconn = 40
[load]
ramp = "300ms"
handshake_timeout = "1s"
drain = "400ms"
interval = "200ms"
workers = 1
lag_limit = "10s"
[[cohort]]
name = "quiet"
traffic = "quiet"
gaps = "exp(400ms)"
reconnect = "when-due"
vanish = "2%/s"
[capacity]
from = 20
to = 60
resolution = 40
judge = "1s"
[slo]
handshake_failed = ["rate<10%"]
disconnect_unexpected = ["rate<50%"]
"""
SWEEP = """
title = "small-sweep"
profile = "cell.toml"
[grid]
"haproxy.timeouts.tunnel" = ["200ms", "2s"]
"""


def swept(folder: Path) -> Ended:
    place = folder.parent / "files"
    place.mkdir()
    (place / "cell.toml").write_text(CELL)
    (place / "sweep.toml").write_text(SWEEP)
    return Command(["campaign", str(place / "sweep.toml"), "--out", str(folder), "--no-plots"], folder).end()


@scenario(swept)
def test_a_campaign_of_searches_recommends_a_timer_that_does_not_cut(ended: Ended) -> None:
    assert ended.code == ExitCode.PASSED, ended.err
    with (ended.folder / layout.CAPACITY).open() as file:
        cut, kept = csv.DictReader(file)
    assert (cut["capacity"], cut["limit"]) == ("0", "timer")
    assert 15 <= int(kept["capacity"]) <= 20
    assert (kept["level"], kept["first_failed"], kept["limit"]) == ("20", "60", "maxconn")
    assert int(cut["cuts_per_hour"]) > 10 * int(kept["cuts_per_hour"])
    stored = json.loads((ended.folder / layout.RECOMMENDATION).read_text())
    assert 0.2 < stored["timer_s"] <= 2
    assert [point["meets_slo"] for point in stored["points"]] == [False, True]
    assert "Set timeout tunnel to" in ended.out


@pytest.mark.parametrize("binary", BINARIES, ids=[Path(name).name for name in BINARIES])
def test_haproxy_takes_the_lines_without_a_warning(tmp_path: Path, binary: str) -> None:
    if shutil.which(binary) is None:
        pytest.skip(f"{binary} is not installed")
    folder = make_search_campaign(tmp_path / "campaign", tunnels=("2s", "4s", "8s"))
    info, cells = read_campaign(folder)
    advice = recommend(read_searches(folder, cells), info)
    assert advice is not None
    *timeouts, maxconn = config_lines(advice)
    lines = ["defaults", "mode http", "timeout connect 5s", *timeouts]
    lines += ["frontend web", "bind 127.0.0.1:8080", maxconn, "default_backend app"]
    lines += ["backend app", "server one 127.0.0.1:8081"]
    cfg = tmp_path / "haproxy.cfg"
    cfg.write_text("\n".join(lines) + "\n")
    checked = subprocess.run([binary, "-c", "-dW", "-f", cfg], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
