"""Settings for all tests."""

import os
import signal

from hypothesis import HealthCheck, settings

# How fast a machine draws examples says nothing about the code. CI draws the same ones each time, so that it judges
# a change and not its luck; every other run draws its own.
settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize="CI" in os.environ
)
settings.load_profile("any_machine")

# A shell starts background jobs with SIGINT ignored; programs that tests start would ignore their Ctrl-C, too.
signal.signal(signal.SIGINT, signal.default_int_handler)

pytest_plugins = ["sandbox_levels"]  # fixtures for tests/sandbox and tests/attacks, a line at the end
