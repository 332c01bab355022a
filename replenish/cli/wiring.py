"""What every command is given: the wired application, and who is asking."""

import getpass

from replenish import bootstrap
from replenish.bootstrap import Application
from replenish.errors import ConfigurationError
from replenish.settings import Settings


def application() -> Application:
    """Give the wired application of this process; connects to nothing yet.

    Raises:
        ConfigurationError: a setting is missing or wrong.
    """
    return bootstrap.application()


def settings() -> Settings:
    """Give the settings with the embedded servers' addresses filled in."""
    return application().settings


def actor() -> str:
    """Name who runs the command, for the journal."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a container's user without a name
        return "cli"


def need_bundled() -> Settings:
    """Give the settings where the bundled billing package is the one in use.

    Raises:
        ConfigurationError: another package is; its own tools must be used.
    """
    found = settings()
    if found.billing_package != "bundled":
        msg = (
            f"BILLING_PACKAGE is {found.billing_package}; these commands are for the"
            " bundled one. Use that package's own tools."
        )
        raise ConfigurationError(msg, subject="BILLING_PACKAGE")
    return found
