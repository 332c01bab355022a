"""The objects as Stripe returns them, every field present, nulls included.

Fields: stripe 16.1's typed resources and recorded test-mode objects. Nested
constants are shared between objects and are never changed in place.
"""

from replenish.sandbox.cards import Plastic
from replenish.sandbox.declines import Decline
from replenish.sandbox.errors import DOCS, Json

NO_ADDRESS: Json = {
    "city": None, "country": None, "line1": None, "line2": None,
    "postal_code": None, "state": None,
}  # fmt: skip
NO_BILLING: Json = {
    "address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None,
}  # fmt: skip

CUSTOMER: Json = {
    "id": "", "object": "customer", "address": None, "balance": 0, "created": 0,
    "currency": None, "customer_account": None, "default_source": None,
    "delinquent": False, "description": None, "discount": None, "email": None,
    "invoice_prefix": "", "invoice_settings": {
        "custom_fields": None, "default_payment_method": None, "footer": None,
        "rendering_options": None,
    }, "livemode": False, "metadata": {}, "name": None, "next_invoice_sequence": 1,
    "phone": None, "preferred_locales": [], "shipping": None, "tax_exempt": "none",
    "test_clock": None,
}  # fmt: skip

#: Where a call names no payment method types, Stripe goes by the account's
#: Dashboard: cards, Link, and methods that may redirect.
AUTOMATIC: Json = {"allow_redirects": "always", "enabled": True}
CONFIGURATION: Json = {"id": "pmc_1SandboxReplenish0000000", "parent": None}
_CARD_OPTIONS: Json = {
    "installments": None, "mandate_options": None, "network": None,
    "request_three_d_secure": "automatic",
}  # fmt: skip
CARD_ONLY: Json = {"card": _CARD_OPTIONS}
CARD_AND_LINK: Json = {"card": _CARD_OPTIONS, "link": {"persistent_token": None}}
_NOT_MANAGED: Json = {"enabled": False}

INTENT: Json = {
    "id": "", "object": "payment_intent", "allowed_payment_method_types": None,
    "amount": 0, "amount_capturable": 0, "amount_details": {"tip": {}},
    "amount_received": 0, "application": None, "application_fee_amount": None,
    "automatic_payment_methods": AUTOMATIC,
    "canceled_at": None, "cancellation_reason": None,
    "capture_method": "automatic_async", "client_secret": "",
    "confirmation_method": "automatic", "created": 0, "currency": "",
    "customer": None, "customer_account": None, "description": None,
    "excluded_payment_method_types": None, "last_payment_error": None,
    "latest_charge": None, "livemode": False, "managed_payments": _NOT_MANAGED,
    "metadata": {}, "next_action": None, "on_behalf_of": None, "payment_method": None,
    "payment_method_configuration_details": CONFIGURATION,
    "payment_method_options": CARD_AND_LINK, "payment_method_types": ["card", "link"],
    "payment_record": None, "processing": None, "receipt_email": None,
    "review": None, "setup_future_usage": None, "shared_payment_granted_token": None,
    "shipping": None, "source": None,
    "statement_descriptor": None, "statement_descriptor_suffix": None,
    "status": "requires_payment_method", "transfer_data": None,
    "transfer_group": None,
}  # fmt: skip

SETUP_INTENT: Json = {
    "id": "", "object": "setup_intent", "allowed_payment_method_types": None,
    "application": None, "automatic_payment_methods": AUTOMATIC,
    "cancellation_reason": None, "client_secret": "", "created": 0,
    "customer": None, "customer_account": None, "description": None,
    "excluded_payment_method_types": None, "flow_directions": None,
    "last_setup_error": None, "latest_attempt": None, "livemode": False,
    "managed_payments": _NOT_MANAGED, "mandate": None, "metadata": {},
    "next_action": None, "on_behalf_of": None,
    "payment_method": None, "payment_method_configuration_details": CONFIGURATION,
    "payment_method_options": {"card": {
        "mandate_options": None, "network": None,
        "request_three_d_secure": "automatic",
    }}, "payment_method_types": ["card", "link"], "single_use_mandate": None,
    "status": "requires_payment_method", "usage": "off_session",
}  # fmt: skip

CHARGE: Json = {
    "id": "", "object": "charge", "amount": 0, "amount_captured": 0,
    "amount_refunded": 0, "application": None, "application_fee": None,
    "application_fee_amount": None, "balance_transaction": None,
    "billing_details": NO_BILLING, "calculated_statement_descriptor": "Stripe",
    "captured": False, "created": 0, "currency": "", "customer": None,
    "description": None, "destination": None, "dispute": None, "disputed": False,
    "failure_balance_transaction": None, "failure_code": None,
    "failure_message": None, "fraud_details": {}, "livemode": False,
    "metadata": {}, "on_behalf_of": None, "order": None, "outcome": None,
    "paid": False, "payment_intent": None, "payment_method": None,
    "payment_method_details": None, "radar_options": {}, "receipt_email": None,
    "receipt_number": None, "receipt_url": None, "refunded": False, "review": None,
    "shipping": None, "source": None, "source_transfer": None,
    "statement_descriptor": None, "statement_descriptor_suffix": None,
    "status": "succeeded",
    "transfer_data": None, "transfer_group": None,
}  # fmt: skip

REFUND: Json = {
    "id": "", "object": "refund", "amount": 0, "balance_transaction": None,
    "charge": "", "created": 0, "currency": "", "customer": None,
    "customer_account": None, "destination_details": {
        "card": {
            "reference_status": "pending", "reference_type":
            "acquirer_reference_number", "type": "refund",
        }, "type": "card",
    }, "metadata": {}, "payment_intent": None, "payment_method": None,
    "reason": None, "receipt_number": None, "source_transfer_reversal": None,
    "status": "succeeded", "transfer_reversal": None,
}  # fmt: skip

_EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy",
    "cancellation_policy_disclosure", "cancellation_rebuttal",
    "customer_communication", "customer_email_address", "customer_name",
    "customer_purchase_ip", "customer_signature", "duplicate_charge_documentation",
    "duplicate_charge_explanation", "duplicate_charge_id", "product_description",
    "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation",
    "shipping_address", "shipping_carrier", "shipping_date", "shipping_documentation",
    "shipping_tracking_number", "uncategorized_file", "uncategorized_text",
)  # fmt: skip
DISPUTE: Json = {
    "id": "", "object": "dispute", "amount": 0, "balance_transaction": None,
    "balance_transactions": [],
    "charge": "", "created": 0, "currency": "", "enhanced_eligibility_types": [],
    "evidence": {**dict.fromkeys(_EVIDENCE), "enhanced_evidence": {}},
    "evidence_details": {}, "is_charge_refundable": False, "livemode": False,
    "metadata": {}, "payment_intent": None, "payment_method_details": {},
    "reason": "fraudulent", "status": "needs_response",
}  # fmt: skip

BALANCE_TRANSACTION: Json = {
    "id": "", "object": "balance_transaction", "amount": 0, "available_on": 0,
    "balance_type": "payments", "created": 0, "currency": "", "description": None,
    "exchange_rate": None, "fee": 0, "fee_details": [], "net": 0,
    "reporting_category": "charge", "source": "", "status": "pending",
    "type": "charge",
}  # fmt: skip

WEBHOOK_ENDPOINT: Json = {
    "id": "", "object": "webhook_endpoint", "api_version": None, "application": None,
    "created": 0, "description": None, "enabled_events": [], "livemode": False,
    "metadata": {}, "status": "enabled", "url": "",
}  # fmt: skip

_UNCHECKED: Json = {
    "address_line1_check": None, "address_postal_code_check": None,
    "cvc_check": "unchecked",
}  # fmt: skip
_CHECKED: Json = {**_UNCHECKED, "cvc_check": "pass"}
APPROVED: Json = {
    "advice_code": None, "network_advice_code": None, "network_decline_code": None,
    "network_status": "approved_by_network", "reason": None, "risk_level": "normal",
    "risk_score": 12, "seller_message": "Payment complete.", "type": "authorized",
}  # fmt: skip


def payment_method(id_: str, plastic: Plastic, *, expiry: tuple[int, int]) -> Json:
    """Return a PaymentMethod of type card; `expiry` is (month, year)."""
    return {
        "id": id_, "object": "payment_method", "allow_redisplay": "unspecified",
        "billing_details": NO_BILLING,
        "card": {
            "brand": plastic.brand, "checks": _UNCHECKED,
            "country": plastic.country, "display_brand": plastic.brand,
            "exp_month": expiry[0], "exp_year": expiry[1],
            "fingerprint": plastic.fingerprint, "funding": plastic.funding,
            "generated_from": None, "last4": plastic.last4,
            "networks": {"available": [plastic.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True}, "wallet": None,
        },
        "created": 0, "customer": None, "customer_account": None,
        "livemode": False, "metadata": {}, "shared_payment_granted_token": None,
        "type": "card",
    }  # fmt: skip


def checked(method: Json) -> Json:
    """Return a PaymentMethod as it is once a bank has looked at the card."""
    if method["card"]["checks"]["cvc_check"] == "pass":
        return method
    return {**method, "card": {**method["card"], "checks": _CHECKED}}


def card_details(card: Json, *, amount: int, approved: bool, auth: str | None) -> Json:
    """Return `charge.payment_method_details` for a PaymentMethod's card.

    `auth` is the bank's code for this request, or None if it was never asked.
    """
    return {
        "card": {
            "amount_authorized": amount if approved else None,
            "authorization_code": auth,
            "brand": card["brand"], "checks": _CHECKED,
            "country": card["country"], "electronic_commerce_indicator": "07",
            "exp_month": card["exp_month"], "exp_year": card["exp_year"],
            "extended_authorization": {"status": "disabled"},
            "fingerprint": card["fingerprint"], "funding": card["funding"],
            "incremental_authorization": {"status": "unavailable"},
            "installments": None, "last4": card["last4"], "mandate": None,
            "multicapture": {"status": "unavailable"}, "network": card["brand"],
            "network_token": {"used": False},
            "network_transaction_id": auth and network_id(card["fingerprint"]),
            "overcapture": {
                "maximum_amount_capturable": amount, "status": "unavailable",
            },
            "regulated_status": "unregulated", "three_d_secure": None,
            "transaction_link_id": None, "wallet": None,
        },
        "type": "card",
    }  # fmt: skip


def network_id(fingerprint: str) -> str:
    """Return the card network's own id: 15 digits, the same for every charge."""
    return f"{int(fingerprint, 16) % 10**15:015d}"


def declined_outcome(decline: Decline) -> Json:
    """Return `charge.outcome` of a declined charge."""
    blocked = decline.type == "blocked"
    return {
        "advice_code": decline.advice,
        "network_advice_code": decline.network_advice,
        "network_decline_code": decline.network,
        "network_status": "not_sent_to_network" if blocked else "declined_by_network",
        "reason": decline.reason,
        "risk_level": "highest" if blocked else "normal",
        "risk_score": 92 if blocked else 12,
        "seller_message": decline.seller_message,
        "type": decline.type,
    }


def card_error(decline: Decline, method: Json, charge: str | None = None) -> Json:
    """Return the error as the intent keeps it; nulls are left out."""
    error = {
        "advice_code": decline.advice,
        "charge": charge,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": DOCS + decline.code.replace("_", "-"),
        "message": decline.message,
        "network_advice_code": decline.network_advice,
        "network_decline_code": decline.network,
        "param": decline.param,
        "payment_method": dict(method),
        "type": "card_error",
    }
    return {name: value for name, value in error.items() if value is not None}
