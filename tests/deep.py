"""How much is tried: a little in the ordinary run, all of it with `make faults`."""

import os

DEEP = os.environ.get("FAULTS") == "all"


def examples(many: int) -> int:
    """Give how many examples of a property to try, of so many with `make faults`."""
    return many if DEEP else max(5, many // 6)
