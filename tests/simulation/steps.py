"""What may happen in a step: customers, workers, people, and what breaks."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random

from replenish.domain.account import Service
from replenish.errors import BadInput
from tests.memory.reading import on_file
from tests.simulation.fleet import SCALES
from tests.simulation.gateway import Plastic
from tests.simulation.work import Message
from tests.simulation.world import World

MOST_PAUSED = 6
SLOW = 0.25  # how many of the turns may stop on the way
FAULTY = {False: 0.08, True: 0.45}  # how many are to meet a fault: others, accounts
ENDED = (Service.SUSPENDED, Service.OTHER)
AWAY = ("ours", "billing", "gateway", "key")

BEAT = (
    *(Message("sweep", "hot"),) * 5,
    *(Message("cutoff"),) * 3,
    *(Message("reconcile"),) * 5,
    Message("sweep", "full"),
    Message("orphans"),
    Message("credits"),
)


def step(world: World) -> None:
    """Take one step."""
    rng = world.rng
    world.let_pass(_while(rng))
    if world.gateway.late and rng.random() < 0.3:
        world.gateway.late.pop(0)()
    if world.gateway.processing and rng.random() < 0.2:
        world.gateway.settle_processing()
    chosen = rng.random()
    if chosen < 0.22:
        _call(world)
    elif chosen < 0.62 and world.queue.messages:
        _deliver(world)
    elif chosen < 0.72 and world.paused:
        _go_on(world)
    elif chosen < 0.91:
        _play(world, rng.choice(BEAT))
    else:
        rng.choice(HAPPENINGS)(world)
    world.stage.due = -1
    if world.stage.away and rng.random() < 0.25:
        _back(world)


def _while(rng: Random) -> float:
    """Draw how long nothing happens, in seconds."""
    chosen = rng.random()
    if chosen < 0.6:
        return rng.random() * 2
    if chosen < 0.9:
        return rng.random() * 30
    if chosen < 0.98:
        return 30 + rng.random() * 120
    return 600 + rng.random() * (7200 if chosen < 0.996 else 100_000)


# -------------------------------------------------------------------------- workers


def _play(world: World, message: Message) -> None:
    rng = world.rng
    if rng.random() < FAULTY[message.task == "account"]:
        world.stage.due = rng.randrange(26)
    slow = len(world.paused) < MOST_PAUSED and rng.random() < SLOW
    world.start(message, slow=slow)


def _deliver(world: World) -> None:
    """Hand a message to a worker: mostly the oldest, sometimes any, or twice."""
    rng, messages = world.rng, world.queue.messages
    chosen = rng.random()
    place = 0 if chosen < 0.7 else rng.randrange(len(messages))
    message = messages[place]
    if chosen > 0.96:
        world.stage.faults["message repeated"] += 1
    else:
        del messages[place]
    if 0.94 < chosen <= 0.96:
        world.stage.faults["message lost"] += 1
        return
    _play(world, message)


def _go_on(world: World) -> None:
    turn = world.paused.pop(world.rng.randrange(len(world.paused)))
    if world.rng.random() < 0.05:
        world.stage.faults["killed while stopped"] += 1
        return
    if world.rng.random() < FAULTY[True]:
        world.stage.due = world.rng.randrange(12)
    world.go_on(turn)


# ------------------------------------------------------------------ customers, people


def _some(world: World) -> str:
    return world.rng.choice(world.refs)


def _cost(world: World, ref: str, most: int) -> Decimal:
    scale = SCALES[world.billing.accounts_by_ref[ref].available.currency]
    return Decimal(world.rng.randrange(1, most)) * scale / 10


def _call(world: World) -> None:
    for _ in range(5):
        ref = _some(world)
        world.billing.call(ref, _cost(world, ref, 60))


def _storm(world: World) -> None:
    """Let a stolen line call until nothing is left."""
    ref = _some(world)
    world.billing.call(ref, _cost(world, ref, 600))


def _pay(world: World) -> None:
    ref = _some(world)
    amount = _cost(world, ref, 300)
    reference = f"cash {len(world.billing.credits)}"
    world.billing.refill(ref, amount, reference)
    world.checker.episode[ref] = 0


def _pause(world: World) -> None:
    world.register.pause(_some(world), "by hand")


def _resume(world: World) -> None:
    for ref in world.rng.sample(world.refs, 5):
        row = world.store.accounts[ref]
        if row.paused_at is not None or row.attempts:
            world.register.resume(ref)


def _consent(world: World) -> None:
    ref = _some(world)
    if world.store.accounts[ref].consent_at is None:
        world.register.give_consent(ref)
        world.checker.episode[ref] = 0
    elif world.rng.random() < 0.3:
        world.register.withdraw_consent(ref)


def _add_card(world: World) -> None:
    ref = _some(world)
    cards = on_file(world.store.accounts[ref])
    card = world.fleet.card(ref)
    if cards and world.rng.random() < 0.3:
        card = world.fleet.again(world.rng.choice(cards).card)
    try:
        world.register.add_card(ref, card, priority=world.rng.choice((None, 0)))
    except BadInput:
        return
    world.checker.dead.get(ref, set()).discard(card.payment_method)


def _remove_card(world: World) -> None:
    ref = _some(world)
    cards = on_file(world.store.accounts[ref])
    if cards:
        world.register.remove_card(ref, world.rng.choice(cards).card.payment_method)


def _detach(world: World) -> None:
    """Let a customer take a card away at the gateway."""
    world.rng.choice(_plastics(world)).attached = False


def _another_mind(world: World) -> None:
    """Let a bank change its mind about a card."""
    plastic = world.rng.choice(_plastics(world))
    plastic.nature = world.rng.choice(("good", "good", "soft", "hard", "fickle"))


def _plastics(world: World) -> Sequence[Plastic]:
    return list(world.gateway.plastics.values())


def _operator(world: World) -> None:
    """Let the package's operator end, block or give back somebody's service."""
    ref = _some(world)
    service = world.billing.accounts_by_ref[ref].service
    if service is Service.ACTIVE:
        looks_ours = ref in world.store.standing  # nobody could tell them apart
        new = Service.OTHER if looks_ours else world.rng.choice(ENDED)
        world.billing.set_service(ref, new)
        world.checker.ended_seq[ref] = world.stage.seq
    elif world.billing.ended_by.get(ref) == "operator":
        world.billing.set_service(ref, Service.ACTIVE)


def _by_hand(world: World) -> None:
    """Let a person run the task for an account, whatever its state."""
    _play(world, Message("account", _some(world)))


def _save_rows(world: World) -> None:
    """Let the package save whole rows that it has read a while ago."""
    given = [account for account, _ in world.billing.credits.values()]
    ref = world.rng.choice(given or world.refs)
    credits_ = [
        receipt
        for account, receipt in world.billing.credits.values()
        if account == ref and receipt.reference in world.billing.given
    ]
    if credits_:
        last = credits_[-1]
        world.stage.faults["balance overwritten"] += 1
        world.billing.save(ref, last.available_after - last.amount.amount)


# ---------------------------------------------------------------------- what breaks


def _wipe(world: World) -> None:
    world.stage.faults["queue wiped"] += 1
    world.queue.wipe()


def _away(world: World) -> None:
    service = world.rng.choice(AWAY)
    world.stage.faults[f"{service} away"] += 1
    world.stage.away.add(service)
    world.gateway.key_refused = "key" in world.stage.away


def _back(world: World) -> None:
    world.stage.away.clear()
    world.gateway.key_refused = False


def _jump(world: World) -> None:
    """Let everybody be stopped for longer than any lease."""
    world.stage.faults["stopped together"] += 1
    world.let_pass(60 + world.rng.random() * 600)


HAPPENINGS: Sequence[Callable[[World], None]] = (
    *(_storm, _pay, _pay, _pause, _resume, _resume, _resume, _consent),
    *(_add_card, _add_card, _remove_card, _detach, _another_mind, _operator, _operator),
    *(_save_rows, _by_hand, _by_hand, _wipe, _away, _away, _jump),
)
