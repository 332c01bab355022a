"""PyFreeBilling 2.2: PostgreSQL; FreeSWITCH debits by mod_nibblebill at hang-up.

Its dates have no defaults, since Django sets them, so we do. The history has a
foreign key to the company: the company is locked first.
"""

from decimal import Decimal

from replenish.adapters.sql_billing.profile import Accounts, Calls, Credit, Profile

AVAILABLE = "c.customer_balance - CASE WHEN c.prepaid THEN 0 ELSE c.credit_limit END"
ENDED = "k.start_stamp + k.billsec * interval '1 second'"
TRAIL = f"""
    SELECT h.amount_refund - h.amount_debited AS credited,
           substring(h.description from ' -> ([-0-9.]+), ref ') AS after,
           {AVAILABLE} AS available,
           coalesce((SELECT sum(l.amount_refund - l.amount_debited)
                     FROM company_balance_history l
                     WHERE l.id > h.id AND l.company_id = c.id
                       AND l.operation_type = 'customer'
                       AND l.description NOT LIKE 'Correction: %'), 0)
           - coalesce((SELECT sum(k.total_sell) FROM cdr k
                       WHERE k.customer_id = c.id AND {ENDED} >= h.date_added
                         AND k.start_stamp >= h.date_added - interval '12 hours'), 0)
             AS moved,
           coalesce((SELECT sum(k.total_sell) FROM cdr k
                     WHERE k.customer_id = c.id
                       AND {ENDED} >= h.date_added - interval '1 hour'
                       AND k.start_stamp >= h.date_added - interval '12 hours'), 0)
             AS around
    FROM company_balance_history h JOIN company c ON c.id = h.company_id
    WHERE h.company_id = :id AND h.reference = :reference
    LIMIT 1
"""  # noqa: S608 a constant

PROFILE = Profile(
    name="pyfreebilling",
    dialect="postgresql",
    scale=4,  # of the history; the balance itself has six places
    most=Decimal("999999.9999"),
    accounts=Accounts(
        table="company c",
        only="c.id > 0",
        id="c.id",
        available=AVAILABLE,  # the credit limit is the negative number of a debt
        real_time="NOT c.prepaid",
        state="c.customer_enabled",
        active=True,
        suspended=False,
        name="c.name",
        email="c.email_alert",
    ),
    credit=Credit(
        lock=f"SELECT {AVAILABLE} AS available, c.supplier_balance"  # noqa: S608
        " FROM company c WHERE c.id = :id FOR UPDATE",
        find="""
            SELECT h.amount_refund - h.amount_debited AS amount,
                   substring(h.description from ' -> ([-0-9.]+), ref ') AS after
            FROM company_balance_history h
            WHERE h.company_id = :id AND h.reference = :reference
            LIMIT 1
        """,
        trail=TRAIL,
        corrects=("balance", "history"),
        steps={
            "balance": "UPDATE company SET customer_balance = customer_balance + :net,"
            " date_modified = now() WHERE id = :id",
            "history": """
                INSERT INTO company_balance_history (company_id, amount_debited,
                  amount_refund, customer_balance, supplier_balance, operation_type,
                  reference, description, date_added, date_modified)
                SELECT c.id, greatest(0 - :net, 0), greatest(:net, 0),
                       round(c.customer_balance, 4), c.supplier_balance, 'customer',
                       :reference, :note, now(), now()
                FROM company c WHERE c.id = :id
                RETURNING id
            """,
        },
    ),
    credits="""
        SELECT reference, company_id AS account,
               amount_refund - amount_debited AS amount
        FROM company_balance_history WHERE description LIKE '%, ref ' || reference
    """,
    calls=Calls(table="cdr", account="customer_id", settles=2.0),
    needs={
        "company": (
            *("id", "name", "prepaid", "credit_limit", "customer_balance"),
            *("supplier_balance", "customer_enabled", "email_alert", "date_modified"),
        ),
        "company_balance_history": (
            *("id", "company_id", "amount_debited", "amount_refund"),
            *("customer_balance", "supplier_balance", "operation_type", "reference"),
            *("description", "date_added", "date_modified"),
        ),
        "cdr": ("id", "customer_id", "start_stamp", "billsec", "total_sell"),
    },
    inserts=("company_balance_history",),
    updates={"company": ("customer_balance", "customer_enabled", "date_modified")},
    sequences=("company_balance_history_id_seq",),
    remarks={
        "SELECT CAST(:currency AS text) AS ours": "PyFreeBilling keeps no currency; its"
        " balances are taken for {ours}, as BILLING_CURRENCY says.",
    },
)
