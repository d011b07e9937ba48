"""Settings: read once, refused by name when wrong."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from router.settings import Settings, WrongSetting


def test_without_anything_the_defaults_hold() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.host == "127.0.0.1"
    assert settings.database_url is None


def test_a_flag_wins_over_the_environment() -> None:
    settings = Settings.from_env({"HABLEMOS_PORT": "1", "HABLEMOS_HOST": "::1"}, port=2, host=None)
    assert (settings.port, settings.host) == (2, "::1")


def test_an_empty_variable_is_none_at_all() -> None:
    assert Settings.from_env({"HABLEMOS_SECRET": ""}) == Settings()


def test_other_programs_variables_are_not_ours() -> None:
    assert Settings.from_env({"PATH": "/bin", "DATABASE_URL": "nonsense"}) == Settings()


def test_a_misspelt_variable_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(WrongSetting, match=r"HABLEMOS_PROT is not a setting.*HABLEMOS_PORT"):
        Settings.from_env({"HABLEMOS_PROT": "8080"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HABLEMOS_PORT", "http"),
        ("HABLEMOS_PORT", "65536"),
        ("HABLEMOS_PORT", "-1"),
        ("HABLEMOS_DATABASE_URL", "sqlite:///here.db"),
        ("HABLEMOS_DATABASE_URL", "db.example.com"),
        ("HABLEMOS_PUBLIC_URL", "sales.example.com"),
        ("HABLEMOS_PUBLIC_URL", "ftp://sales.example.com"),
        ("HABLEMOS_PUBLIC_URL", "https://sales.example.com?x=1"),
        ("HABLEMOS_CARRIER_URL", "https://"),
        ("HABLEMOS_SECRET", "short"),
        ("HABLEMOS_CARRIER_ACCOUNT", "AC12"),
        ("HABLEMOS_CARRIER_TOKENS", " , "),
        ("HABLEMOS_LOG_LEVEL", "loud"),
        ("HABLEMOS_FAIL_AT", "accept"),
        ("HABLEMOS_FAIL_AT", "accept:0"),
        ("HABLEMOS_BEHIND_PROXY", "maybe"),
        ("HABLEMOS_SMTP_URL", "mail.example.com"),
        ("HABLEMOS_SMTP_URL", "http://mail.example.com"),
        ("HABLEMOS_SMTP_URL", "smtp://ana:hush@"),
        ("HABLEMOS_SMTP_URL", "smtp://ana@mail.example.com"),
        ("HABLEMOS_SMTP_URL", "smtp://mail.example.com:99999"),
        ("HABLEMOS_SMTP_URL", "smtp://mail.example.com/x?y"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_told_what_it_should_be(name: str, value: str) -> None:
    with pytest.raises(WrongSetting, match=f"^{name} should "):
        Settings.from_env({name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HABLEMOS_SECRET", "not-long-enough"),
        ("HABLEMOS_DATABASE_URL", "mysql://user:hunter2@host/db"),
        ("HABLEMOS_CARRIER_TOKENS", ",,"),
    ],
)
def test_a_refusal_does_not_repeat_a_secret(name: str, value: str) -> None:
    with pytest.raises(WrongSetting) as refused:
        Settings.from_env({name: value})
    assert value not in str(refused.value)


def test_every_setting_is_read_as_what_it_is() -> None:
    settings = Settings.from_env(
        {
            "HABLEMOS_HOST": "0.0.0.0",  # noqa: S104 - only read here, nothing listens
            "HABLEMOS_PORT": "0",
            "HABLEMOS_DATA_DIR": "/srv/hablemos",
            "HABLEMOS_DATABASE_URL": "postgres://u:p@db/x",
            "HABLEMOS_PUBLIC_URL": "https://sales.example.com/",
            "HABLEMOS_SECRET": "s" * 32,
            "HABLEMOS_CARRIER_ACCOUNT": "AC" + "0" * 32,
            "HABLEMOS_CARRIER_TOKENS": "new, old",
            "HABLEMOS_CARRIER_URL": "http://127.0.0.1:4010",
            "HABLEMOS_LOG_LEVEL": "debug",
            "HABLEMOS_FAIL_AT": "courier.before_request:2",
            "HABLEMOS_BEHIND_PROXY": "1",
        }
    )
    assert settings == Settings(
        host="0.0.0.0",  # noqa: S104 - only read here, nothing listens
        port=0,
        data_dir=Path("/srv/hablemos"),
        database_url="postgresql+asyncpg://u:p@db/x",
        public_url="https://sales.example.com",
        secret="s" * 32,
        carrier_account="AC" + "0" * 32,
        carrier_tokens=("new", "old"),
        carrier_url="http://127.0.0.1:4010",
        log_level="DEBUG",
        fail_at="courier.before_request:2",
        behind_proxy=True,
    )


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


@pytest.mark.parametrize("value", ["smtps://ana:h%40sh@mail.example.com", "smtp://127.0.0.1:8025", "smtp://[::1]:25"])
def test_a_mail_server_is_an_address_and_its_password_is_never_shown(value: str) -> None:
    settings = Settings.from_env({"HABLEMOS_SMTP_URL": value})
    assert settings.smtp_url == value
    assert value not in repr(settings)
    with pytest.raises(WrongSetting) as caught:
        Settings.from_env({"HABLEMOS_SMTP_URL": "smtp://ana:hush@mail.example.com:x"})
    assert "hush" not in str(caught.value)
