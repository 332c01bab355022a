"""A2Billing 2.3: a reservation while a call runs, then the record, then the debit."""

from replenish.demo.packages.writes import Writes
from replenish.domain.account import Service

ACCOUNT = """
INSERT INTO cc_card (id, username, useralias, uipass, credit, status, lastname,
  firstname, address, city, state, country, zipcode, phone, email, fax, typepaid,
  creditlimit, redial, loginkey, tag, email_notification, company_name,
  company_website, traffic_target)
VALUES (:id, :id, :id, '', :balance, 1, '', '', '', '', '', '', '', '',
  'a@example.com', '', {real_time}, {limit}, '', '', '', '', '', '', '')
"""

RESERVATION = (
    "SELECT CAST(config_value AS DECIMAL(15, 5)) AS reservation FROM cc_config"
    " WHERE config_key = 'dial_balance_reservation'"
)

WRITES = Writes(
    name="a2billing",
    dialect="mysql",
    places=5,
    sign_up=ACCOUNT.format(real_time="0", limit="0"),
    sign_up_real_time=ACCOUNT.format(real_time="1", limit=":limit"),
    states={Service.ACTIVE: 1, Service.SUSPENDED: 6, Service.OTHER: 7},
    set_state="UPDATE cc_card SET status = :state WHERE id = :id",
    # At login the limit is added to a postpaid balance, which is then compared with
    # the limit below zero: it counts twice.
    authorise="""
        SELECT credit + IF(typepaid = 1, 2 * creditlimit, 0) AS spendable
        FROM cc_card WHERE id = :id AND status = 1
          AND credit + IF(typepaid = 1, 2 * creditlimit, 0) >= 0
    """,
    begin={
        "setting": RESERVATION,
        "reserve": "UPDATE cc_card SET inuse = inuse + 1,"
        " credit = credit - :reservation WHERE id = :id",
    },
    end={
        "setting": RESERVATION,
        "give_back": "UPDATE cc_card SET inuse = inuse - 1,"
        " credit = credit + :reservation WHERE id = :id",
        "record": """
            INSERT INTO cc_call (sessionid, uniqueid, card_id, nasipaddress,
              calledstation, src, dnid, starttime, stoptime, sessiontime, sessionbill)
            VALUES ('', '', :id, '', '', '', '', NOW() - INTERVAL :seconds SECOND,
              NOW(), :seconds, :cost)
        """,
        "debit": "UPDATE cc_card SET credit = credit - :cost, nbused = nbused + 1,"
        " lastuse = NOW() WHERE id = :id",
    },
    balance="SELECT credit FROM cc_card WHERE id = :id",
    purse=("cc_card", "credit"),
    report="""
        SELECT r.card_id, r.credit, SUBSTRING_INDEX(SUBSTRING_INDEX(
                 r.description, ', ref ', -1), ',', 1)
        FROM cc_logrefill r
        JOIN cc_logpayment p ON p.id_logrefill = r.id AND p.payment = r.credit
        JOIN cc_invoice_payment l ON l.id_payment = p.id
        JOIN cc_invoice i ON i.id = l.id_invoice AND i.paid_status = 1
        JOIN cc_invoice_item t ON t.id_invoice = i.id AND t.price = r.credit
        JOIN cc_payments q
          ON q.customers_id = r.card_id AND q.orders_amount = p.payment
          AND LOCATE(CONCAT(SUBSTRING_INDEX(q.item_name, ',', -1), ','), r.description)
    """,
    # A payment that is refilled at once; its invoice is numbered by a counter that is
    # read and then written.
    refill={
        "payment": """
            INSERT INTO cc_logpayment (date, payment, card_id, description,
              added_refill, payment_type)
            VALUES (NOW(), :amount, :id, 'Cash', 1, 0)
        """,
        "refill": """
            INSERT INTO cc_logrefill (date, credit, card_id, description, refill_type)
            VALUES (NOW(), :amount, :id, 'Cash', 0)
        """,
        "balance": "UPDATE cc_card SET credit = credit + :amount WHERE id = :id",
        "linked": "UPDATE cc_logpayment SET id_logrefill = :refill_id"
        " WHERE id = :payment_id",
        "counter": """
            SELECT COALESCE((SELECT value FROM cc_invoice_conf
              WHERE key_val = CONCAT('count_', YEAR(NOW()))), 0) + 1 AS number
        """,
        "counted": """
            INSERT INTO cc_invoice_conf (key_val, value)
            VALUES (CONCAT('count_', YEAR(NOW())), CAST(:number AS UNSIGNED))
            ON DUPLICATE KEY UPDATE value = CAST(:number AS UNSIGNED)
        """,
        "invoice": """
            INSERT INTO cc_invoice (reference, id_card, date, paid_status, status,
              title, description)
            VALUES (CONCAT(YEAR(NOW()), LPAD(CAST(:number AS UNSIGNED), 8, '0')), :id,
              NOW(), 1, 1, 'CUSTOMER REFILL', 'Cash')
        """,
        "link": "INSERT INTO cc_invoice_payment (id_invoice, id_payment)"
        " VALUES (:invoice_id, :payment_id)",
        "item": """
            INSERT INTO cc_invoice_item (id_invoice, date, price, VAT, description)
            VALUES (:invoice_id, NOW(), :amount, 0, 'Cash')
        """,
    },
)
