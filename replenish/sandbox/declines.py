"""Every decline a card can meet, as data: code, sentence, advice, network code.

Codes and their meaning: docs.stripe.com/declines/codes and /error-codes. All of
`generic_decline` and `expired_card` is as recorded in test mode; the network codes
of the others are the ISO 8583 response codes issuers use for that reason, because
no public recording shows them. docs.stripe.com/testing names no decline code for
the cards 0069, 0127 and 0119, yet the recording of 0069 has one equal to its code;
the recording wins, and the other two follow it.
"""

from typing import NamedTuple

LATER = "try_again_later"
NEVER = "do_not_try_again"
CHECK = "confirm_card_data"

DECLINED = "Your card was declined."
UNSUPPORTED = "Your card does not support this type of purchase."
NUMBER = "Your card number is incorrect."
NO_DETAIL = "The bank did not return any further details with this decline."


class Decline(NamedTuple):
    """What a decline looks like in the error, the intent and the charge."""

    code: str
    decline_code: str | None
    message: str
    advice: str | None
    network: str | None  # the issuer's own code; None when never sent to it
    reason: str | None  # charge.outcome.reason
    type: str = "issuer_declined"  # charge.outcome.type
    seller_message: str = NO_DETAIL
    param: str | None = None  # the part of the card that is to blame
    network_advice: str | None = None  # what the card network advises


def _issuer(
    decline_code: str, network: str, advice: str | None, message: str = DECLINED
) -> Decline:
    return Decline(
        "card_declined", decline_code, message, advice, network, decline_code
    )


def _named(
    code: str, network: str, advice: str | None, message: str, param: str | None = None
) -> Decline:
    """Build a decline whose own name is both the error code and the decline code."""
    return Decline(code, code, message, advice, network, code, param=param)


def _blocked(decline_code: str, reason: str, *, advice: str | None = None) -> Decline:
    return Decline(
        "card_declined", decline_code, DECLINED, advice, None, reason, "blocked",
        "Stripe blocked this payment as too risky.",
    )  # fmt: skip


_VELOCITY = (
    "Your card was declined for making repeated attempts too frequently or "
    "exceeding its amount limit."
)
_PROCESSING = "An error occurred while processing your card. Try again in a little bit."
_RATE = (
    "This card has been declined too many times. You can try to charge this card "
    "again after 24 hours. We suggest reaching out to your customer to make sure "
    "they have entered all of their information correctly and that there are no "
    "issues with their card."
)
_TEST_CARD = (
    "Your card was declined. Your request was in live mode, but used a known test card."
)

#: Sandbox name -> decline. Names equal the decline code (or the error code where
#: Stripe sends no decline code).
DECLINES: dict[str, Decline] = {
    # soft: the same card may work later
    "generic_decline": _issuer("generic_decline", "01", LATER),
    "insufficient_funds": _issuer(
        "insufficient_funds", "51", LATER, "Your card has insufficient funds."
    ),
    "card_velocity_exceeded": _issuer("card_velocity_exceeded", "61", LATER, _VELOCITY),
    "withdrawal_count_limit_exceeded": _issuer(
        "withdrawal_count_limit_exceeded", "65", LATER, _VELOCITY
    ),
    "do_not_honor": _issuer("do_not_honor", "05", LATER),
    "call_issuer": _issuer("call_issuer", "01", LATER),
    "no_action_taken": _issuer("no_action_taken", "21", LATER),
    "try_again_later": _issuer("try_again_later", "19", LATER),
    # transient: a fault on the way
    "processing_error": _named("processing_error", "96", LATER, _PROCESSING),
    "issuer_not_available": _issuer("issuer_not_available", "91", LATER),
    "reenter_transaction": _issuer("reenter_transaction", "19", LATER),
    "approve_with_id": _issuer("approve_with_id", "08", LATER),
    # may be our own success seen twice
    "duplicate_transaction": _issuer(
        "duplicate_transaction", "94", None,
        "A transaction with identical amount and credit card information was "
        "submitted very recently.",
    ),
    # the card's data are wrong or old
    "expired_card": _named(
        "expired_card", "54", CHECK, "Your card has expired.", "exp_month"
    )._replace(network_advice="03"),
    "incorrect_number": _named("incorrect_number", "14", CHECK, NUMBER, "number"),
    "invalid_number": _named("invalid_number", "14", CHECK, NUMBER, "number"),
    "invalid_account": _issuer("invalid_account", "46", NEVER),
    "invalid_expiry_month": _named(
        "invalid_expiry_month", "54", CHECK,
        "Your card's expiration month is invalid.", "exp_month",
    ),
    "invalid_expiry_year": _named(
        "invalid_expiry_year", "54", CHECK,
        "Your card's expiration year is invalid.", "exp_year",
    ),
    "incorrect_cvc": _named(
        "incorrect_cvc", "N7", CHECK, "Your card's security code is incorrect.", "cvc"
    ),
    "invalid_cvc": _named(
        "invalid_cvc", "N7", CHECK, "Your card's security code is invalid.", "cvc"
    ),
    "incorrect_zip": _named(
        "incorrect_zip", "N7", CHECK,
        "Your card's zip code failed validation.", "address_zip",
    ),
    "new_account_information_available": _issuer(
        "new_account_information_available", "05", CHECK
    ),
    # hard: this card, never again
    "card_not_supported": _issuer(
        "card_not_supported", "57", NEVER, "Your card is not supported."
    ),
    "currency_not_supported": _issuer(
        "currency_not_supported", "57", NEVER,
        "Your card is not supported. Please use a different card.",
    ),
    "pickup_card": _issuer("pickup_card", "04", NEVER),
    "lost_card": _issuer("lost_card", "41", NEVER),
    "stolen_card": _issuer("stolen_card", "43", NEVER),
    "restricted_card": _issuer("restricted_card", "62", NEVER),
    "revocation_of_authorization": _issuer("revocation_of_authorization", "R1", NEVER),
    "revocation_of_all_authorizations": _issuer(
        "revocation_of_all_authorizations", "R3", NEVER
    ),
    "stop_payment_order": _issuer("stop_payment_order", "R0", NEVER),
    "service_not_allowed": _issuer("service_not_allowed", "58", NEVER),
    "transaction_not_allowed": _issuer(
        "transaction_not_allowed", "57", NEVER, UNSUPPORTED
    ),
    "not_permitted": _issuer("not_permitted", "57", NEVER, UNSUPPORTED),
    "security_violation": _issuer("security_violation", "63", NEVER),
    "incorrect_pin": _issuer("incorrect_pin", "55", CHECK),
    "invalid_pin": _issuer("invalid_pin", "55", CHECK),
    "pin_try_exceeded": _issuer("pin_try_exceeded", "75", NEVER),
    "offline_pin_required": _issuer("offline_pin_required", "70", NEVER),
    "online_or_offline_pin_required": _issuer(
        "online_or_offline_pin_required", "1A", NEVER
    ),
    "testmode_decline": _issuer("testmode_decline", "05", NEVER, _TEST_CARD),
    "invalid_amount": _issuer(
        "invalid_amount", "13", NEVER,
        "Your card's issuer has declined the amount of this transaction.",
    ),
    "card_decline_rate_limit_exceeded": Decline(
        "card_decline_rate_limit_exceeded", None, _RATE, None, None,
        "card_decline_rate_limit_exceeded", "blocked", "Stripe blocked this payment.",
    ),
    # fraud: shown to the customer as a generic decline
    "fraudulent": _blocked("fraudulent", "highest_risk_level"),
    "highest_risk_level": _blocked("fraudulent", "highest_risk_level"),
    "merchant_blacklist": _blocked("merchant_blacklist", "merchant_blacklist"),
    "previously_declined_do_not_retry": _blocked(
        "generic_decline", "previously_declined_do_not_retry", advice=NEVER
    ),
    # the issuer wants the cardholder
    "authentication_required": Decline(
        "authentication_required", "authentication_required",
        "Your card was declined. This transaction requires authentication.",
        None, None, "authentication_required",
    ),
    "authentication_not_handled": _issuer("authentication_not_handled", "1A", None),
    "mobile_device_authentication_required": _issuer(
        "mobile_device_authentication_required", "1A", None
    ),
}  # fmt: skip
