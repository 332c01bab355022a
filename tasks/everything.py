"""Every task, imported before the fork, so that children share the memory."""

from tasks import cutoff, reconcile, replenish, summary, sweep

__all__ = ["cutoff", "reconcile", "replenish", "summary", "sweep"]
