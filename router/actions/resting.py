"""Resting: a third party of trust that fails one time after the other is left alone for a while. Its work waits, and is
no try of its own; then one of them tries."""

from datetime import datetime

from router.actions import revoking
from router.book import Writing
from router.model.base import vouched
from router.model.deliveries import Delivery, DeliveryKind
from router.model.deposits import Deposit
from router.model.entrusted import Entrusted
from router.model.pausing import TRY_TAKES
from router.model.signing_accounts import SigningAccount
from router.model.trust_accounts import ServiceName, TrustAccount
from router.ports import NO_TIME, Refused, Uncertain
from router.store import trust_accounts

FAILURES = 5
"""So many failures with no answer between them: it is not what we ask."""
SIGNER = "signer"
ITS_FAULTS = frozenset({"network", "answer", "token", "uncertain", NO_TIME})
"""Refusals that are about the party and not about what it was asked; what it answered itself with is a number."""
ENTRUSTED = (DeliveryKind.entrust, DeliveryKind.enquire, DeliveryKind.revoke, DeliveryKind.remind)
TIMED = (DeliveryKind.seal, DeliveryKind.attest, DeliveryKind.archive)
"""What needs the chosen time; but for acknowledgements of withdrawals, which wait for nobody."""

Account = SigningAccount | TrustAccount


async def account_of(w: Writing, delivery: Delivery) -> Account | None:
    """Whom this delivery needs; None when it is no third party of trust, or its order is none."""
    if delivery.kind in ENTRUSTED:
        row = await w.session.get(Entrusted, int(str(delivery.order.get("entrusted", 0))))
        return None if row is None else await w.session.get(SigningAccount, row.account_id)
    if delivery.kind is DeliveryKind.deposit:
        deposit = await w.session.get(Deposit, delivery.signing_id or 0)
        return None if deposit is None else await w.session.get(TrustAccount, deposit.account_id)
    if delivery.kind in TIMED and delivery.purpose != revoking.SEAL and delivery.campaign_id is not None:
        return await trust_accounts.chosen(w.session, delivery.campaign_id, ServiceName.time)
    return None


async def closed_until(w: Writing, delivery: Delivery) -> datetime | None:
    """Until when whom this delivery needs is left alone; None when it may be asked. After a pause whoever comes first
    is the one who tries."""
    account = await account_of(w, delivery)
    if account is None or account.failing_since is None:
        return None
    account = await _locked(w, account)
    until = account.closed_until(w.now)
    if until is None and account.failing_since is not None:
        account.trying_until = w.now + TRY_TAKES
        await w.session.flush()
        _told(w, "provider.tried", account)
    return until


async def answered(w: Writing, delivery: Delivery, fault: Refused | Uncertain | None) -> None:
    """What came of asking: `fault` is how it failed, None that it did what it was asked."""
    account = await account_of(w, delivery)
    if account is None:
        return
    if fault is None or (isinstance(fault, Refused) and fault.permanent and fault.code.isdigit()):
        await _well(w, account)
    elif _its_fault(delivery, fault):
        await _failed(w, account)


def _its_fault(delivery: Delivery, fault: Refused | Uncertain) -> bool:
    """A seal or archive is made here, and may fail here: of those only a missing time is somebody else's fault."""
    if delivery.kind in TIMED:
        return isinstance(fault, Refused) and fault.code == NO_TIME
    return isinstance(fault, Uncertain) or fault.code in ITS_FAULTS or (fault.code.isdigit() and not fault.permanent)


async def _failed(w: Writing, account: Account) -> None:
    account = await _locked(w, account)
    account.failures += 1
    asked_before = account.paused_until is not None and account.paused_until > w.now
    if (account.failing_since is None and account.failures >= FAILURES) or (account.failing_since and not asked_before):
        until = account.pause(w.now)
        _told(w, "provider.paused", account, until=until.isoformat(), pauses=account.pauses)
    await w.session.flush()


async def _well(w: Writing, account: Account) -> None:
    if not account.failures and account.failing_since is None:
        return
    account = await _locked(w, account)
    failing, account.failures = account.failing_since is not None, 0
    account.go_on()
    await w.session.flush()
    if failing:
        _told(w, "provider.works", account)
        w.hint("courier")


async def _locked(w: Writing, account: Account) -> Account:
    if isinstance(account, TrustAccount):
        return vouched(await w.session.locked(TrustAccount, account.id))
    return vouched(await w.session.locked(SigningAccount, account.id))


def _told(w: Writing, kind: str, account: Account, **said: str | int) -> None:
    service = account.service.value if isinstance(account, TrustAccount) else SIGNER
    w.fact(kind, campaign_id=account.campaign_id, subject_id=account.id, lead_id=None, agent_id=None, service=service,
           **said)
    w.hint("wallboard")
