"""The one checker that every end-to-end and fault test asks at its end."""

from collections.abc import Sequence

from replenish.verify import Report


def violations(report: Report) -> Sequence[str]:
    """List what is broken, a line each."""
    return [
        f"{finding.invariant} ({finding.sentence}): {example}"
        for finding in report.findings
        for example in finding.examples
    ]


def holds(report: Report, *, charges: int | None = None) -> None:
    """Assert that nothing is broken, and that something was looked at.

    Args:
        report: what `replenish.verify` found.
        charges: how many the gateway must have seen; a run without any proves
            nothing about money, so say 0 if that is meant.
    """
    assert report.clean, violations(report)
    looked_at = [finding for finding in report.findings if finding.checked]
    assert looked_at, "no invariant had a row to be judged on"
    if charges is not None:
        assert report.charges == charges
