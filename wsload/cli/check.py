"""``wsload check``."""

import sys
from pathlib import Path

import click

from wsload.cli import options


@click.command("check")
@click.argument("profile", required=False)
@options.set_option
@click.option(
    "--haproxy-cfg",
    type=click.Path(path_type=Path),
    help="Instead of a profile: read this haproxy.cfg for what hurts WebSockets.",
)
@click.option(
    "--haproxy-binary", default="haproxy", show_default=True, help="The HAProxy that reads the file too."
)
def command(
    profile: str | None, overrides: tuple[str, ...], haproxy_cfg: Path | None, haproxy_binary: str
) -> None:
    """Validate PROFILE, say what it would do and whether this machine can carry it. Sends nothing.

    With --haproxy-cfg: check your own HAProxy's file. The exit code is 104 where HAProxy rejects it or a
    finding is harmful.
    """
    if (profile is None) == (haproxy_cfg is None):
        raise click.UsageError("name either a PROFILE or --haproxy-cfg FILE")
    if haproxy_cfg is not None:
        from wsload.cli.check_cfg import check_cfg

        sys.exit(check_cfg(haproxy_cfg, haproxy_binary))
    assert profile is not None
    _check_profile(profile, overrides)


def _check_profile(profile: str, overrides: tuple[str, ...]) -> None:
    from wsload.cli.views import say
    from wsload.profile.load import load_profile
    from wsload.profile.shipped import resolve

    loaded = load_profile(resolve(profile), overrides)

    from wsload.plan.describe import describe_plan
    from wsload.plan.preflight import checks, read_machine, require
    from wsload.plan.sharding import make_plan

    plan = make_plan(loaded.profile, machine := read_machine())
    done = checks(plan, machine)
    say("\n".join(describe_plan(plan, machine, done)))
    require(done)
