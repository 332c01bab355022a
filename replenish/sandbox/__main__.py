"""`python -m replenish.sandbox`: serve the sandbox in this process."""

import argparse
import logging
import sys
from pathlib import Path

from replenish.sandbox.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Parse the arguments and serve; return the exit code."""
    parser = argparse.ArgumentParser(prog="replenish.sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="loopback address")
    parser.add_argument("--port", type=int, default=12111, help="0: a free one")
    parser.add_argument("--ledger", type=Path, help="append-only ledger file")
    parser.add_argument("--webhook-url", help="deliver every event here")
    parser.add_argument("--webhook-secret", help="and sign it with this")
    parser.add_argument("--seed", type=int, default=0, help="for ids and faults")
    parser.add_argument("--rate-limit", type=float, help="per endpoint and second")
    parser.add_argument("--ready-file", type=Path, help="write the URL here when up")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)

    def ready(url: str) -> None:
        if given.ready_file:
            given.ready_file.write_text(url + "\n")
        sys.stdout.write(f"Sandbox listening on {url}\n")
        sys.stdout.flush()

    return serve(
        given.host,
        given.port,
        given.ledger,
        webhook_url=given.webhook_url,
        webhook_secret=given.webhook_secret,
        seed=given.seed,
        rate_limit=given.rate_limit,
        ready=ready,
    )


if __name__ == "__main__":
    sys.exit(main())
