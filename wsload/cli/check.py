"""``wsload check``."""

import click

from wsload.cli import options


@click.command("check")
@click.argument("profile")
@options.set_option
def command(profile: str, overrides: tuple[str, ...]) -> None:
    """Validate PROFILE, say what it would do and whether this machine can carry it. Sends nothing."""
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
