"""Settings are read strictly, refused in sentences, and never show a secret."""

import re
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import limits
import pytest

from replenish import setting_values
from replenish.errors import ConfigurationError
from replenish.settings import (
    SANDBOX_KEY,
    SANDBOX_URL,
    STRIPE_URL,
    Settings,
    variable_names,
)

NO_FILE = Path("/nonexistent/.env")
EXAMPLE = Path(__file__).parents[2] / ".env.example"
SAFE = {
    "REPLENISH_ENV": "production",
    "DATABASE_URL": "postgres://me:db-secret@db.example.net/replenish",
    "REDIS_URL": "redis://:redis-secret@cache.example.net:6379/0",
    "STRIPE_API_KEY": "rk_live_key-secret",
}


def read(**changes: str) -> Settings:
    """Settings from these variables alone."""
    return Settings.from_env(changes, dotenv=NO_FILE)


def problems(**changes: str) -> list[str]:
    """What is said against these variables, one sentence each."""
    with pytest.raises(ConfigurationError) as refused:
        read(**changes)
    return [line.removeprefix("  - ") for line in str(refused.value).splitlines()[1:]]


def test_nothing_set_is_a_development_machine_with_the_sandbox() -> None:
    """A stranger needs no setting at all."""
    settings = read()

    assert settings.replenish_env == "development"
    assert settings.stripe_api_base == SANDBOX_URL
    assert settings.stripe_api_key == SANDBOX_KEY
    assert (settings.database_url, settings.redis_url) == ("", "")
    assert settings.rule_top_up == Decimal(25)


def test_a_test_key_talks_to_stripe() -> None:
    """Giving a test key is how one tries the real gateway."""
    assert read(STRIPE_API_KEY="sk_test_1").stripe_api_base == STRIPE_URL


def test_every_variable_is_described_with_its_default() -> None:
    """`.env.example` lists every setting once, and nothing else."""
    entries = re.findall(
        r"^# ([A-Z][A-Z0-9_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE
    )
    described = [name for name, _ in entries]

    assert sorted(variable_names()) == sorted(described)
    for name, default in entries:
        if default and "example.net" not in default:
            item = next(f for f in fields(Settings) if f.name == name.lower())
            assert item.metadata["read"](default) == item.default, name


def test_every_default_could_be_set_as_it_stands(tmp_path: Path) -> None:
    """Copying the example and taking off the comment signs gives settings again."""
    lines = re.sub(
        r"^# ([A-Z][A-Z0-9_]+=)", r"\1", EXAMPLE.read_text(), flags=re.MULTILINE
    )
    file = tmp_path / ".env"
    file.write_text(lines.replace("BILLING_DATABASE_URL=mysql", "# "))

    assert Settings.from_env({}, dotenv=file).rule_cap_day == Decimal(200)


@pytest.mark.parametrize(
    ("variable", "bad"),
    [
        ("REPLENISH_ENV", "staging"),
        ("LOG_LEVEL", "loud"),
        ("DATABASE_URL", "sqlite:///x"),
        ("DATABASE_URL", "mysql://me@db/x"),
        ("DATABASE_URL", "postgresql://me@db:port/x"),
        ("REDIS_URL", "http://cache"),
        ("REDIS_URL", "redis://:a b@cache/0"),
        ("REDIS_URL", "unix://relative"),
        ("BILLING_PACKAGE", "../etc/passwd"),
        ("BILLING_CURRENCY", "XYZ"),
        ("BILLING_CURRENCY", "XAU"),
        ("STRIPE_API_KEY", "sk test"),
        ("STRIPE_API_BASE", "ftp://127.0.0.1"),
        ("STRIPE_API_BASE", "http://user@127.0.0.1"),
        ("STRIPE_API_BASE", "http://127.0.0.1/v1"),
        ("STRIPE_API_VERSION", "latest"),
        ("STRIPE_TIMEOUT_READ", "0"),
        ("STRIPE_TIMEOUT_READ", "-1"),
        ("STRIPE_TIMEOUT_READ", "nan"),
        ("STRIPE_TIMEOUT_READ", "inf"),
        ("STRIPE_TIMEOUT_READ", "1e3"),
        ("STRIPE_RATE_LIMIT", "fast"),
        ("STRIPE_RATE_LIMIT", "0/second"),
        ("HOT_SWEEP_SECONDS", "99999999"),
        ("SWEEP_PAGE", "0"),
        ("SWEEP_PAGE", "1.5"),
        ("SWEEP_PAGE", "1000001"),
        ("RULE_TOP_UP", "NaN"),
        ("RULE_TOP_UP", "-5"),
        ("RULE_TOP_UP", "1e9"),
        ("RULE_TOP_UP", "99999999"),
        ("RULE_TOP_UP", "25,00"),
        ("RULE_TOP_UP", "٢٥"),  # digits, but of another script
        ("RULE_FLOOR", "--5"),
        ("RULE_COUNT_DAY", "-3"),
        ("RETRY_SOFT_SECONDS", "3600,60"),
        ("RETRY_SOFT_SECONDS", "soon"),
        ("REPLENISH_HOME", "a\x00b"),
        ("RULE_TIME_ZONE", "Mars/Olympus"),
        ("RULE_TIME_ZONE", "../../etc/passwd"),
        ("RULE_TIME_ZONE", "Europe"),
        ("DB_LOCK_TIMEOUT_MS", "0"),
        ("DB_LOCK_TIMEOUT_MS", "600001"),
        ("FLOWER_PORT", "65536"),
        ("FLOWER_READ_ONLY", "perhaps"),
        ("FLOWER_BASIC_AUTH", "user"),
        ("FLOWER_BASIC_AUTH", "user:"),
    ],
)
@pytest.mark.security("S16")
def test_a_bad_value_is_refused_by_name(variable: str, bad: str) -> None:
    """One sentence that names the variable, and no other complaint."""
    (sentence,) = problems(**{variable: bad})

    assert sentence.startswith(variable)
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"RULE_TOP_UP": "0"}, ["RULE_TOP_UP"]),
        ({"RULE_TARGET": "10"}, ["RULE_THRESHOLD", "RULE_TARGET"]),
        ({"RULE_CAP_CHARGE": "20"}, ["RULE_CAP_CHARGE", "RULE_TOP_UP"]),
        ({"RULE_CAP_DAY": "50"}, ["RULE_CAP_DAY", "RULE_CAP_CHARGE"]),
        ({"RULE_CAP_MONTH": "150"}, ["RULE_CAP_MONTH", "RULE_CAP_DAY"]),
        ({"RULE_FLOOR": "10.01"}, ["RULE_FLOOR", "RULE_THRESHOLD"]),
        (
            {"STRIPE_TIMEOUT_READ": "14", "LEASE_SECONDS": "60"},
            ["STRIPE_TIMEOUT_CONNECT", "STRIPE_TIMEOUT_READ"],
        ),
        ({"LEASE_SECONDS": "19"}, ["LEASE_SECONDS"]),
        ({"TASK_TIME_LIMIT": "20"}, ["TASK_TIME_LIMIT"]),
        ({"FLOWER_ADDRESS": "0.0.0.0"}, ["FLOWER_BASIC_AUTH"]),  # noqa: S104
        ({"BILLING_PACKAGE": "astpp"}, ["BILLING_DATABASE_URL"]),
        ({"BILLING_DATABASE_URL": "mysql://b/x"}, ["BILLING_DATABASE_URL"]),
        ({"STRIPE_API_KEY": "sk_live_1"}, ["STRIPE_API_KEY", "REPLENISH_ENV"]),
        ({"STRIPE_API_KEY": "rk_live_1"}, ["STRIPE_API_KEY", "REPLENISH_ENV"]),
        ({"STRIPE_API_KEY": "pk_test_1"}, ["STRIPE_API_KEY"]),
        ({"STRIPE_API_BASE": STRIPE_URL}, ["STRIPE_API_KEY"]),
        ({"STRIPE_API_BASE": "http://sandbox:12111"}, ["STRIPE_API_BASE"]),
        ({"STRIPE_API_BASE": "http://10.0.0.1:12111"}, ["STRIPE_API_BASE"]),
    ],
)
@pytest.mark.security("S2", "S13", "S24")
def test_values_that_contradict_each_other_are_refused(
    variables: dict[str, str], named: list[str]
) -> None:
    """One sentence with the names of those that do not fit."""
    (sentence,) = problems(**variables)

    assert all(name in sentence for name in named)


def test_safe_production_settings_pass() -> None:
    """What production needs, and nothing more."""
    settings = read(**SAFE)

    assert settings.is_production
    assert settings.stripe_api_base == STRIPE_URL
    assert settings.billing_database_url == settings.database_url


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"DATABASE_URL": ""}, "DATABASE_URL"),
        ({"REDIS_URL": ""}, "REDIS_URL"),
        ({"REDIS_URL": "redis://cache.example.net/0"}, "REDIS_URL"),
        ({"STRIPE_API_KEY": ""}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "sk_test_key-secret"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_KEY": "nonsense"}, "STRIPE_API_KEY"),
        ({"STRIPE_API_BASE": SANDBOX_URL}, "STRIPE_API_BASE"),
        ({"STRIPE_API_BASE": "https://api.stripe.example.net"}, "STRIPE_API_BASE"),
        ({"FAILPOINTS": "after_charge"}, "FAILPOINTS"),
    ],
)
@pytest.mark.security("S2", "S11", "S24")
def test_production_refuses_what_is_not_safe(
    change: dict[str, str], named: str
) -> None:
    """A sentence names what is missing or insecure, without the secret."""
    (sentence,) = problems(**{**SAFE, **change})

    assert sentence.startswith(named)
    assert "secret" not in sentence


@pytest.mark.parametrize(
    "url",
    ["redis://localhost/0", "redis://127.0.0.2/0", "redis://[::1]/0", "unix:///r.sock"],
)
def test_production_takes_a_redis_without_password_on_this_machine(url: str) -> None:
    """Loopback and Unix sockets are closed to others already."""
    assert read(**{**SAFE, "REDIS_URL": url}).is_production


def test_all_problems_are_told_at_once() -> None:
    """Nobody mends one setting only to meet the next."""
    told = problems(REPLENISH_ENV="production", RULE_TOP_UP="-5", FLOWER_PORT="0")

    for name in (
        *("RULE_TOP_UP", "FLOWER_PORT", "DATABASE_URL"),
        *("REDIS_URL", "STRIPE_API_KEY"),
    ):
        assert len([line for line in told if line.startswith(name)]) == 1


@pytest.mark.security("S2")
def test_no_secret_is_ever_shown() -> None:
    """Not in `repr`, in the redacted settings, or in a refusal."""
    settings = read(**SAFE, FLOWER_BASIC_AUTH="op:flower-secret")
    shown = repr(settings) + str(settings) + repr(settings.redacted())

    assert "secret" not in shown
    assert "db.example.net" in shown
    assert settings.redacted()["RETRY_SOFT_SECONDS"] == "3600.0,21600.0,86400.0"
    assert "me:***@" in shown
    bad_url = "postgres://me:db-secret@db:port/x"
    assert "secret" not in "".join(problems(**{**SAFE, "DATABASE_URL": bad_url}))
    assert "secret" not in "".join(problems(STRIPE_API_KEY="sk_test_ secret"))
    for variable in ("DATABASE_URL", "REDIS_URL", "BILLING_DATABASE_URL"):
        assert "secret" not in "".join(problems(**{variable: "me:secret@db/x"}))
    odd = read(
        DATABASE_URL="postgres://me:se@cret@db/x?password=hidden&sslmode=disable"
    )
    assert "cret" not in repr(odd)
    assert "hidden" not in repr(odd)


def test_a_slip_in_the_name_of_a_bound_is_refused(tmp_path: Path) -> None:
    """A cap that is called otherwise would not hold; other programs' names may be."""
    dotenv = tmp_path / ".env"
    dotenv.write_text("RULE_CAP_DYA=50\nPOSTGRES_PASSWORD=x\n")

    with pytest.raises(ConfigurationError) as refused:
        Settings.from_env({}, dotenv=dotenv)

    assert "RULE_CAP_DYA is no setting: did you mean RULE_CAP_DAY?" in str(
        refused.value
    )
    assert "POSTGRES" not in str(refused.value)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """And an empty variable counts as not set; the process's own is left alone."""
    file = tmp_path / ".env"
    file.write_text('RULE_TOP_UP=30\nRULE_THRESHOLD="12"\nSWEEP_PAGE=7 \n')
    given = {"RULE_TOP_UP": "40", "RULE_THRESHOLD": ""}
    settings = Settings.from_env(given, dotenv=file)

    assert settings.rule_top_up == Decimal(40)
    assert settings.rule_threshold == Decimal(12)
    assert settings.sweep_page == 7
    assert given == {"RULE_TOP_UP": "40", "RULE_THRESHOLD": ""}


@pytest.mark.security("S2")
def test_production_refuses_a_file_that_others_can_read(tmp_path: Path) -> None:
    """The keys in it would be theirs."""
    file = tmp_path / ".env"
    file.write_text("")
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        Settings.from_env(SAFE, dotenv=file)
    file.chmod(0o600)

    assert Settings.from_env(SAFE, dotenv=file).is_production


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_the_driver_is_always_spelled_out(scheme: str) -> None:
    """SQLAlchemy would take a bare scheme for another driver."""
    url = read(DATABASE_URL=f"{scheme}://me:p%40ss@db:5432/x?sslmode=require")

    assert url.database_url == (
        "postgresql+psycopg2://me:p%40ss@db:5432/x?sslmode=require"
    )
    mysql = read(BILLING_PACKAGE="astpp", BILLING_DATABASE_URL="mysql://b/x")
    assert mysql.billing_database_url == "mysql+pymysql://b/x"


@pytest.mark.parametrize(
    ("given", "redis", "broker", "limit"),
    [
        (
            "redis+socket:///run/r%20s.sock?virtual_host=3",
            "unix:///run/r%20s.sock?db=3",
            "redis+socket:///run/r%20s.sock?virtual_host=3",
            "redis+unix:///run/r%20s.sock?db=3",
        ),
        (
            "unix://:pw@/run/r.sock?db=1",
            "unix://:pw@/run/r.sock?db=1",
            "redis+socket://:pw@/run/r.sock?virtual_host=1",
            "redis+unix://:pw@/run/r.sock?db=1",
        ),
        ("rediss://:pw@h:6380/2",) * 4,
    ],
)
def test_one_redis_is_written_in_three_ways(
    given: str, redis: str, broker: str, limit: str
) -> None:
    """redis-py, Celery and the rate limit's library each have their own form."""
    settings = read(REDIS_URL=given)

    assert settings.redis_url == redis
    assert settings.broker_url == broker
    assert settings.limits_url == limit


@pytest.mark.parametrize("rate", ["20/second", "100/5 minutes", "1 / hour", "9/day"])
def test_every_rate_that_is_taken_can_be_used(rate: str) -> None:
    """The library that enforces the rate reads the same notation."""
    assert limits.parse(setting_values.rate(rate)).amount > 0


def test_settings_cannot_be_changed() -> None:
    """One reading serves the whole process."""
    with pytest.raises(AttributeError):
        read().rule_top_up = Decimal(1)  # type: ignore[misc]  # the point of it
