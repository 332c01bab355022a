"""Which amounts Stripe accepts: currencies, their minor units and limits.

Source: docs.stripe.com/currencies (zero-decimal and special cases, minimum and
maximum charge amounts). Amounts are integers in the currency's minor units.
"""

from replenish.sandbox.errors import ApiError, invalid

ZERO_DECIMAL = frozenset(
    {
        "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd",
        "vuv", "xaf", "xof", "xpf",
    }
)  # fmt: skip
WHOLE_ONLY = frozenset({"isk", "ugx"})  # two decimals on the wire, always 00
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
#: In the order in which Stripe names them.
_NAMES = (
    "usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob "
    "brl bsd bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd egp etb "
    "eur fjd fkp gbp gel gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd "
    "jod jpy kes kgs khr kmf krw kwd kyd kzt lak lbp lkr lrd lsl mad mdl mga mkd mmk "
    "mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr "
    "pln pyg qar ron rsd rub rwf sar sbd scr sek sgd shp sle sos srd std szl thb tjs "
    "tnd top try ttd twd tzs uah ugx uyu uzs vnd vuv wst xaf xcd xcg xof xpf yer zar "
    "zmw usdc btn ghs eek lvl svc vef ltl sll mro "
)
SUPPORTED = tuple(_NAMES.split())

MINIMUM = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50,
    "czk": 1500, "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500,
    "inr": 50, "jpy": 50, "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50,
    "pln": 200, "ron": 200, "sek": 300, "sgd": 50, "thb": 1000,
}  # fmt: skip
DIGITS = {"idr": 12, "inr": 9}  # every other currency: 8
_TOO_LITTLE = (
    "The amount must be greater than or equal to the minimum charge amount allowed for "
    "your account and the currency set "
    "(https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).  If you "
    "want to save a Payment Method for future use without an immediate payment, use a "
    "Setup Intent instead: https://docs.stripe.com/payments/setup-intents"
)
SIGNS = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "inr": "₹"}


def decimals(currency: str) -> int:
    """Return how many digits of an amount stand behind the point."""
    if currency in ZERO_DECIMAL:
        return 0
    return 3 if currency in THREE_DECIMAL else 2


def written(amount: int, currency: str) -> str:
    """Return the amount as Stripe writes it in a sentence: `$0.50`."""
    places = decimals(currency)
    sign = SIGNS.get(currency, "")
    if not places:
        return f"{sign}{amount:,}"
    whole, rest = divmod(amount, 10**places)
    return f"{sign}{whole:,}.{rest:0{places}d}"


def check_currency(currency: str) -> str:
    """Return the currency in lower case, or refuse one Stripe does not know."""
    code = currency.lower()
    if code not in SUPPORTED:
        known = ", ".join(SUPPORTED)
        message = (
            f"Invalid currency: {code}. Stripe currently supports these "
            f"currencies: {known}"
        )
        raise invalid(message, "currency")
    return code


def check_amount(amount: int, currency: str) -> None:
    """Refuse an amount below the minimum, too long, or not sendable.

    Raises:
        ApiError: `amount_too_small`, `amount_too_large` or an invalid integer.
    """
    if amount < 1:
        raise invalid(_TOO_LITTLE, "amount", code="parameter_invalid_integer")
    if amount < (least := MINIMUM.get(currency, 1)):
        message = f"Amount must be at least {written(least, currency)} {currency}"
        raise invalid(message, "amount", code="amount_too_small")
    most = 10 ** DIGITS.get(currency, 8) - 1
    if amount > most:
        message = f"Amount must be no more than {written(most, currency)} {currency}"
        raise invalid(message, "amount", code="amount_too_large")
    _check_last_digits(amount, currency)


def _check_last_digits(amount: int, currency: str) -> None:
    if currency in THREE_DECIMAL and amount % 10:
        raise _not_sendable(step="10", currency=currency)
    if currency in WHOLE_ONLY and amount % 100:
        raise _not_sendable(step="100", currency=currency)


def _not_sendable(step: str, currency: str) -> ApiError:
    message = f"Amounts in {currency} must be multiples of {step} minor units."
    return invalid(message, "amount", code="parameter_invalid_integer")
