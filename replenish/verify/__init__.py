"""The checker: do three books that know nothing of each other tell one story?

- **G**, the card gateway's own ledger (the sandbox writes one to a file);
- **A**, our attempts, their events, batches and cut-offs;
- **B**, the billing package's accounts, credits and calls.

Each invariant (`invariants.py`) is one query with a name and a sentence. All run in
one snapshot of our database, over scratch tables into which G and B are copied. The
checker uses none of the pipeline's code: what states are open, which steps exist and
how the journal's hashes are made is stated here once more, so that a mistake there
is seen here.

B is read before our snapshot and G after it: every credit then finds its attempt and
every charge its row, so that the "always" set raises no false alarm while things are
under way. The "quiet" set holds once nothing is.
"""

from replenish.verify.checker import Finding, Report, run
from replenish.verify.sources import Deed

__all__ = ["Deed", "Finding", "Report", "run"]
