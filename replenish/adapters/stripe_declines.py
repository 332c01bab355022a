"""What Stripe's declines mean for the next try: data with sources, and one rule.

Sources:
- decline codes: https://docs.stripe.com/declines/codes
- error codes of cards: https://docs.stripe.com/error-codes
- advice codes and retrying: https://docs.stripe.com/declines/card#retrying-issuer-declines
- blocks by Stripe itself: https://docs.stripe.com/declines#blocked-payments
- Mastercard's merchant advice codes, which arrive as `network_advice_code`:
  https://developer.paypal.com/braintree/docs/reference/general/merchant-responses/merchant-advice-codes
- lost, stolen and picked up count as fraud because Stripe asks that customers be
  shown no more than "declined" for these (the first page above).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from replenish.domain.outcome import WANTS_CUSTOMER, DeclineClass

logger = logging.getLogger(__name__)

HARD = DeclineClass.HARD
SOFT = DeclineClass.SOFT
TRANSIENT = DeclineClass.TRANSIENT
AUTHENTICATION = DeclineClass.AUTHENTICATION
FRAUD = DeclineClass.FRAUD

DECLINES: Mapping[str, DeclineClass] = {
    # The bank may say yes another day.
    "approve_with_id": TRANSIENT,
    "call_issuer": SOFT,
    "card_decline_rate_limit_exceeded": SOFT,
    "card_declined": SOFT,
    "card_velocity_exceeded": SOFT,
    "do_not_honor": SOFT,
    "duplicate_transaction": SOFT,  # of an intent that did not charge: see `stripe`
    "generic_decline": SOFT,
    "insufficient_funds": SOFT,
    "issuer_not_available": TRANSIENT,
    "no_action_taken": SOFT,
    "payment_intent_payment_attempt_expired": SOFT,
    "payment_intent_payment_attempt_failed": SOFT,
    "payment_intent_rate_limit_exceeded": SOFT,
    "payment_method_provider_timeout": TRANSIENT,
    "processing_error": TRANSIENT,
    "reenter_transaction": TRANSIENT,
    "three_d_secure_authentication_upstream_error": TRANSIENT,
    "try_again_later": SOFT,
    "withdrawal_count_limit_exceeded": SOFT,
    # This card, as it is on file, never works again.
    "card_not_supported": HARD,
    "charge_exceeds_transaction_limit": HARD,
    "currency_not_supported": HARD,
    "do_not_try_again": HARD,
    "expired_card": HARD,
    "expired_payment_method": HARD,
    "incorrect_address": HARD,
    "incorrect_cvc": HARD,
    "incorrect_number": HARD,
    "incorrect_pin": HARD,
    "incorrect_postal_code": HARD,
    "incorrect_zip": HARD,
    "india_recurring_payment_mandate_canceled": HARD,
    "invalid_account": HARD,
    "invalid_amount": HARD,
    "invalid_card_type": HARD,
    "invalid_charge_amount": HARD,
    "invalid_cvc": HARD,
    "invalid_expiry_month": HARD,
    "invalid_expiry_year": HARD,
    "invalid_number": HARD,
    "invalid_pin": HARD,
    "new_account_information_available": HARD,
    "no_account": HARD,
    "not_permitted": HARD,
    "offline_pin_required": HARD,
    "online_or_offline_pin_required": HARD,
    "payment_intent_incompatible_payment_method": HARD,
    "payment_intent_mandate_invalid": HARD,
    "payment_method_currency_mismatch": HARD,
    "payment_method_customer_decline": HARD,
    "payment_method_not_available": HARD,
    "payment_method_provider_decline": SOFT,
    "payment_method_restricted": HARD,
    "payment_method_unactivated": HARD,
    "payment_method_unexpected_state": HARD,
    "payment_method_unsupported_type": HARD,
    "pin_try_exceeded": HARD,
    "refer_to_customer": HARD,
    "resource_missing": HARD,
    "restricted_card": HARD,
    "revocation_of_all_authorizations": HARD,
    "revocation_of_authorization": HARD,
    "security_violation": HARD,
    "service_not_allowed": HARD,
    "stop_payment_order": HARD,
    "testmode_decline": HARD,
    "transaction_not_allowed": HARD,
    # The bank wants its customer.
    **dict.fromkeys(WANTS_CUSTOMER, AUTHENTICATION),
    "three_d_secure_authentication_not_supported": HARD,
    # A person must look; the customer is told nothing.
    "fraudulent": FRAUD,
    "lost_card": FRAUD,
    "merchant_blacklist": FRAUD,
    "pickup_card": FRAUD,
    "stolen_card": FRAUD,
}
"""`decline_code`, or `code` where there is none → class."""

BLOCKS: Mapping[str, DeclineClass] = {
    "highest_risk_level": FRAUD,
    "merchant_blacklist": FRAUD,
    "rule": FRAUD,
    "low_probability_of_authorization": SOFT,
    "previously_declined_do_not_retry": HARD,
    "requested_block_on_incorrect_cvc": HARD,
    "requested_block_on_incorrect_zip": HARD,
}
"""`charge.outcome.reason` of Stripe's own blocks, which look generic otherwise."""

NEVER_ADVICE = frozenset({"do_not_try_again", "confirm_card_data"})
LATER_ADVICE = frozenset({"try_again_later"})
"""Stripe's `advice_code`."""

NEVER_NETWORK = frozenset({"01", "03", "04", "21", "40", "41"})
"""Mastercard: 03 and 21 forbid another try; 01 wants new card data; 04 cannot take
the token; 40 and 41 name prepaid and single-use numbers, which are used up. (43, a
virtual number for several uses, says nothing about the next try.)"""

LATER_NETWORK: Mapping[str, int] = {
    "02": 72, "24": 1, "25": 24, "26": 48, "27": 96, "28": 144, "29": 192, "30": 240,
}  # fmt: skip
"""Mastercard's waits in hours; 02 is "later", for which acquirers advise 72 hours."""

LONGER: Mapping[str, int] = {"card_decline_rate_limit_exceeded": 24}
"""Codes whose own text asks for a wait, in hours."""

VAGUE = frozenset({"card_declined", "generic_decline"})
"""Codes behind which Stripe may hide what only `charge.outcome` tells."""


@dataclass(frozen=True, slots=True)
class Signs:
    """All that Stripe says about one decline; empty text where it says nothing.

    Attributes:
        code: `decline_code`, or `code` where there is none.
        advice: `advice_code`.
        network: `network_advice_code`.
        reason: `charge.outcome.reason`, if the charge was seen.
    """

    code: str
    advice: str = ""
    network: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a decline means: its class, its most telling code, the wait in hours."""

    kind: DeclineClass
    code: str
    wait_hours: int | None = None


def meaning(signs: Signs) -> Meaning:
    """Class a decline; an unknown code is soft, and is logged to be classed.

    Stripe's own block comes first, since it hides behind a generic code. What holds
    the account or needs the customer is not softened by any advice. Then the advice
    decides, a "never" from whichever side before a "later", because a try against it
    is fined; then the code.
    """
    code = signs.reason if signs.reason in BLOCKS else signs.code
    kind = _by_code(code)
    if kind in (FRAUD, AUTHENTICATION) or signs.reason in BLOCKS:
        return Meaning(kind, code)
    if signs.advice in NEVER_ADVICE or signs.network in NEVER_NETWORK:
        return Meaning(HARD, code)
    if signs.advice in LATER_ADVICE or signs.network in LATER_NETWORK:
        kind = TRANSIENT if kind is TRANSIENT else SOFT
    if kind is HARD:
        return Meaning(HARD, code)
    return Meaning(kind, code, _wait(signs))


def _by_code(code: str) -> DeclineClass:
    kind = BLOCKS.get(code) or DECLINES.get(code)
    if kind is None:
        logger.warning(
            "Stripe's decline code %r is unclassified and treated as soft; add it to"
            " replenish/adapters/stripe_declines.py.",
            code,
        )
        return SOFT
    return kind


def _wait(signs: Signs) -> int | None:
    asked = [LATER_NETWORK.get(signs.network), LONGER.get(signs.code)]
    return max((hours for hours in asked if hours), default=None)
