"""A2Billing 2.3: MySQL or MariaDB; as installed, every table is MyISAM.

MyISAM has no transactions and no row locks. A credit there is a log row marked as
pending and one statement over both tables that adds it to the balance and takes the
mark away: repeated as often as one likes, it adds once. Sites that have converted to
InnoDB get one transaction.

Balances are in the base currency. While a call runs, a reservation is held back from
the balance and given back at its end: it is not spent. A refill is credited net of
VAT and paid gross. Our invoices are numbered in a series of their own, after the refill
that they are for: the package reads its counter and writes it back later, so that a
number which we took in between would make its own invoice fail.
"""

from decimal import Decimal

from replenish.adapters.sql_billing.profile import (
    Accounts,
    Calls,
    Credit,
    Log,
    Pending,
    Profile,
)

AVAILABLE = (
    "c.credit + IF(c.typepaid = 1, COALESCE(c.creditlimit, 0), 0)"
    " + GREATEST(COALESCE(c.inuse, 0), 0) * :reservation"
)
MARK = " [pending]"

BY_KEY = "FORCE INDEX (PRIMARY)"
"""MySQL holds a scan and a sort of a whole MyISAM table for cheaper than a page in the
order of its key, and who reads such a table keeps every hang-up waiting meanwhile."""

EARLIER = """
    SELECT r.id, SUBSTRING_INDEX(SUBSTRING_INDEX(
             r.description, ', paid ', -1), ' [', 1) AS amount,
           SUBSTRING_INDEX(SUBSTRING_INDEX(
             r.description, ' -> ', -1), ',', 1) AS after,
           r.description LIKE '% [pending]' AS pending
    FROM cc_logrefill r
    WHERE r.id >= :first AND r.card_id = :id
      AND r.description LIKE CONCAT('%, ref ', :reference, ', paid %')
    LIMIT 1
"""
TRAIL = f"""
    SELECT r.credit AS credited, SUBSTRING_INDEX(SUBSTRING_INDEX(
             r.description, ' -> ', -1), ',', 1) AS after,
           {AVAILABLE} AS available,
           COALESCE((SELECT SUM(l.credit) FROM cc_logrefill l
                     WHERE l.id > r.id AND l.card_id = c.id
                       AND COALESCE(l.description, '') NOT LIKE '% [pending]'
                       AND COALESCE(l.description, '') NOT LIKE 'Correction: %'), 0)
           - COALESCE((SELECT SUM(k.sessionbill) FROM cc_call k
                       WHERE k.card_id = c.id AND k.stoptime >= r.date
                         AND k.starttime >= r.date - INTERVAL 3 HOUR), 0) AS moved,
           COALESCE((SELECT SUM(k.sessionbill) FROM cc_call k
                     WHERE k.card_id = c.id AND k.stoptime >= r.date - INTERVAL 1 HOUR
                       AND k.starttime >= r.date - INTERVAL 3 HOUR), 0) AS around
    FROM cc_logrefill r JOIN cc_card c ON c.id = r.card_id
    WHERE r.id >= :first AND r.card_id = :id
      AND r.description LIKE CONCAT('%, ref ', :reference, ', paid %')
      AND r.description NOT LIKE '% [pending]'
    LIMIT 1
"""  # noqa: S608 a constant
REFILL = """
    INSERT INTO cc_logrefill (date, credit, card_id, description, refill_type,
      added_invoice, agent_id)
    VALUES (NOW(), :net, :id, CONCAT(:note, ', paid ', :gross, :mark), :correction,
      :paid, :agent)
"""
ACCOUNT = f"""
    SELECT {AVAILABLE} AS available, c.vat, '' AS mark,
           (SELECT g.id_agent FROM cc_card_group g
            WHERE g.id = c.id_group LIMIT 1) AS agent
    FROM cc_card c WHERE c.id = :id
"""  # noqa: S608 a constant; no join, whose rows would be locked as well
EXPIRED = """
    CASE c.enableexpire
      WHEN 1 THEN c.expirationdate BETWEEN '1971-01-01' AND NOW()
      WHEN 2 THEN c.expiredays > 0 AND c.firstusedate > '1971-01-01'
        AND c.firstusedate + INTERVAL c.expiredays DAY < NOW()
      WHEN 3 THEN c.expiredays > 0
        AND c.creationdate + INTERVAL c.expiredays DAY < NOW()
      ELSE FALSE END
"""

PROFILE = Profile(
    name="a2billing",
    dialect="mysql",
    scale=5,
    most=Decimal("9999999999.99999"),
    accounts=Accounts(
        table="cc_card c",
        by_key=BY_KEY,
        only="c.id > 0",
        id="c.id",
        available=AVAILABLE,
        real_time="c.typepaid = 1",
        state="c.status",
        active=1,
        suspended=6,  # suspended for underpayment; 0, 2 to 5, 7 and 8 are others'
        name="c.username",
        email="c.email",
        expired=EXPIRED,  # its AGI writes 5 at the next call only
    ),
    credit=Credit(
        lock=f"{ACCOUNT} FOR UPDATE",
        find=EARLIER,
        trail=TRAIL,
        corrects=("balance", "refill"),
        log=Log("cc_logrefill", by_key=BY_KEY),
        vat="vat",
        steps={
            "balance": "UPDATE cc_card SET credit = credit + :net WHERE id = :id",
            "refill": REFILL,
            "payment": """
                INSERT INTO cc_logpayment (date, payment, card_id, id_logrefill,
                  description, added_refill, payment_type, agent_id)
                VALUES (NOW(), :gross, :id, :refill_id, :note, 1, :correction, :agent)
            """,
            "invoice": """
                INSERT INTO cc_invoice (reference, id_card, date, paid_status, status,
                  title, description)
                VALUES (CONCAT(YEAR(NOW()), 'R', :refill_id), :id, NOW(), 1, 1,
                  IF(:net < 0, 'CUSTOMER REFUND', 'CUSTOMER REFILL'), :note)
            """,
            "item": """
                INSERT INTO cc_invoice_item (id_invoice, date, price, VAT, description)
                VALUES (:invoice_id, NOW(), :net, :vat, :note)
            """,
            "link": "INSERT INTO cc_invoice_payment (id_invoice, id_payment)"
            " VALUES (:invoice_id, :payment_id)",
            "transaction": """
                INSERT IGNORE INTO cc_payments (customers_id, customers_name,
                  customers_email_address, item_name, item_id, item_quantity,
                  payment_method, orders_status, orders_amount, last_modified,
                  date_purchased, orders_date_finished, currency, currency_value)
                SELECT c.id, CONCAT(c.firstname, ' ', c.lastname), c.email,
                  CONCAT(IF(:correction = 1, 'Refund', 'Automatic top-up'), ', ref ',
                    :reference), c.username, 1, 'Stripe',
                  IF(:correction = 1, 4, 2), :gross, NOW(), NOW(), NOW(),
                  (SELECT LEFT(UPPER(f.config_value), 3) FROM cc_config f
                   WHERE f.config_key = 'base_currency' LIMIT 1), 1
                FROM cc_card c WHERE c.id = :id
            """,
        },
        pending=Pending(
            engine="""
                SELECT COUNT(*) FROM information_schema.tables
                WHERE table_schema = DATABASE() AND engine <> 'InnoDB'
                  AND table_name IN ('cc_card', 'cc_logrefill', 'cc_logpayment',
                    'cc_invoice', 'cc_invoice_item', 'cc_invoice_payment',
                    'cc_payments')
            """,
            account=ACCOUNT,
            mark=MARK,
            refill="refill",
            settle="""
                UPDATE cc_card c JOIN cc_logrefill r ON r.card_id = c.id
                SET c.credit = c.credit + r.credit,
                    r.description = REPLACE(r.description, :mark, '')
                WHERE r.id = :refill_id AND r.description LIKE CONCAT('%', :mark)
            """,
            exists={
                "payment": "SELECT id FROM cc_logpayment"
                " WHERE card_id = :id AND id_logrefill = :refill_id LIMIT 1",
                "invoice": "SELECT id FROM cc_invoice WHERE id_card = :id"
                " AND description LIKE CONCAT('%, ref ', :reference) LIMIT 1",
                "item": "SELECT id FROM cc_invoice_item"
                " WHERE id_invoice = :invoice_id LIMIT 1",
                "link": "SELECT id_payment FROM cc_invoice_payment"
                " WHERE id_invoice = :invoice_id AND id_payment = :payment_id LIMIT 1",
                "transaction": "SELECT id FROM cc_payments WHERE customers_id = :id"
                " AND item_name LIKE CONCAT('%, ref ', :reference) LIMIT 1",
            },
        ),
    ),
    credits="""
        SELECT SUBSTRING_INDEX(SUBSTRING_INDEX(
                 description, ', ref ', -1), ',', 1) AS reference,
               card_id AS account,
               CAST(SUBSTRING_INDEX(SUBSTRING_INDEX(
                 description, ', paid ', -1), ' [', 1) AS DECIMAL(15, 5)) AS amount
        FROM cc_logrefill
        WHERE description LIKE '%, ref %, paid %'
          AND description NOT LIKE '% [pending]'
    """,
    calls=Calls(table="cc_call", account="card_id", settles=2.0, by_key=BY_KEY),
    on_connect=("SET @serial = NULL",),  # else its trigger gives other cards ours
    facts={
        "reservation": """
            SELECT COALESCE((SELECT CAST(config_value AS DECIMAL(15, 5)) FROM cc_config
              WHERE config_key = 'dial_balance_reservation' LIMIT 1), 0.25)
        """,
    },
    needs={
        "cc_card": (
            *("id", "username", "credit", "creditlimit", "typepaid", "status"),
            *("email", "vat", "inuse", "id_group", "autorefill", "firstname"),
            *("lastname", "enableexpire", "expirationdate", "expiredays"),
            *("firstusedate", "creationdate"),
        ),
        "cc_agent": ("id", "commission"),
        "cc_version": ("version",),
        "cc_card_group": ("id", "id_agent"),
        "cc_config": ("config_key", "config_value"),
        "cc_logrefill": (
            *("id", "date", "credit", "card_id", "description", "refill_type"),
            *("added_invoice", "agent_id"),
        ),
        "cc_logpayment": (
            *("id", "date", "payment", "card_id", "id_logrefill", "description"),
            *("added_refill", "payment_type", "agent_id"),
        ),
        "cc_invoice": (
            *("id", "reference", "id_card", "date", "paid_status", "status", "title"),
            "description",
        ),
        "cc_invoice_item": ("id", "id_invoice", "date", "price", "vat", "description"),
        "cc_invoice_payment": ("id_invoice", "id_payment"),
        "cc_payments": (
            *("id", "customers_id", "customers_name", "customers_email_address"),
            *("item_name", "item_id", "item_quantity", "payment_method"),
            *("orders_status", "orders_amount", "last_modified", "date_purchased"),
            *("orders_date_finished", "currency", "currency_value"),
        ),
        "cc_call": ("id", "card_id", "starttime", "stoptime", "sessionbill"),
    },
    inserts=(
        *("cc_logrefill", "cc_logpayment", "cc_invoice", "cc_invoice_item"),
        *("cc_invoice_payment", "cc_payments"),
    ),
    updates={
        "cc_card": ("credit", "status"),
        "cc_logrefill": ("description",),
    },
    warnings={
        """
        SELECT UPPER(config_value) AS base FROM cc_config
        WHERE config_key = 'base_currency' AND config_value <> ''
          AND UPPER(config_value) <> :currency
        """: "A2Billing keeps its balances in {base}, and BILLING_CURRENCY is another;"
        " set it to {base}.",
        """
        SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM cc_config
          WHERE config_key = 'base_currency' AND config_value <> '')
        """: "A2Billing has no base currency, so that nobody can tell what its balances"
        " are in; set base_currency in its global settings.",
        """
        SELECT COUNT(*) AS many FROM cc_card WHERE autorefill = 1 HAVING many > 0
        """: "A2Billing's own autorefill is on for {many} accounts: it gives credit"
        " without charging a card. Switch it off for those that are enrolled here.",
    },
    remarks={
        """
        SELECT COUNT(*) AS many FROM cc_agent WHERE commission > 0 HAVING many > 0
        """: "{many} agents have a commission on payments; it is not booked for ours,"
        " so settle it from the payments list.",
    },
    version="SELECT version FROM cc_version LIMIT 1",
    tried=("2.3",),
    secrets={"cc_card": ("uipass", "loginkey")},
)
