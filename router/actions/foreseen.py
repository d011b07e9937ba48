"""Foreseen: whether the guard would ever allow to call a number, asked of persons who are only on a list yet."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from router.actions.guarding import bounds
from router.book import Writing
from router.model.campaigns import Campaign
from router.model.contacts import Contact
from router.model.guard import Barred, Consulted, Purpose, Snapshot, may_contact
from router.model.packs import Pack
from router.store import imports, packs, registers
from router.store.registers import Listed

COMMERCIAL = frozenset({Purpose.commercial.value})


@dataclass(frozen=True)
class Known:
    """What the house knows of some numbers: the rules in force, why one may not be called, what registers say of it."""

    packs: Mapping[str, Pack]
    suppressed: Mapping[str, str]
    listed: Mapping[str, Sequence[Listed]]


async def known(w: Writing, phones: Sequence[str]) -> Known:
    """What is known of these numbers (E.164) now."""
    return Known(
        await packs.in_force(w.session), await imports.suppressed(w.session, phones),
        await registers.ask_many(w.session, phones),
    )


def denied(
    about: Known, campaign: Campaign, phone: str, at: datetime, consents: Iterable[str] = COMMERCIAL
) -> str:
    """The rule that forbids to call this number at any time; "" for none. Hours and caps only put a call off, and where
    somebody lives can still be found out."""
    nobody = _nobody(campaign, phone, at)
    bound, reason = bounds(about.packs, campaign, nobody), about.suppressed.get(phone, "")
    verdict = may_contact(Snapshot(
        pack=bound.pack, phone=phone, zones=bound.zones, purpose=Purpose.commercial,
        barred=(Barred(reason),) if reason else (), consents=frozenset(consents),
        registers={one.register: Consulted(one.as_of, one.listed) for one in about.listed.get(phone, ())},
        caller_id=campaign.caller_id,
    ), at)
    rules = [rule for rule in verdict.rules if rule != "zone.unknown"] if verdict.word == "deny" else []
    return rules[0] if rules else ""


def opens(about: Known, campaign: Campaign, phone: str, at: datetime) -> datetime:
    """The first moment from `at` on (aware) at which the number may be called, by the hours alone."""
    return bounds(about.packs, campaign, _nobody(campaign, phone, at)).opens(at) or at


def _nobody(campaign: Campaign, phone: str, at: datetime) -> Contact:
    """Somebody of whom only his number is known."""
    return Contact(campaign_id=campaign.id, phone=phone, name="", locale="", created_at=at)
