"""Card numbers, which must not get in: found in any text, and blotted out of it.

We know a card by the gateway's ids and its last four digits. Whatever passes the card
schemes' check digit at their lengths (ISO/IEC 7812-1: 13 to 19 digits here, also in
groups) is taken for the number of one: names of accounts are refused for it, free
text and log lines lose it. One number in ten of that length passes by chance; such a
one is lost too.
"""

import re
from typing import Final

CARD_NUMBER: Final = "[card number]"

_LIKELY = re.compile(
    # An id may hold as many digits, and is left readable: a UUID, or one of the
    # gateway's (a prefix, and then letters among the digits).
    r"(?P<id>\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b"
    r"|\b[a-z]{2,8}_\d*[A-Za-z][0-9A-Za-z]*\b)"
    r"|(?<!\d)(?<!\d[. -])\d(?:[ -]?\d){12,18}(?![ -]?\d)"
)


def blotted(text: str) -> str:
    """Give `text` without card numbers; repeating it changes nothing more."""
    return _LIKELY.sub(_blot, text)


def is_in(text: str) -> bool:
    """Whether `text` holds what may be a card number."""
    return blotted(text) != text


def _blot(found: re.Match[str]) -> str:
    if found["id"]:
        return found.group()
    digits = [int(sign) for sign in found.group() if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    luhn = (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
    return CARD_NUMBER if luhn else found.group()
