"""The demonstration's older quotes: what its house has brought along from the system it had before.

They give its plan something to tell on the first day. They come in by the same ways as anybody's: persons as from a
list with their addresses, quotes as by `POST /v1/quotes`; some are left alone until a day their agent has named.
"""

from datetime import datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from router.actions import elsewhere, guarding, nurturing
from router.actions.elsewhere import Origin
from router.actions.intake import take_in_each
from router.book import Book, Writing
from router.model.base import vouched
from router.model.campaigns import Campaign, Queue
from router.model.contacts import Contact
from router.model.elsewhere import COMMERCIAL, Proof, Told
from router.model.intake import Wanted
from router.model.leads import Intent
from router.model.vault import new_token
from router.model.zones import ZoneSource
from router.store import configuration
from router.store import elsewhere as known

AREAS = ("202", "212", "213", "305", "312", "415", "512", "617", "702", "818")
HOME = "Europe/Madrid"
NAMES = (
    "Adela Montes", "Andrés Vidal", "Beatriz Soler", "Carlos Pardo", "Clara Rey", "Damián Costa", "Elena Prats",
    "Esteban Roca", "Fátima Gil", "Gonzalo Mora", "Inés Valle", "Jaime Serra", "Julia Campos", "Leo Santana",
    "Lucía Ferrer", "Marcos Ibarra", "Marta Luque", "Nuria Bravo", "Óscar Leal", "Paula Rincón", "Pedro Salas",
    "Rocío Arce", "Tomás Duarte", "Valeria Nieto",
)  # fmt: skip
AGENTS = ("ana", "bruno")


class Old(NamedTuple):
    """One of them: with its number there, how long ago it was sent, for how long it is good, in days; and for how many
    days its agent has asked for rest (0: none), until which hour of the wall."""

    number: str
    name: str
    phone: str
    email: str
    owner: str
    once: int
    month: int
    sent: int
    valid: int
    rest: int
    hour: int


def _old(n: int, name: str) -> Old:
    """Spread by the number, so that each first start tells the same."""
    address = f"{name.lower().replace(' ', '.').translate(_PLAIN)}@example.com" if n % 4 != 3 else ""
    return Old(
        number=f"LC-{1_041 + n}", name=name, phone=f"+1{AREAS[n % 10]}555018{n // 10}", email=address,
        owner=AGENTS[n % 2], once=9_900 + 45_000 * (n % 3 == 0), month=4_990, sent=4 + 5 * n % 17,
        valid=4 + 7 * n % 23, rest=1 + n // 3 if n % 4 else 0, hour=9 + 5 * n % 9,
    )


_PLAIN = str.maketrans("áéíóúñ", "aeioun")
OLD = tuple(_old(n, name) for n, name in enumerate(NAMES))


async def bring(book: Book, campaign_key: str, queue_key: str) -> int:
    """Takes them in for this campaign and line, once; how many came in now."""
    async with book.writing() as w:
        campaign, queue = await _line(w, campaign_key, queue_key)
        if await known.known(w.session, campaign.id, [one.number for one in OLD]):
            return 0
        await _persons(w, campaign, queue)
    async with book.writing() as w:
        return await _quotes(w, *await _line(w, campaign_key, queue_key))


async def _line(w: Writing, campaign_key: str, queue_key: str) -> tuple[Campaign, Queue]:
    campaign = vouched(await configuration.campaign(w.session, campaign_key))
    return campaign, vouched(await configuration.queue(w.session, campaign.id, queue_key))


async def _persons(w: Writing, campaign: Campaign, queue: Queue) -> None:
    """The persons with their addresses; they live in Madrid, whatever their numbers say."""
    await take_in_each(w, {n: Wanted(
        line=queue.line, phone=one.phone, name=one.name, locale=campaign.locale, intent=Intent.list, method="list",
        status_token=new_token(), work=None, source={"party": "list"},
        claims={"name": one.name, **({"email": one.email} if one.email else {})},
    ) for n, one in enumerate(OLD)})
    for person in (await known.persons(w.session, campaign.id, [one.phone for one in OLD])).values():
        contact = vouched(await w.session.get(Contact, person.id))
        await guarding.lives_by(w, contact, HOME, ZoneSource.stated)


async def _quotes(w: Writing, campaign: Campaign, queue: Queue) -> int:
    judged = await elsewhere.judge(w, campaign, [_told(one, w.now) for one in OLD])
    origin = Origin({"party": "list"}, "Luz Clara")
    kept = await elsewhere.keep(w, campaign, queue, judged, [origin] * len(judged))
    agents = await known.agents(w.session, AGENTS)
    for one, old in zip(kept, OLD, strict=True):
        if old.rest and one.quote_id is not None:
            until = _wall(w.now, old.rest, old.hour)
            await nurturing.snooze(w, one.quote_id, until, agents[old.owner].id, reason="thinks")
    return sum(one.quote_id is not None for one in kept)


def _told(one: Old, now: datetime) -> Told:
    today = now.astimezone(ZoneInfo(HOME)).date()
    sent_on = today - timedelta(days=one.sent)
    return Told(
        number=one.number, phone=one.phone, name=one.name, currency="EUR", sent_on=sent_on, once=one.once,
        month=one.month, valid_until=today + timedelta(days=one.valid), locale="es", owner=one.owner,
        proof=Proof((COMMERCIAL,), "Quiero recibir ofertas de Luz Clara.", "luzclara.example", sent_on),
    )


def _wall(now: datetime, days: int, hour: int) -> datetime:
    """So many days from now at this hour of the wall."""
    there = ZoneInfo(HOME)
    day = now.astimezone(there).date() + timedelta(days=days)
    return datetime.combine(day, time(hour), there).astimezone(now.tzinfo)
