"""Foreseen: whether the guard would ever allow to call a number, asked of persons who are only on a list yet."""

from collections.abc import Iterable
from datetime import datetime

from router.model.campaigns import Campaign
from router.model.guard import Barred, Purpose, Snapshot, Verdict, may_contact
from router.model.packs import pack_of

COMMERCIAL = frozenset({Purpose.commercial.value})


def verdict_on(
    campaign: Campaign, phone: str, at: datetime, suppressed: str = "", consents: Iterable[str] = COMMERCIAL
) -> Verdict:
    """The guard's answer at that moment (aware), as far as it can be told without the tries to the number."""
    return may_contact(Snapshot(
        pack=pack_of(campaign.rule_pack, campaign.country), phone=phone, zones=(campaign.timezone,),
        purpose=Purpose.commercial, barred=(Barred(suppressed),) if suppressed else (), consents=frozenset(consents),
        caller_id=campaign.caller_id,
    ), at)


def denied(
    campaign: Campaign, phone: str, at: datetime, suppressed: str = "", consents: Iterable[str] = COMMERCIAL
) -> str:
    """The rule that forbids to call this number at any time; "" for none. Hours and caps only put a call off."""
    verdict = verdict_on(campaign, phone, at, suppressed, consents)
    return verdict.rules[0] if verdict.word == "deny" else ""


def opens(campaign: Campaign, phone: str, at: datetime) -> datetime:
    """The first moment from `at` on (aware) at which the number may be called, by the hours alone."""
    return verdict_on(campaign, phone, at).until or at
