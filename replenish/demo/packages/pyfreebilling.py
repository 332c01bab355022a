"""PyFreeBilling 2.2: mod_nibblebill debits at hang-up, then the record is written.

Its only refill is a form that saves the whole company in one transaction.
"""

from replenish.demo.packages.writes import Writes
from replenish.domain.account import Service

ACCOUNT = """
INSERT INTO company (id, name, slug, nickname, about, account_number, vat_number,
  vat_number_validated, max_calls, calls_per_second, billing_cycle, prepaid,
  credit_limit, low_credit_alert, low_credit_alert_sent, account_blocked_alert_sent,
  email_alert, customer_balance, supplier_balance, customer_enabled, supplier_enabled,
  date_added, date_modified)
VALUES (:id, 'Company ' || :id, 's' || :id, '', '', '', '', false, 1, 10, 'm',
  {prepaid}, {limit}, 10, false, false, 'a@example.com', :balance, 0, true, false,
  now(), now())
"""

WRITES = Writes(
    name="pyfreebilling",
    dialect="postgresql",
    places=6,
    sign_up=ACCOUNT.format(prepaid="true", limit="0"),
    sign_up_real_time=ACCOUNT.format(prepaid="false", limit="0 - :limit"),
    states={Service.ACTIVE: True, Service.SUSPENDED: False},
    set_state="UPDATE company SET customer_enabled = :state WHERE id = :id",
    authorise="""
        SELECT customer_balance - CASE WHEN prepaid THEN 0 ELSE credit_limit END
               AS spendable
        FROM company WHERE id = :id AND customer_enabled
          AND customer_balance >= CASE WHEN prepaid THEN 0 ELSE credit_limit END
    """,
    by_balance=False,
    end={
        "debit": "UPDATE company SET customer_balance = customer_balance - :cost"
        " WHERE id = :id",
        "record": """
            INSERT INTO cdr (customer_id, uuid, start_stamp, billsec, total_sell)
            VALUES (:id, 'u', now() - make_interval(secs => :seconds), :seconds, :cost)
        """,
    },
    balance="SELECT customer_balance FROM company WHERE id = :id",
    purse=("company", "customer_balance"),
    report="SELECT company_id, amount_refund, reference FROM company_balance_history"
    " WHERE operation_type = 'customer'",
    form={
        "begin": "BEGIN",
        "row": """
            SELECT name, slug, prepaid, credit_limit, low_credit_alert,
                   low_credit_alert_sent, account_blocked_alert_sent, email_alert,
                   customer_balance AS old, supplier_balance, customer_enabled,
                   supplier_enabled
            FROM company WHERE id = :id
        """,
        "save": """
            UPDATE company SET name = :name, slug = :slug, prepaid = :prepaid,
              credit_limit = :credit_limit, low_credit_alert = :low_credit_alert,
              low_credit_alert_sent = :low_credit_alert_sent,
              account_blocked_alert_sent = :account_blocked_alert_sent,
              email_alert = :email_alert, customer_balance = :old + :amount,
              supplier_balance = :supplier_balance,
              customer_enabled = :customer_enabled,
              supplier_enabled = :supplier_enabled, date_modified = now()
            WHERE id = :id
        """,
        "history": """
            INSERT INTO company_balance_history (company_id, amount_debited,
              amount_refund, customer_balance, supplier_balance, operation_type,
              reference, description, date_added, date_modified)
            VALUES (:id, 0, :amount, :old + :amount, :supplier_balance, 'customer',
              'cash', 'Cash', now(), now())
        """,
        "commit": "COMMIT",
    },
    spoil="UPDATE company SET customer_balance = 'NaN' WHERE id = :id",
)
