"""Settings: one frozen object, read once from the environment and the command line's flags.

A missing or wrong value stops the start with its name and what it should be.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import unquote, urlsplit


class WrongSetting(Exception):
    """A setting is missing or wrong. The message names it and says what it should be."""


def _text(name: str, value: str) -> str:
    return value


def _port(name: str, value: str) -> int:
    if not value.isdecimal() or int(value) > 65535:
        raise WrongSetting(f"{name} should be a port from 0 to 65535 (0 takes any free one), not {value!r}")
    return int(value)


def _flag(name: str, value: str) -> bool:
    if value not in {"0", "1", "true", "false"}:
        raise WrongSetting(f"{name} should be 1 or 0, not {value!r}")
    return value in {"1", "true"}


def _http_url(name: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise WrongSetting(f"{name} should be an http(s) address such as https://sales.example.com, not {value!r}")
    return value.rstrip("/")


def _database_url(name: str, value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator or scheme not in {"postgresql", "postgres", "postgresql+asyncpg"}:
        raise WrongSetting(f"{name} should look like postgresql://user:password@host/database")
    return f"postgresql+asyncpg://{rest}"


def _secret(name: str, value: str) -> str:
    if len(value) < 32:
        raise WrongSetting(f"{name} should be a random text of at least 32 characters; keep it: it opens the keys")
    return value


def _company(name: str, value: str) -> str:
    if not 1 <= len(value.strip()) <= 64:
        raise WrongSetting(f"{name} should be the company's name on its certificates, at most 64 characters")
    return value.strip()


def _sid(name: str, value: str) -> str:
    if not re.fullmatch(r"AC[0-9a-fA-F]{32}", value):
        raise WrongSetting(f"{name} should be an account id: AC and 32 hexadecimal digits")
    return value


def _tokens(name: str, value: str) -> tuple[str, ...]:
    tokens = tuple(token.strip() for token in value.split(",") if token.strip())
    if not tokens:
        raise WrongSetting(f"{name} should be one auth token, or two with a comma between them while they rotate")
    return tokens


def _turn_urls(name: str, value: str) -> tuple[str, ...]:
    urls = tuple(url.strip() for url in value.split(",") if url.strip())
    if not urls or not all(re.fullmatch(r"(turns?|stun):[^\s/]+", url) for url in urls):
        raise WrongSetting(f"{name} should be a relay such as turn:turn.example.com:3478, or several with commas")
    return urls


def _smtp_url(name: str, value: str) -> str:
    wrong = WrongSetting(f"{name} should look like smtps://user:password@mail.example.com:465, or smtp:// for STARTTLS")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or port == 0 or parts.path.strip("/"):
        raise wrong
    if parts.query or parts.fragment or bool(parts.username) != bool(parts.password):
        raise wrong
    return value


@dataclass(frozen=True)
class TokenAddress:
    """A key on a token: its module's file, the token's label, the key's, and the PIN."""

    module: str
    token: str
    label: str
    pin: str = field(default="", repr=False)


def _token(name: str, value: str) -> TokenAddress:
    """RFC 7512, as far as a key with its module and PIN needs it."""
    wrong = WrongSetting(
        f"{name} should look like pkcs11:token=LABEL;object=KEY?module-path=/usr/lib/module.so&pin-value=1234"
    )
    scheme, _, rest = value.partition(":")
    path, _, query = rest.partition("?")
    pairs = [part.partition("=") for part in (*path.split(";"), *filter(None, query.split("&")))]
    given = {key: unquote(word) for key, equals, word in pairs if equals}
    if scheme != "pkcs11" or len(given) != len(pairs) or not set(given) <= _TOKEN_PARTS:
        raise wrong
    if not all(given.get(key) for key in ("module-path", "token", "object")):
        raise wrong
    return TokenAddress(given["module-path"], given["token"], given["object"], given.get("pin-value", ""))


_TOKEN_PARTS = {"module-path", "token", "object", "pin-value", "type"}


def _tsa_mode(name: str, value: str) -> str:
    if value not in {"embedded", "external", "both"}:
        raise WrongSetting(f"{name} should be embedded, external or both, not {value!r}")
    return value


def _tsa_urls(name: str, value: str) -> tuple[str, ...]:
    urls = tuple(_http_address(name, url.strip()) for url in value.split(",") if url.strip())
    if not urls:
        raise WrongSetting(f"{name} should be the address of a timestamp authority, or several with commas")
    return urls


def _http_address(name: str, value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise WrongSetting(f"{name} should be http(s) addresses such as https://time.example.com/tsa, not {value!r}")
    return value


def _turn_secret(name: str, value: str) -> str:
    if len(value) < 16:
        raise WrongSetting(f"{name} should be the secret shared with the relay, at least 16 characters")
    return value


def _level(name: str, value: str) -> str:
    if value.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise WrongSetting(f"{name} should be debug, info, warning or error, not {value!r}")
    return value.upper()


def _failpoint(name: str, value: str) -> str:
    if not re.fullmatch(r"[a-z_.]+:[1-9][0-9]*(:freeze)?", value):
        raise WrongSetting(f"{name} should be a failpoint and a count, such as accept:1, not {value!r}")
    return value


@dataclass(frozen=True)
class Settings:
    """Everything the program may be told from outside. Times in seconds."""

    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path = Path("hablemos-data")
    database_url: str | None = None
    public_url: str | None = None
    secret: str | None = None
    company: str = "hablemos"
    carrier_account: str | None = None
    carrier_tokens: tuple[str, ...] = ()
    carrier_url: str | None = None
    graph_url: str = "https://graph.facebook.com"
    log_level: str = "INFO"
    fail_at: str | None = None
    behind_proxy: bool = False
    turn_url: tuple[str, ...] = ()
    turn_secret: str | None = None
    smtp_url: str | None = field(default=None, repr=False)
    tsa_mode: str = "embedded"
    tsa_urls: tuple[str, ...] = ()
    tsa_roots: Path | None = None
    seal_pkcs12: Path | None = None
    seal_passphrase: str = field(default="", repr=False)
    seal_pkcs11: TokenAddress | None = None
    seal_chain: Path | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **flags: object) -> "Settings":
        """Flags win over the environment; the environment over the defaults.

        Raises WrongSetting naming the variable and what it should be; unknown HABLEMOS_ variables are refused too,
        because a misspelt one would silently do nothing.
        """
        environ = os.environ if environ is None else environ
        known = {f"HABLEMOS_{one.name.upper()}" for one in fields(cls)}
        for name in environ:
            if name.startswith("HABLEMOS_") and name not in known:
                raise WrongSetting(f"{name} is not a setting; the settings are {', '.join(sorted(known))}")
        values: dict[str, object] = {}
        for one in fields(cls):
            name = f"HABLEMOS_{one.name.upper()}"
            given = flags.get(one.name)
            raw = str(given) if given is not None else environ.get(name)
            if raw is not None and raw != "":
                values[one.name] = _READERS[one.name](name, raw)
        return cls(**values)  # type: ignore[arg-type]


_READERS: dict[str, Callable[[str, str], object]] = {
    "host": _text,
    "port": _port,
    "data_dir": lambda name, value: Path(value),
    "database_url": _database_url,
    "public_url": _http_url,
    "secret": _secret,
    "company": _company,
    "carrier_account": _sid,
    "carrier_tokens": _tokens,
    "carrier_url": _http_url,
    "graph_url": _http_url,
    "log_level": _level,
    "fail_at": _failpoint,
    "behind_proxy": _flag,
    "turn_url": _turn_urls,
    "turn_secret": _turn_secret,
    "smtp_url": _smtp_url,
    "tsa_mode": _tsa_mode,
    "tsa_urls": _tsa_urls,
    "tsa_roots": lambda name, value: Path(value),
    "seal_pkcs12": lambda name, value: Path(value),
    "seal_passphrase": _text,
    "seal_pkcs11": _token,
    "seal_chain": lambda name, value: Path(value),
}
