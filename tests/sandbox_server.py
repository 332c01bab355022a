"""Starts a real sandbox process for tests and talks to its control port."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import stripe

from replenish.sandbox.control import Control, Json

ROOT = Path(__file__).resolve().parent.parent
KEY = "sk_test_replenish_sandbox"
START_LIMIT = 20.0  # seconds; a busy machine, the sandbox itself needs less than one


class SandboxServer:
    """`python -m replenish.sandbox` on a free port, with a ledger file of its own.

    `url` and `control` are set once `start` returns. Use it as a context manager,
    or call `start` and `stop`.
    """

    def __init__(self, ledger: Path, *options: str) -> None:
        self.ledger = ledger
        self.url = ""
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> Self:
        """Start the process and wait until it listens.

        Raises:
            RuntimeError: With the process's own words, if it does not come up.
        """
        ready = self.ledger.with_suffix(".ready")
        ready.unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "replenish.sandbox", "--port", "0",
            "--ledger", str(self.ledger), "--ready-file", str(ready), *self._options,
        ]  # fmt: skip
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        end = time.monotonic() + START_LIMIT
        while not (ready.exists() and ready.read_text().endswith("\n")):
            if self._process.poll() is not None or time.monotonic() > end:
                self._process.kill()
                message = f"The sandbox did not start: {self._process.communicate()[1]}"
                raise RuntimeError(message)
            time.sleep(0.01)
        self.url = ready.read_text().strip()
        return self

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None
        return self._process.pid

    @property
    def tool(self) -> Control:
        """The typed client of the control port."""
        return Control(self.url)

    def control(self, method: str, path: str, body: Json | None = None) -> Json:
        """Call `/_sandbox/{path}` and return its JSON."""
        return self.tool(method, path, body)

    def client(self, *, key: str = KEY, timeout: float = 5.0) -> stripe.StripeClient:
        """Return a stock Stripe client pointed here; it never retries by itself."""
        return stripe.StripeClient(
            key,
            base_addresses={"api": self.url},
            http_client=stripe.RequestsClient(timeout=timeout),
        )

    def kill(self) -> None:
        """End the process without a chance to tidy up (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def stop(self) -> int:
        """Stop the process and return its exit code; stopping twice is fine."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        code = self._process.returncode
        self._process = None
        return code

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()
