"""What may stand on the cardholder's statement: `statement_descriptor_suffix`.

docs.stripe.com/get-started/account/statement-descriptors. On a card payment only the
suffix may be chosen; the account's prefix stands before it.
"""

from replenish.sandbox.errors import invalid
from replenish.sandbox.world import Call

_LONGEST = 22
_FORBIDDEN = "<>\\'\"*"
_NOT_WITH_CARDS = (
    "The statement_descriptor parameter is not supported for the payment_method_type "
    "`card`. To continue supporting payment_method_type `card`, please pass in "
    "`statement_descriptor_suffix` or remove the `statement_descriptor` parameter "
    "altogether. Please see "
    "https://support.stripe.com/questions/use-of-the-statement-descriptor-parameter-on-"
    "paymentintents-for-card-charges for additional details."
)


def check_descriptors(call: Call) -> None:
    """Refuse a descriptor that a card payment may not have.

    Raises:
        ApiError: 400, naming the parameter.
    """
    if call.text("statement_descriptor"):
        raise invalid(_NOT_WITH_CARDS, "statement_descriptor")
    name = "statement_descriptor_suffix"
    text = call.text(name)
    if text is None:
        return
    if len(text) > _LONGEST:
        message = (
            f"The statement descriptor must be at most {_LONGEST} characters. {text} "
            f"is {len(text)} characters long."
        )
        raise invalid(message, name)
    if not any(letter.isalpha() for letter in text):
        message = (
            "The statement descriptor must contain at least one alphabetic character."
        )
        raise invalid(message, name)
    if any(sign in text for sign in _FORBIDDEN):
        message = (
            "The statement descriptor may not contain any of the following characters: "
            + ", ".join(_FORBIDDEN)
        )
        raise invalid(message, name)
