"""ASTPP 6: the record, then the debit; a postpaid balance is what is owed."""

from replenish.demo.packages.writes import Writes
from replenish.domain.account import Service

ACCOUNT = """
INSERT INTO accounts (id, number, pricelist_id, status, credit_limit, posttoexternal,
  balance, email, reference, dialed_modify, notify_flag, notify_email,
  invoice_interval, invoice_note, pin, first_used, expiry, charge_per_min,
  std_cid_translation, did_cid_translation, currency_id)
VALUES (:id, :id, 1, 0, {limit}, {post}, {balance}, 'a@example.com', '', '', 0, '', 0,
  '', '', NOW(), '2099-01-01', '', '', '', 1)
"""

AVAILABLE = "IF(posttoexternal = 1, credit_limit - balance, balance)"

WRITES = Writes(
    name="astpp",
    dialect="mysql",
    places=5,
    sign_up=ACCOUNT.format(limit="0", post="0", balance=":balance"),
    sign_up_real_time=ACCOUNT.format(limit=":limit", post="1", balance="0 - :balance"),
    states={Service.ACTIVE: 0, Service.SUSPENDED: 1},
    set_state="UPDATE accounts SET status = :state WHERE id = :id",
    authorise=f"""
        SELECT {AVAILABLE} AS spendable FROM accounts
        WHERE id = :id AND status = 0 AND deleted = 0 AND expiry > UTC_TIMESTAMP()
          AND {AVAILABLE} >= 0
    """,  # noqa: S608 constants
    end={
        "record": """
            INSERT INTO cdrs (accountid, callerid, translated_dst, callstart,
              billseconds, debit, pattern, notes, reseller_code, provider_code,
              provider_code_destination, provider_call_cost, call_direction, calltype,
              end_stamp)
            VALUES (:id, '', '', UTC_TIMESTAMP() - INTERVAL :seconds SECOND, :seconds,
              :cost, '', '', '', '', '', 0, 'outbound',
              IF(:id IS NULL, 'FREE', 'STANDARD'), UTC_TIMESTAMP())
        """,
        "debit": "UPDATE accounts SET balance = IF(posttoexternal = 1,"
        " balance + :cost, balance - :cost) WHERE id = :id",
    },
    balance="SELECT IF(posttoexternal = 1, -balance, balance) FROM accounts"
    " WHERE id = :id",
    purse=("accounts", "balance"),
    report="""
        SELECT p.accountid, p.amount, p.transaction_id
        FROM payment_transaction p JOIN invoice_details d ON p.id = d.payment_id
        WHERE d.charge_type IN ('REFILL', 'Voucher') AND d.is_tax = 0
    """,
    refill={
        "account": f"SELECT posttoexternal, {AVAILABLE} AS available FROM accounts"  # noqa: S608
        " WHERE id = :id",
        "payment": """
            INSERT INTO payment_transaction (accountid, amount, tax, payment_method,
              actual_amount, transaction_id, customer_ip, user_currency, currency_rate,
              transaction_details, date)
            VALUES (:id, :amount, '0', 'Manual', :amount, 'cash', '', 'USD', 1, '{}',
              UTC_TIMESTAMP())
        """,
        "number": """
            SELECT COALESCE((SELECT CAST(number AS UNSIGNED) + 1 FROM invoices
              WHERE reseller_id = 0 ORDER BY id DESC LIMIT 1), 100) AS number
        """,
        "invoice": """
            INSERT INTO invoices (prefix, number, accountid, payment_id, from_date,
              to_date, due_date, generate_date, status, type, confirm, notes)
            SELECT 'INV_', :number, :id, :payment_id, UTC_TIMESTAMP(), UTC_TIMESTAMP(),
                   UTC_TIMESTAMP(), UTC_TIMESTAMP(), 0, 'R', 1, ''
            FROM accounts WHERE id = :id AND :posttoexternal = 0
        """,
        "detail": """
            INSERT INTO invoice_details (accountid, invoiceid, charge_type, payment_id,
              product_category, base_currency, account_currency, description, credit,
              created_date, before_balance, after_balance)
            VALUES (:id, :invoice_id, 'REFILL', :payment_id, 3, 'USD', 'USD', 'Cash',
              :amount, UTC_TIMESTAMP(), :available, :available + :amount)
        """,
        "balance": "UPDATE accounts SET balance = IF(posttoexternal = 1,"
        " balance - :amount, balance + :amount) WHERE id = :id",
    },
    on_connect=("SET SESSION sql_mode = ''",),
)
