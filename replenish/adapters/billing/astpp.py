"""ASTPP 6: MySQL 8 or MariaDB, InnoDB.

A postpaid balance is the amount owed, so its sign is turned, and `status` is 0 when
active. Its refill report joins `payment_transaction` with `invoice_details`: both are
written, and a prepaid refill's invoice too. Times are UTC as text of the server's own
time zone; where that has daylight saving, the hour that it skips each spring is
written as its end, since a timestamp column refuses it. Its call records have no key,
so they are looked over by when calls began.
"""

from decimal import Decimal

from replenish.adapters.sql_billing.profile import (
    Accounts,
    ByStart,
    Credit,
    Log,
    Profile,
)

AVAILABLE = "IF(a.posttoexternal = 1, a.credit_limit - a.balance, a.balance)"
ENDED = "k.callstart + INTERVAL k.billseconds SECOND"
TRAIL = f"""
    SELECT p.amount AS credited, SUBSTRING_INDEX(SUBSTRING_INDEX(
             p.transaction_details, ' -> ', -1), ',', 1) AS after,
           {AVAILABLE} AS available,
           COALESCE((SELECT SUM(l.amount) FROM payment_transaction l
                     WHERE l.id > p.id AND l.accountid = a.id), 0)
           - COALESCE((SELECT SUM(k.debit) FROM cdrs k
                       WHERE k.accountid = a.id AND {ENDED} >= p.date
                         AND k.callstart >= p.date - INTERVAL 3 HOUR), 0) AS moved,
           COALESCE((SELECT SUM(k.debit) FROM cdrs k
                     WHERE k.accountid = a.id AND {ENDED} >= p.date - INTERVAL 1 HOUR
                       AND k.callstart >= p.date - INTERVAL 3 HOUR), 0) AS around
    FROM payment_transaction p JOIN accounts a ON a.id = p.accountid
    WHERE p.id >= :first AND p.accountid = :id AND p.transaction_id = :reference
    LIMIT 1
"""  # noqa: S608 a constant

PROFILE = Profile(
    name="astpp",
    dialect="mysql",
    scale=5,
    most=Decimal("999999999999.99999"),
    accounts=Accounts(
        table="accounts a",
        only="a.type = 0 AND a.deleted = 0",
        id="a.id",
        available=AVAILABLE,
        real_time="a.posttoexternal = 1",
        state="a.status",
        active=0,
        suspended=1,
        name="a.number",
        email="a.email",
        expired="a.expiry BETWEEN '1971-01-01' AND UTC_TIMESTAMP()",
    ),
    credit=Credit(
        lock=f"""
            SELECT {AVAILABLE} AS available, a.posttoexternal AS postpaid,
                   COALESCE(a.reseller_id, 0) AS reseller_id,
                   (SELECT c.currency FROM currency c
                    WHERE c.id = a.currency_id LIMIT 1) AS shown,
                   (SELECT c.currencyrate FROM currency c
                    WHERE c.id = a.currency_id LIMIT 1) AS rate,
                   IF(COALESCE(a.reseller_id, 0) = 0, 1, a.reseller_id) AS issuer,
                   (SELECT s.value FROM `system` s
                    WHERE s.name = 'base_currency' LIMIT 1) AS base
            FROM accounts a WHERE a.id = :id AND a.deleted = 0 FOR UPDATE
        """,  # noqa: S608 a constant; no join, whose rows would be locked as well
        find="""
            SELECT p.actual_amount AS amount, SUBSTRING_INDEX(SUBSTRING_INDEX(
                     p.transaction_details, ' -> ', -1), ',', 1) AS after
            FROM payment_transaction p
            WHERE p.id >= :first AND p.accountid = :id
              AND p.transaction_id = :reference
            LIMIT 1
        """,
        log=Log("payment_transaction"),
        ahead={
            # From where the issuer's last number is looked for once more under the
            # lock: without an index on the issuer this may read the whole table.
            "numbered": """
                SELECT COALESCE((SELECT i.id FROM invoices i
                                 WHERE i.reseller_id = COALESCE((
                                     SELECT a.reseller_id FROM accounts a
                                     WHERE a.id = :id), 0)
                                   AND i.number REGEXP '^[0-9]+$'
                                 ORDER BY i.id DESC LIMIT 1),
                                (SELECT MAX(m.id) FROM invoices m), 0) - 1000
            """,
        },
        trail=TRAIL,
        corrects=("payment", "invoice", "detail", "balance"),
        steps={
            "payment": """
                INSERT INTO payment_transaction (accountid, amount, tax,
                  payment_method, actual_amount, payment_fee, reseller_id,
                  transaction_id, customer_ip, user_currency, currency_rate,
                  transaction_details, date)
                VALUES (:id, :net * :paid, '0', IF(:paid = 1, 'Stripe', 'Correction'),
                  :gross, 0, :reseller_id, :reference, '', COALESCE(:shown, :base),
                  COALESCE(:rate, 1), JSON_OBJECT('note', :note),
                  FROM_UNIXTIME(UNIX_TIMESTAMP(UTC_TIMESTAMP())))
            """,
            "turn": "SELECT i.id FROM accounts i WHERE i.id = :issuer FOR UPDATE",
            "invoice": """
                INSERT INTO invoices (prefix, number, accountid, reseller_id,
                  payment_id, from_date, to_date, due_date, generate_date, status,
                  type, generate_type, confirm, notes, is_deleted)
                SELECT COALESCE((SELECT f.invoice_prefix FROM invoice_conf f
                                 WHERE f.accountid = :issuer LIMIT 1), ''),
                       COALESCE((SELECT l.number + 1 FROM (
                                   SELECT CAST(i.number AS UNSIGNED) AS number
                                   FROM invoices i WHERE i.reseller_id = :reseller_id
                                     AND i.id > :numbered
                                     AND i.number REGEXP '^[0-9]+$'
                                   ORDER BY i.id DESC LIMIT 1) AS l),
                                (SELECT f.invoice_start_from FROM invoice_conf f
                                 WHERE f.accountid = :issuer LIMIT 1), 1),
                       :id, :reseller_id, :payment_id, UTC_TIMESTAMP(),
                       UTC_TIMESTAMP(), UTC_TIMESTAMP(), UTC_TIMESTAMP(), 0, 'R', 0,
                       1, '', 0
                FROM accounts a
                WHERE a.id = :id AND :postpaid = 0 AND :correction = 0
            """,
            "detail": """
                INSERT INTO invoice_details (accountid, reseller_id, invoiceid,
                  order_item_id, charge_type, payment_id, product_category, is_tax,
                  base_currency, exchange_rate, account_currency, description, debit,
                  credit, created_date, generate_type, before_balance, after_balance,
                  quantity)
                VALUES (:id, :reseller_id, COALESCE(:invoice_id, 0), 0,
                  IF(:net < 0, 'POSTCHARGE', 'REFILL'), :payment_id, 3, 0, :base,
                  COALESCE(:rate, 1), COALESCE(:shown, :base), :note,
                  GREATEST(0 - :net, 0), GREATEST(:net, 0), UTC_TIMESTAMP(), 0, :before,
                  :after, 1)
            """,
            "balance": "UPDATE accounts SET balance = balance"
            " + IF(posttoexternal = 1, -1, 1) * :net WHERE id = :id",
        },  # `turn`: two credits of one issuer never take the same invoice number
    ),
    credits="""
        SELECT transaction_id AS reference, accountid AS account,
               actual_amount AS amount
        FROM payment_transaction
        WHERE transaction_details LIKE CONCAT('%, ref ', transaction_id, '"%')
    """,
    calls=ByStart(
        table="cdrs", account="accountid", started="callstart", seconds="billseconds"
    ),
    needs={
        "accounts": (
            *("id", "number", "balance", "credit_limit", "posttoexternal", "type"),
            *("status", "deleted", "currency_id", "email", "reseller_id", "expiry"),
        ),
        "currency": ("id", "currency", "currencyrate"),
        "system": ("name", "value"),
        "payment_transaction": (
            *("id", "accountid", "amount", "tax", "payment_method", "actual_amount"),
            *("payment_fee", "reseller_id", "transaction_id", "customer_ip"),
            *("user_currency", "currency_rate", "transaction_details", "date"),
        ),
        "invoices": (
            *("id", "prefix", "number", "accountid", "reseller_id", "payment_id"),
            *("from_date", "to_date", "due_date", "generate_date", "status", "type"),
            *("generate_type", "confirm", "notes", "is_deleted"),
        ),
        "invoice_details": (
            *("accountid", "reseller_id", "invoiceid", "order_item_id"),
            *("charge_type", "payment_id", "product_category", "is_tax"),
            *("base_currency", "exchange_rate", "account_currency", "description"),
            *("debit", "credit", "created_date", "generate_type", "before_balance"),
            *("after_balance", "quantity"),
        ),
        "invoice_conf": ("accountid", "invoice_prefix", "invoice_start_from"),
        "cdrs": ("accountid", "callstart", "billseconds", "debit"),
    },
    inserts=("payment_transaction", "invoices", "invoice_details"),
    updates={"accounts": ("balance", "status")},
    warnings={
        """
        SELECT value AS base FROM `system`
        WHERE name = 'base_currency' AND value <> '' AND value <> :currency
        """: "ASTPP keeps its balances in {base}, and BILLING_CURRENCY is another; set"
        " it to {base}.",
        """
        SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM `system`
          WHERE name = 'base_currency' AND value <> '')
        """: "ASTPP has no base currency, so that nobody can tell what its balances are"
        " in, and its invoices take none of ours; set it in its global settings.",
    },
    remarks={
        """
        SELECT IF(@@session.time_zone = 'SYSTEM', @@system_time_zone,
                  @@session.time_zone) AS zone
        FROM DUAL WHERE NOW() <> UTC_TIMESTAMP()
          OR UNIX_TIMESTAMP('2026-07-01') - UNIX_TIMESTAMP('2026-01-01') <> 181 * 86400
        """: "ASTPP writes UTC as times of the server's zone, which is {zone}; so do"
        " we. Leave the zone as it is, or all its dates shift.",
    },
    version="SELECT value FROM `system` WHERE name = 'version' LIMIT 1",
    tried=("6.",),
    secrets={"accounts": ("password", "pin")},
)
