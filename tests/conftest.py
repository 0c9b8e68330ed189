"""Settings for all tests."""

from hypothesis import HealthCheck, settings

# How fast a machine draws examples says nothing about the code.
settings.register_profile("any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any_machine")
