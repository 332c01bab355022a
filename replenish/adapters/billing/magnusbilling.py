"""MagnusBilling 7: MariaDB, InnoDB.

Calls are debited by a trigger on `pkg_cdr`. `pkg_refill` has a foreign key to
`pkg_user`: written before the user's row is locked, it would make the package's own
call record the victim of a deadlock, and the call free; so the user comes first.
"""

from decimal import Decimal

from replenish.adapters.sql_billing.profile import Accounts, Calls, Credit, Profile

AVAILABLE = "COALESCE(u.credit, 0) + IF(u.typepaid = 1, u.creditlimit, 0)"
COST = "IF(k.agent_bill > 0, k.agent_bill, GREATEST(k.sessionbill, 0))"
ENDED = "k.starttime + INTERVAL COALESCE(k.sessiontime, 0) SECOND"
TRAIL = f"""
    SELECT r.credit AS credited, SUBSTRING_INDEX(SUBSTRING_INDEX(
             r.description, ' -> ', -1), ',', 1) AS after,
           {AVAILABLE} AS available,
           COALESCE((SELECT SUM(l.credit) FROM pkg_refill l
                     WHERE l.id > r.id AND l.id_user = u.id
                       AND COALESCE(l.description, '') NOT LIKE 'Correction: %'), 0)
           - COALESCE((SELECT SUM({COST}) FROM pkg_cdr k
                       WHERE k.id_user = u.id AND {ENDED} >= r.date
                         AND k.starttime >= r.date - INTERVAL 3 HOUR), 0) AS moved,
           COALESCE((SELECT SUM({COST}) FROM pkg_cdr k
                     WHERE k.id_user = u.id AND {ENDED} >= r.date - INTERVAL 1 HOUR
                       AND k.starttime >= r.date - INTERVAL 3 HOUR), 0) AS around
    FROM pkg_refill r JOIN pkg_user u ON u.id = r.id_user
    WHERE r.id_user = :id
      AND r.description LIKE CONCAT('%, ref ', :reference, ',%')
    LIMIT 1
"""  # noqa: S608 a constant

PROFILE = Profile(
    name="magnusbilling",
    dialect="mysql",
    scale=4,
    most=Decimal("99999999999.9999"),
    accounts=Accounts(
        table="pkg_user u",
        only="(SELECT g.id_user_type FROM pkg_group_user g"  # IN would read all users
        " WHERE g.id = u.id_group) = 3",
        id="u.id",
        available=AVAILABLE,
        real_time="u.typepaid = 1",
        state="u.active",
        active=1,
        suspended=4,  # blocked in and out: the customer can still log in and pay
        name="u.username",
        email="u.email",
        expired="u.enableexpire = 1"  # its AGI writes 0 at the next call only
        " AND u.expirationdate BETWEEN '1971-01-01' AND NOW()",
    ),
    credit=Credit(
        lock=f"SELECT {AVAILABLE} AS available, COALESCE(u.credit, 0) AS old"  # noqa: S608
        " FROM pkg_user u WHERE u.id = :id FOR UPDATE",
        find="""
            SELECT r.credit AS amount, SUBSTRING_INDEX(SUBSTRING_INDEX(
                     r.description, ' -> ', -1), ',', 1) AS after
            FROM pkg_refill r
            WHERE r.id_user = :id
              AND r.description LIKE CONCAT('%, ref ', :reference, ',%')
            LIMIT 1
        """,
        trail=TRAIL,
        corrects=("balance", "refill"),
        steps={
            "balance": "UPDATE pkg_user SET credit = COALESCE(credit, 0) + :net"
            " WHERE id = :id",
            "refill": "INSERT INTO pkg_refill (id_user, credit, description, payment)"
            " VALUES (:id, :net, CONCAT(:note, ', Old credit ', :old), :paid)",
        },
    ),
    credits="""
        SELECT SUBSTRING_INDEX(SUBSTRING_INDEX(
                 description, ', ref ', -1), ',', 1) AS reference,
               id_user AS account, credit AS amount
        FROM pkg_refill WHERE description LIKE '%, ref %, Old credit %'
    """,
    calls=Calls(table="pkg_cdr", account="id_user"),
    needs={
        "pkg_user": (
            *("id", "username", "credit", "creditlimit", "typepaid", "active"),
            *("email", "id_group", "enableexpire", "expirationdate"),
        ),
        "pkg_group_user": ("id", "id_user_type"),
        "pkg_refill": ("id", "id_user", "date", "credit", "description", "payment"),
        "pkg_cdr": (
            *("id", "id_user", "starttime", "sessiontime", "sessionbill"),
            "agent_bill",
        ),
        "pkg_configuration": ("config_key", "config_value"),
    },
    inserts=("pkg_refill",),
    updates={"pkg_user": ("credit", "active")},
    warnings={
        """
        SELECT config_value AS shown FROM pkg_configuration
        WHERE config_key = 'base_currency' AND config_value REGEXP '^[A-Za-z]{3}$'
          AND UPPER(config_value) <> :currency
        """: "MagnusBilling shows its amounts in {shown}, and BILLING_CURRENCY is"
        " another; set it to {shown}.",
    },
    remarks={
        """
        SELECT config_value AS shown, :currency AS ours FROM pkg_configuration
        WHERE config_key = 'base_currency' AND config_value NOT REGEXP '^[A-Za-z]{3}$'
        """: "MagnusBilling shows its amounts with {shown!r}, which names no currency;"
        " they are taken for {ours}, as BILLING_CURRENCY says.",
    },
    version="SELECT config_value FROM pkg_configuration"
    " WHERE config_key = 'version' LIMIT 1",
    tried=("7.8",),  # before 7.5 calls were debited by a statement of their own
    secrets={"pkg_user": ("password",)},
)
