"""Many runs: a grid of settings, one run folder for each point."""
