"""Remote control: workers answer questions and take no orders.

Whoever can write into Redis can broadcast to the workers. Of Celery's commands those
that only tell something are left, since `celery inspect`, Flower and `replenish check`
live by them; `shutdown`, `pool_restart`, `rate_limit`, `cancel_consumer`, `revoke` and
the like are unknown here. Workers are stopped by a signal, as their supervisor does.
"""

ANSWERED = frozenset(
    {
        *("ping", "hello", "clock", "stats", "conf", "active_queues", "registered"),
        *("active", "reserved", "scheduled", "revoked", "query_task"),
        *("dump_active", "dump_reserved", "dump_schedule", "dump_revoked"),
        *("dump_tasks", "dump_conf"),
        # Flower asks for events while it watches; they cost rate, and nothing else.
        *("enable_events", "disable_events", "heartbeat"),
    }
)


def only_answer(**_: object) -> None:
    """Forget the orders, before the worker listens to any."""
    from celery.worker.control import Panel  # noqa: PLC0415 only a worker has it

    for name in set(Panel.data) - ANSWERED:
        del Panel.data[name]
