"""S8 to S10: what a message can say, and what it cannot."""

import inspect
import json
import pickle

import pytest
from kombu import serialization
from kombu.exceptions import ContentDisallowed

import tasks.everything  # noqa: F401 every task is registered
from tasks.app import ROUTES, app
from tests.integration.cli.commands import NOWHERE

IDS = {"account", "batch", "kind", "_outcomes"}  # the last is what chords add


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's settings are read on first use; there are no services here."""
    monkeypatch.setenv("REDIS_URL", NOWHERE)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.security("S8")
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (pickle.dumps([1]), "application/x-python-serialize"),
        (b"!!python/object/apply:os.getcwd []", "application/x-yaml"),
        (b"\x93\x01\x02\x03", "application/x-msgpack"),
    ],
)
def test_only_json_is_read(body: bytes, kind: str) -> None:
    """Neither in messages nor in results, whatever else is installed."""
    for accepted in (app.conf.accept_content, app.conf.result_accept_content):
        accept = serialization.prepare_accept_content(
            accepted or app.conf.accept_content
        )
        with pytest.raises((ContentDisallowed, LookupError)):
            serialization.loads(body, kind, "binary", accept=accept)
    assert app.conf.task_serializer == app.conf.result_serializer == "json"
    assert app.conf.event_serializer == "json"


@pytest.mark.security("S8")
def test_the_tasks_are_ours_and_no_others() -> None:
    """A name that is not listed here is unknown, and its message thrown away."""
    ours = {name for name in app.tasks if not name.startswith("celery.")}

    assert ours == set(ROUTES)
    assert app.conf.task_create_missing_queues is False


@pytest.mark.security("S9")
@pytest.mark.parametrize("name", ROUTES)
def test_a_task_takes_ids_and_nothing_else(name: str) -> None:
    """No amount, card or address has a place in a message."""
    parameters = inspect.signature(app.tasks[name].run).parameters

    assert set(parameters) <= IDS
    assert all(each.kind is not each.VAR_KEYWORD for each in parameters.values())


@pytest.mark.security("S9", "S10")
@pytest.mark.parametrize(
    "arguments",
    [
        (("1001", "1000000000"), {}),
        (("1001",), {"amount": "1000000000"}),
        (("1001",), {"payment_method": "pm_stolen"}),
        (({"account": "1001", "amount": 1e9},), {}),
        ((["1001", 1e9],), {}),
    ],
)
def test_an_amount_in_a_message_is_refused(
    arguments: tuple[tuple[object, ...], dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A message with more in it than an id is not taken for one without."""
    task = app.tasks["replenish.account"]
    monkeypatch.setattr(task, "store_errors_even_if_ignored", False)
    positional, named = json.loads(json.dumps(arguments))

    ended = task.apply(positional, named)

    assert "BadInput" in repr(ended.result)


@pytest.mark.security("S10")
def test_messages_are_not_signed_and_nothing_says_they_are() -> None:
    """The decision of docs/decisions; whoever turns signing on must test it here."""
    assert "auth" not in app.conf.accept_content
    assert not app.conf.security_key
