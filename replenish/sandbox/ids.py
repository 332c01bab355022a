"""Makes ids that look like Stripe's: `pi_3…`, `ch_3…`, `cus_…`, `req_…`.

They come from a seeded generator, so one seed and one sequence of calls give
the same ids; the seed is mixed with the length of the ledger so that a restart
on the same file never hands out an id twice.
"""

import random

_LONG = 92  # bits: 23 hexadecimal digits after the leading 3 or 1
_SHORT = 56  # bits: 14 digits, as `cus_` and `req_` have


class Ids:
    """Mints ids from one seeded generator."""

    def __init__(self, *, seed: int, start: int) -> None:
        self._bits = random.Random(f"{seed}/{start}").getrandbits  # noqa: S311 - ids, not secrets

    def long(self, prefix: str) -> str:
        """Return an id such as `pi_3…` (payments) for `prefix` = `pi_3`."""
        return f"{prefix}{self._bits(_LONG):023x}"

    def short(self, prefix: str) -> str:
        """Return an id such as `cus_…` or `req_…`."""
        return f"{prefix}{self._bits(_SHORT):014x}"

    def secret(self, owner: str, *, length: int = 25) -> str:
        """Return a client secret; a SetupIntent has 31 digits in its own."""
        return f"{owner}_secret_{self._bits(4 * length):0{length}x}"
