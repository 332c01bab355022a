"""Every seam, every answer of the gateway, every second crash: one charge, one credit.

The crash is an exception that nothing catches, so that every transaction under way is
rolled back as the server does when a process dies.
"""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.deep import DEEP
from tests.faults import results
from tests.faults.matrix import ANSWERS, SEAMS, Matrix

pytestmark = [pytest.mark.integration, pytest.mark.faults]

SECOND: Sequence[tuple[str, ...]] = (
    ((), *((seam,) for seam in SEAMS)) if DEEP else ((),)
)
"""The second crash; all of them with `make faults`, none in the ordinary run."""


LEAST = 100 if DEEP else 5  # crashes at each seam


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seam", SEAMS)
def test_a_crash_at_any_seam_and_a_second_one_while_recovering(
    matrix: Matrix, seam: str, tmp_path: Path
) -> None:
    """Whatever the gateway said meanwhile."""
    cases = [(answer, seam, *second) for answer in ANSWERS for second in SECOND]
    for ref, case in zip(matrix.enrol_many(len(cases)), cases, strict=True):
        matrix.play(ref, *case)

    assert matrix.hits[seam] >= LEAST
    matrix.check(tmp_path / "gateway.jsonl")
    results.write(
        f"matrix-{seam}",
        part="matrix",
        cases=len(cases),
        crashes=sum(matrix.hits.values()),
        at=matrix.hits[seam],
    )
