"""Fixtures that every test may ask for."""

import signal

from hypothesis import HealthCheck, settings

from tests.deep import examples

pytest_plugins = ["tests.postgres", "tests.mariadb"]

# Started in the background by a shell, we would ignore Ctrl-C, and so would every
# process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine makes examples slowly; that is no fault of theirs.
settings.register_profile(
    "calm",
    deadline=None,
    max_examples=examples(100),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("calm")
