"""Command groups that load their commands late and turn errors into sentences."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from replenish.cli.failures import as_failure


class LazyGroup(click.Group):
    """A group whose commands are modules, imported only when they are called.

    So `replenish --help` answers at once, and a command never waits for what only
    another needs. Whatever a command raises ends here, as one sentence.
    """

    def __init__(
        self, *, sections: Mapping[str, Mapping[str, str]], package: str, about: str
    ) -> None:
        names = {"help_option_names": ["-h", "--help"]}
        super().__init__(context_settings=names, help=about)
        self._sections = sections
        self._package = package
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                help="Show the traceback of an error; for a bug report.",
            )
        )

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's
        """List the commands in the order of the sections."""
        return [name for section in self._sections.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command, which holds it under its own name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{self._package}.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Write the commands under their headings, importing none."""
        del ctx
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()), col_max=12)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 as click's
        """Run a command; its errors end as a sentence and an exit code."""
        if ctx.params.pop("debug", False):
            return super().invoke(ctx)
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BrokenPipeError:
            raise  # `replenish … | head`: click ends quietly
        except Exception as error:
            raise as_failure(error) from error
