from hypothesis import HealthCheck, settings

# Shared machines stall: a slow example is no failure. 60 examples find in CI what 100 found while writing.
settings.register_profile(
    "wsload", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
settings.load_profile("wsload")
