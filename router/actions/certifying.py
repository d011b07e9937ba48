"""Certifying: the company's authority keeps its certificates valid, says which it has revoked, and lets its root's key
be taken offline."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta

from router.book import Writing
from router.model.authority import (
    BACKDATED,
    EXPIRES_SOON,
    ISSUING,
    LIST_AGE,
    LIST_LIFE,
    OFFLINE_LIST_LIFE,
    ROOT,
    AuthorityRow,
    Crl,
    Revocation,
)
from router.model.errors import Conflict, Invalid
from router.ports import Authority, CrlOrder, Revoked, SealKeys, TrustProvider
from router.store import authority

KEYS = "authority"
"""The vault's purpose for the authority's keys at rest."""
KEEP_UP = "authority.keep_up"
"""The alarm of every night that renews certificates and issues lists."""
SLACK = timedelta(days=2)
"""Nobody is troubled before the nights have passed in which the house renews it by itself."""
REASONS = ("unspecified", "keyCompromise", "cessationOfOperation", "superseded")
NO_AUTHORITY = "There is no signing authority yet."
ROOT_IS_OFFLINE = "The root's key is not here: it was taken offline."


def address(w: Writing) -> str:
    """Where certificates and lists are published."""
    return f"{w.public_url}/pki" if w.public_url else ""


def packed(w: Writing, made: Authority) -> bytes:
    """The authority's keys as they are stored."""
    keys = {name: pem.decode() for name, pem in asdict(made.keys).items()}
    keys |= {"root_key": made.root_key.decode(), "issuing_key": made.issuing_key.decode()}
    return w.vault.seal(KEYS, json.dumps(keys).encode())


async def keys_of(w: Writing) -> SealKeys:
    """What sealing and archiving need. Raises Conflict before the authority is made."""
    row = await authority.find(w.session)
    if row is None:
        raise Conflict(NO_AUTHORITY)
    return _opened(w, row).keys


def ending(row: AuthorityRow, lists: Sequence[Crl], now: datetime) -> list[str]:
    """Sentences about what ends soon (or ended) and is for a person to renew; empty when all is well."""
    said = []
    for name, until in (("seal's", row.seal_until), ("issuing", row.issuing_until)):
        if until is not None and until < now + EXPIRES_SOON - SLACK:
            said.append(f"the {name} certificate ends on {until:%Y-%m-%d}")
    for one in lists:
        offline = one.issuer == ROOT and row.root_left_at is not None
        if one.next_update < now + (EXPIRES_SOON if offline else LIST_LIFE / 2):
            what = "hablemos authority use-root issues the next one" if offline else "is the service running?"
            said.append(f"{one.issuer}.crl ends on {one.next_update:%Y-%m-%d}: {what}")
    return said


async def keep_up(w: Writing, trust: TrustProvider, *, anew: bool = False) -> None:
    """Renews what expires soon and issues the lists of revoked certificates that are due; said again, it does nothing.
    `anew`: a new seal and new lists in any case. Raises Conflict before the authority is made.

    What will end and cannot be renewed here is a fact of every night: authority.expiring.
    """
    row = await _locked(w)
    old = _opened(w, row)
    new = trust.renewed(old, w.now, address(w), anew=anew)
    if new != old:
        row.sealed_keys = packed(w, new)
        w.fact("authority.renewed", what=_changed(old.keys, new.keys))
    ends = trust.expiries(new.keys)
    row.issuing_certificate = new.keys.issuing_certificate
    row.seal_until, row.issuing_until = ends["seal"], ends["issuing"]
    await _issue_lists(w, trust, new, always=anew)
    root_list = await authority.crl(w.session, ROOT)
    soon = {name: at for name, at in ends.items() if at < w.now + EXPIRES_SOON}
    if not new.root_key and (root_list is None or root_list.next_update < w.now + EXPIRES_SOON):
        soon["root.crl"] = root_list.next_update if root_list else w.now
    for name, at in soon.items():
        w.fact("authority.expiring", what=name, days=(at - w.now).days)


def _changed(old: SealKeys, new: SealKeys) -> Sequence[str]:
    names = ("issuing", "seal", "timestamp")
    return [name for name in names if getattr(old, f"{name}_certificate") != getattr(new, f"{name}_certificate")]


async def _issue_lists(w: Writing, trust: TrustProvider, kept: Authority, *, always: bool) -> None:
    revoked = [Revoked(int(one.serial, 16), one.at, one.reason) for one in await authority.revoked(w.session)]
    issuers = {ISSUING: (kept.keys.issuing_certificate, kept.issuing_key, revoked)}
    if kept.root_key:
        issuers[ROOT] = (kept.keys.root_certificate, kept.root_key, [])
    for issuer, (certificate, key, entries) in issuers.items():
        last = await authority.crl(w.session, issuer)
        if always or last is None or last.issued_at <= w.now - LIST_AGE:
            await _issue(w, trust, issuer, CrlOrder(
                certificate, key, last.number + 1 if last else 1, w.now - BACKDATED, w.now + LIST_LIFE, entries,
            ))  # fmt: skip


async def _issue(w: Writing, trust: TrustProvider, issuer: str, order: CrlOrder) -> None:
    row = await w.session.locked(Crl, issuer)
    content = trust.issue_crl(order)
    if row is None:
        w.session.add(Crl(
            issuer=issuer, number=order.number, content=content, issued_at=w.now, next_update=order.next_update,
        ))  # fmt: skip
    else:
        row.number, row.content, row.issued_at, row.next_update = order.number, content, w.now, order.next_update
    await w.session.flush()
    w.fact("authority.listed", what=issuer, number=order.number, revoked=len(order.revoked))


async def revoke_seal(w: Writing, trust: TrustProvider, reason: str) -> None:
    """Takes the present seal certificate back from this moment on; a new one seals. Raises Conflict, Invalid.

    What was sealed and timestamped before stays good."""
    if reason not in REASONS:
        raise Invalid("This is no reason for which a certificate is revoked.", pointer="/reason")
    await _locked(w)
    serial = trust.serial((await keys_of(w)).seal_certificate)
    w.session.add(Revocation(serial=f"{serial:x}", at=w.now, reason=reason))
    await w.session.flush()
    w.fact("authority.revoked", what="seal", reason=reason)
    await keep_up(w, trust, anew=True)


async def root_key(w: Writing) -> bytes:
    """The root's key, PEM, not encrypted. Raises Conflict when it is not here."""
    kept = _opened(w, await _locked(w))
    if not kept.root_key:
        raise Conflict(ROOT_IS_OFFLINE)
    return kept.root_key


async def forget_root_key(w: Writing, trust: TrustProvider) -> datetime:
    """The root's key leaves the database; the root's list it signs last is good for long. Until when (aware).

    Raises Conflict when the key is not here.
    """
    row = await _locked(w)
    kept = _opened(w, row)
    if not kept.root_key:
        raise Conflict(ROOT_IS_OFFLINE)
    until = await _last_list(w, trust, kept)
    row.sealed_keys = packed(w, replace(kept, root_key=b""))
    row.root_left_at = w.now
    await w.session.flush()
    w.fact("authority.root_left")
    return until


async def use_root_key(w: Writing, trust: TrustProvider, key: bytes) -> datetime:
    """What only the root can do while its key (PEM) is at hand: renews the issuing certificate, issues its list. The
    key is not kept. Until when the list is good (aware)."""
    row = await _locked(w)
    kept = _opened(w, row)
    new = trust.renewed(replace(kept, root_key=key), w.now, address(w))
    if new.keys != kept.keys:
        row.sealed_keys = packed(w, replace(new, root_key=kept.root_key))
        w.fact("authority.renewed", what=_changed(kept.keys, new.keys))
    until = await _last_list(w, trust, new)
    await keep_up(w, trust)
    return until


async def _last_list(w: Writing, trust: TrustProvider, kept: Authority) -> datetime:
    last = await authority.crl(w.session, ROOT)
    until = w.now + OFFLINE_LIST_LIFE
    number = last.number + 1 if last else 1
    order = CrlOrder(kept.keys.root_certificate, kept.root_key, number, w.now - BACKDATED, until)
    await _issue(w, trust, ROOT, order)
    return until


async def _locked(w: Writing) -> AuthorityRow:
    await w.session.lock_word("authority")
    row = await w.session.locked(AuthorityRow, authority.ONLY)
    if row is None:
        raise Conflict(NO_AUTHORITY)
    return row


def _opened(w: Writing, row: AuthorityRow) -> Authority:
    kept = {name: pem.encode() for name, pem in json.loads(w.vault.open(KEYS, row.sealed_keys)).items()}
    keys = SealKeys(**{name: kept[name] for name in SealKeys.__dataclass_fields__})
    return Authority(keys=keys, root_key=kept["root_key"], issuing_key=kept["issuing_key"])
