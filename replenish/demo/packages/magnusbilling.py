"""MagnusBilling 7: the call record, whose trigger debits; its form saves whole rows."""

from replenish.demo.packages.writes import Writes
from replenish.domain.account import Service

WRITES = Writes(
    name="magnusbilling",
    dialect="mysql",
    places=4,
    sign_up="INSERT INTO pkg_user (id, id_group, username, password, credit, active,"
    " callingcard_pin) VALUES (:id, 3, :id, '', :balance, 1, :id)",
    sign_up_real_time="INSERT INTO pkg_user (id, id_group, username, password, credit,"
    " active, callingcard_pin, typepaid, creditlimit)"
    " VALUES (:id, 3, :id, '', :balance, 1, :id, 1, :limit)",
    states={Service.ACTIVE: 1, Service.SUSPENDED: 4, Service.OTHER: 0},
    set_state="UPDATE pkg_user SET active = :state WHERE id = :id",
    authorise="""
        SELECT COALESCE(credit, 0) + IF(typepaid = 1, creditlimit, 0) AS spendable
        FROM pkg_user WHERE id = :id AND active = 1
          AND COALESCE(credit, 0) + IF(typepaid = 1, creditlimit, 0) >= 0
    """,
    end={
        "record": """
            INSERT INTO pkg_cdr (id_user, uniqueid, calledstation, src, starttime,
              sessiontime, sessionbill)
            VALUES (:id, '', '', '', NOW() - INTERVAL :seconds SECOND, :seconds, :cost)
        """,
    },
    balance="SELECT COALESCE(credit, 0) FROM pkg_user WHERE id = :id",
    purse=("pkg_user", "credit"),
    report="""
        SELECT id_user, credit, SUBSTRING_INDEX(SUBSTRING_INDEX(
                 description, ', ref ', -1), ',', 1)
        FROM pkg_refill WHERE payment = 1
    """,
    refill={  # as its vouchers and some of its gateways do
        "refill": "INSERT INTO pkg_refill (id_user, credit, description, payment)"
        " VALUES (:id, :amount, 'Cash', 1)",
        "balance": "UPDATE pkg_user SET credit = credit + :amount WHERE id = :id",
    },
    form={
        "refill": "INSERT INTO pkg_refill (id_user, credit, description, payment)"
        " VALUES (:id, :amount, 'Cash', 1)",
        "row": """
            SELECT credit AS old, active, typepaid, creditlimit, email,
                   credit_notification, last_notification
            FROM pkg_user WHERE id = :id
        """,
        "save": """
            UPDATE pkg_user SET credit = :old + :amount, active = :active,
              typepaid = :typepaid, creditlimit = :creditlimit, email = :email,
              credit_notification = :credit_notification,
              last_notification = :last_notification
            WHERE id = :id
        """,
    },
)
