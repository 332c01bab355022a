"""The Celery app: queues, routes and delivery settings, each with its reason.

Nothing here is needed for safety. A message may be lost, repeated, reordered or
forged: the rows decide. What these settings buy is speed of recovery and that
cut-offs never wait behind charges.
"""

import gc
import logging
from collections.abc import Sequence
from typing import Any

from celery import Celery, Task, signals
from kombu import Queue

import beat_schedule
from replenish import embedded, logs
from replenish.domain.enrolment import LONGEST_REF
from replenish.niceness import stand_back
from replenish.settings import Settings
from tasks import control, transport, window

CUTOFF, REPLENISH, SWEEP, RECONCILE = "cutoff", "replenish", "sweep", "reconcile"

ROUTES = {
    "replenish.cutoff": CUTOFF,  # the most urgent: exposure grows by the second
    "replenish.account": REPLENISH,  # the many and slow: each waits for the gateway
    "replenish.sweep": SWEEP,
    "replenish.summarise": SWEEP,
    "replenish.reconcile": RECONCILE,
    "replenish.orphans": RECONCILE,
    "replenish.credits": RECONCILE,
}

CHATTER = ("celery.app.trace", "celery.worker.strategy", "celery.beat")
"""Loggers with a line or two a message; our own line tells how each ended."""

app = Celery("replenish", include=["tasks.everything"], task_cls="tasks.told:Told")
app.set_default()


def configuration() -> dict[str, Any]:
    """Read the settings and say how messages are delivered; on first need only.

    Outside production this starts (or joins) the embedded servers when no
    addresses are set, so that worker, beat, flower and shell all find the same.
    """
    settings = window.sentence_or(lambda: embedded.resolve(Settings.from_env()))
    return {
        **_connection(settings),
        **_delivery(settings),
        **_schedule(settings),
    }


def _connection(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": settings.broker_url,
        "result_backend": settings.broker_url,
        "broker_connection_retry_on_startup": True,  # Redis may come up after us
        # Nor does an outage end anything; the default gives up after 50 minutes.
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            # Longer than any task, so that a slow one is not delivered twice; the
            # rows would bear it (celery/celery#4766). Recovery does not wait for
            # it: reconcile goes by the leases.
            "visibility_timeout": max(180, 3 * settings.task_time_limit),
            # What a killed worker held comes back when that is over, not up to
            # 100 s later, which is kombu's default (celery/kombu#2558).
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            # Fail fast when Redis hangs; the default is to wait for ever.
            "socket_timeout": 10,
            "socket_connect_timeout": 5,
            # Publishing gives up at once when Redis is away: what was not handed out
            # stands in its rows. The default tries for 12 s a message.
            "max_retries": 1,
            "interval_start": 0.1,
            # Queues in the order of `task_queues`: cut-offs first.
            "queue_order_strategy": "priority",
        },
        # Chords need results; nothing else reads them, and they expire.
        "result_backend_transport_options": {
            "socket_timeout": 10,
            # A blip is ridden out; an outage is left to reconcile. The default holds
            # a worker for 18 s a message.
            "retry_policy": {
                "max_retries": 3,
                "interval_start": 0.1,
                "interval_step": 0.2,
                "interval_max": 0.5,
            },
        },
        "redis_socket_timeout": 10,
        "redis_socket_connect_timeout": 5,
        "result_expires": 3600,
    }


def _delivery(settings: Settings) -> dict[str, Any]:
    return {
        "task_queues": [Queue(name) for name in (CUTOFF, RECONCILE, SWEEP, REPLENISH)],
        "task_routes": {task: {"queue": queue} for task, queue in ROUTES.items()},
        "task_default_queue": REPLENISH,
        # A queue that is not listed is a typing mistake nobody would consume.
        "task_create_missing_queues": False,
        # JSON only: a message can name an account, never carry code.
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        # Acknowledged when done, and once more when a child was killed: quicker
        # than reconcile for whatever had no lease yet. Bounded by the task's
        # max_retries, unlike `reject_on_worker_lost` (celery/celery#9082).
        "task_acks_late": True,
        "task_retry_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,  # nothing is hoarded by a busy worker
        # Results are kept for `--wait` and chords only; they cost half the rate.
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": True,
        # Events cost as much again; Flower turns them on while it watches.
        "worker_send_task_events": False,
        "task_send_sent_event": False,
        # A hung task is killed; its attempt goes on from its row. Prefork only: in
        # threads the timeouts of the gateway and the databases are the bound.
        "task_time_limit": settings.task_time_limit,
        "task_soft_time_limit": None,
        # A gateway outage parks retries in memory; no more than this.
        "worker_eta_task_limit": 1000,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def _schedule(settings: Settings) -> dict[str, Any]:
    return {
        # In memory: every cadence is short, so there is nothing to remember, and
        # two beats in one folder have no file to quarrel over.
        "beat_scheduler": "celery.beat:Scheduler",
        "beat_schedule": {
            name: {
                "task": every.task,
                "schedule": getattr(settings, every.setting),
                "args": every.args,
                "options": {"expires": every.expires},
            }
            for name, every in beat_schedule.SCHEDULE.items()
        },
    }


app.add_defaults(configuration)
window.guard()
window.say_sentences()
transport.use()
signals.worker_init.connect(control.only_answer)


@signals.setup_logging.connect
def _log_our_way(**_: object) -> None:
    settings = window.sentence_or(Settings.from_env)
    logs.configure(settings)
    if settings.log_level != "DEBUG":
        for name in CHATTER:
            logging.getLogger(name).setLevel(logging.WARNING)


@signals.worker_init.connect
@signals.beat_init.connect
def _let_the_package_go_first(**_: object) -> None:
    """Before there are children, which inherit it."""
    stand_back(window.sentence_or(Settings.from_env).niceness)


@signals.worker_before_create_process.connect
def _share_memory_with_children(**_: object) -> None:
    """Move what is imported out of the collector's sight: children share it.

    Without it each child's first collection copies the parent's pages; with it a
    child takes about a third of the memory.
    """
    gc.freeze()


@signals.task_prerun.connect
def _name_the_task(
    task: Task[..., object], task_id: str, args: Sequence[object], **_: object
) -> None:
    of_account = task.name == "replenish.account" and args
    account = {"account_id": str(args[0])[:LONGEST_REF]} if of_account else {}
    logs.bind(task_id=task_id, **account)


@signals.task_postrun.connect
def _forget_the_task(**_: object) -> None:
    logs.unbind()
