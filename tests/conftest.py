"""What holds for all tests: how much Hypothesis tries.

By default the examples are the same in every run and few enough for every commit.  To search
further: ``pytest tests/wire/test_fuzz.py --hypothesis-profile long``.
"""

from hypothesis import HealthCheck, settings

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "default", derandomize=True, deadline=None, max_examples=50, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile(
    "long", deadline=None, max_examples=2_000, suppress_health_check=_SLOW_IS_FINE
)
settings.load_profile("default")
