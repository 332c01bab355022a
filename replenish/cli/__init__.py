"""The command line `replenish …`: one group per file, loaded when it is asked for.

Exit codes: 0 fine, 1 the answer is bad, 2 misuse, 3 a service is unreachable; see
`replenish.cli.failures`. Nothing here decides anything: commands read what they
are given, call one step of the pipeline or one question of the ledger, and show
what came back, as a table or with `--json` for programs.
"""

import click

from replenish.cli.groups import LazyGroup

SECTIONS = {
    "See that it runs": {
        "demo": "Run the whole pipeline on this machine with a sample operator.",
        "check": "Check every dependency, and say what to do about the bad ones.",
        "report": "Count batches, charges, declines, cut-offs and skips.",
        "verify": "Check the invariants over the ledger, package and gateway.",
    },
    "Accounts": {
        "account": "Enrol, show, change, pause and resume accounts.",
        "card": "The cards on file.",
        "explain": "Say what the policy would do with an account now, and why.",
    },
    "The pipeline by hand": {
        "sweep": "Look for low accounts now.",
        "cutoff": "Cut off the exhausted and restore the funded now.",
        "reconcile": "Pick up what was interrupted now.",
        "charger": "Stop all charging, and resume it.",
        "guard": "Stand in for beat and the workers while they are away.",
    },
    "Installation": {
        "db": "The ledger's schema.",
        "sandbox": "A stand-in for the card gateway, for trials.",
        "billing": "The bundled billing package: rates, accounts, calls.",
    },
}
"""Heading → command → what it does; each command is `replenish.cli.COMMAND`."""

main = click.version_option(package_name="replenish", prog_name="replenish")(
    LazyGroup(
        sections=SECTIONS,
        package="replenish.cli",
        about="""Automatic card replenishment for prepaid VoIP billing packages.

    Every command has its own --help with examples, and --json where it prints.

    \b
    replenish check                    is everything there?
    replenish account enrol --help     how accounts get in
    replenish explain 1001             why is 1001 (not) charged?
    replenish report --since 24h       what happened since yesterday?
    """,
    )
)
