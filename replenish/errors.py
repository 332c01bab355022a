"""Everything that can go wrong, on one page.

Expected answers (a decline, a card that wants its owner) are values in
`replenish.domain.outcome`; what stands here is raised. Adapters translate the
exceptions of their drivers into these, so no other layer knows a driver.

- `Transient`: nothing happened, the same step may be repeated later.
- `Refused`: repeating changes nothing; a person or a rule must.
- `ConfigurationError`: the installation is wrong; nothing was started.
"""

from replenish import card_number


class ReplenishError(Exception):
    """Base of all our errors; `str(error)` is a sentence a person can act on.

    Sentences repeat what somebody gave us, and are shown, logged and kept as results:
    a card number in one is blotted out.
    """

    def __init__(self, message: str, *, subject: str = "") -> None:
        super().__init__(card_number.blotted(message))
        self.subject = card_number.blotted(subject)


class Transient(ReplenishError):
    """A service was away or busy; nothing was changed by the failed call."""


class GatewayUnavailable(Transient):
    """The card gateway could not be asked; no money can have moved."""


class BillingUnavailable(Transient):
    """The billing package's database is away, slow or locked."""


class AccountLocked(BillingUnavailable):
    """Somebody else holds the account's row; the other accounts can be had."""


class ReplicaBehind(BillingUnavailable):
    """A replica stands still; the billing package's database itself can be had."""


class TrailUnread(BillingUnavailable):
    """What became of a credit was not added up in time; all else may well work."""


class LedgerUnavailable(Transient):
    """Our own database is away, slow or locked."""


class BrokerUnavailable(Transient):
    """Redis is away, so tasks cannot be handed out; rows wait for it."""


class Refused(ReplenishError):
    """The request itself cannot be carried out as it stands."""


class BadInput(Refused):
    """A value given by a person or a file makes no sense."""


class AccountNotFound(Refused):
    """No such account is enrolled, or the billing package has none."""


class AccountExists(Refused):
    """The account is already enrolled."""


class CardNotFound(Refused):
    """The card is not on file, or the gateway has detached it."""


class GatewayMisuse(Refused):
    """The gateway refused our request as malformed; a person must look."""


class GatewayKeyRefused(Refused):
    """The gateway refused our key; charging stops until it is mended."""


class LeaseLost(Refused):
    """Somebody else has taken the attempt on; leave it to them."""


class ConfigurationError(ReplenishError):
    """A setting, a schema or a grant is wrong; says which and what to do."""
