"""Short links: printed addresses that lead from a poster, a store or a promoter to a page, and say where from.

A code is eight random letters of Crockford's base 32 (40 bits, no I, L, O, U) and his check symbol, modulo 37. Codes
whose check symbol would be a sign (`* ~ $ =`) or U are never drawn: what is printed holds letters and digits only.
"""

import secrets
from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from router.model.base import Numbered

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_LENGTH = 9
_LOOKS_LIKE = str.maketrans("ILO", "110", "- ")

FORM, REGISTER, KIOSK = "form", "register", "kiosk"
PAGES = (FORM, REGISTER, KIOSK)
"""The house's own pages a link may lead to; any other target is an address of the site's own pages."""

OFFLINE = "offline:"


def _check(number: int) -> str:
    """The check symbol's letter; empty when it would be none of the alphabet."""
    rest = number % 37
    return ALPHABET[rest] if rest < len(ALPHABET) else ""


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 32 + ALPHABET.index(letter)
    return number


def new_short_code() -> str:
    """A code nobody can guess from another."""
    while True:
        letters = "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH - 1))
        if check := _check(_number(letters)):
            return letters + check


def read_short_code(typed: str) -> str | None:
    """The code as it is stored, from what a person typed or a browser sent; None when it is no code, or has a slip in
    it: one wrong letter or two neighbours exchanged are always noticed."""
    if len(typed) > 2 * CODE_LENGTH:
        return None
    code = typed.upper().translate(_LOOKS_LIKE)
    if len(code) != CODE_LENGTH or any(letter not in ALPHABET for letter in code):
        return None
    return code if _check(_number(code[:-1])) == code[-1] else None


def shown_code(code: str) -> str:
    """The code in groups that a person can copy from a wall: ABC-DEF-GHJ."""
    return "-".join(code[place : place + 3] for place in range(0, len(code), 3))


class ShortLink(Numbered):
    """A link printed on one `piece`: a poster, a store's counter, a promoter's card. Its leads come from
    "offline:<piece>". `target` is one of PAGES or an address on the site's own origins. `visits` counts how often it
    was followed; nothing is kept of who did. After `expires_at` (aware), or while not `active`, it leads to a page that
    says whom to call."""

    __tablename__ = "short_links"
    __table_args__ = (UniqueConstraint("campaign_id", "piece"),)
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    piece: Mapped[str]
    name: Mapped[str]
    target: Mapped[str]
    code: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    active: Mapped[bool] = mapped_column(default=True)
    expires_at: Mapped[datetime | None] = mapped_column(default=None)
    visits: Mapped[int] = mapped_column(default=0)

    @property
    def source(self) -> str:
        """What its leads are said to come from."""
        return OFFLINE + self.piece

    def open_at(self, now: datetime) -> bool:
        return self.active and (self.expires_at is None or now < self.expires_at)
