"""E-mail addresses: which can be written to, when two are the same, and which refusals mean that one is gone."""

import re

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])")
_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
LONGEST = 254
"""RFC 5321 §4.5.3.1.3: a path is at most 256 octets, of which two are its brackets."""


def written(address: str) -> str:
    """The address as it is written to: plain ASCII, its domain in small letters and as the DNS knows it. Empty for what
    cannot be written to: no address at all, or a local part only few servers of the world take."""
    local, at, domain = address.strip().rpartition("@")
    try:
        known = domain.encode("idna").decode().lower()
    except UnicodeError:
        return ""
    fits = at and len(local) <= 64 and _LOCAL.fullmatch(local) and _DOMAIN.fullmatch(known)
    return f"{local}@{known}" if fits and len(local) + len(known) < LONGEST else ""


def folded(address: str) -> str:
    """What two addresses of one mailbox have in common: no server we know tells capitals from small letters."""
    return (written(address) or address.strip()).lower()


def masked(address: str) -> str:
    """The address with all of its local part but the first letter hidden; "" for none."""
    local, at, domain = address.strip().rpartition("@")
    return f"{local[:1]}•••@{domain}" if at and local and domain else ""


def gone(code: int, words: str, *, recipient: bool) -> bool:
    """Whether a mail server's final no means that the address takes no mail, and never will. `words` are its answer,
    which may begin with an enhanced status code (RFC 3463); `recipient`: it was said of the recipient.

    A mailbox that is full and a house that dislikes our words or our network say nothing of the address.
    """
    if not 500 <= code < 600:
        return False
    enhanced = _ENHANCED.search(words)
    if enhanced is None:
        return recipient and code in (550, 551, 553)
    kind, subject, detail = enhanced.groups()
    return kind == "5" and ((subject == "1" and detail not in ("7", "8")) or (subject, detail) == ("2", "1"))
