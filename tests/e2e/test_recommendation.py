"""What a campaign recommends, as HAProxy reads it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.made_search import make_search_campaign
from wsload.analysis.campaign import read_campaign
from wsload.analysis.measured import read_searches
from wsload.analysis.recommend import recommend
from wsload.report.recommendation_wording import config_lines

pytestmark = pytest.mark.e2e

BINARIES = ["haproxy", *filter(None, os.environ.get("WSLOAD_TEST_HAPROXY", "").split(os.pathsep))]


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
