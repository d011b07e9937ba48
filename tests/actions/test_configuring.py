"""Applying a file: the difference is shown, twice changes nothing, and what cannot be is refused."""

import pytest
from sqlalchemy import select

from router.actions.configuring import apply
from router.book import Book
from router.model.agents import Agent
from router.model.campaigns import Campaign, Number, Queue, Site
from router.model.configuration import WrongFile, read

FILE = """
[[campaigns]]
key = "luz"
name = "Luz"
caller_id = "+34910000000"
sender = "+34910000000"
countries = ["ES", "PT"]
whatsapp = "+34910000001"

  [campaigns.company]
  name = "Luz SL"
  address = "Calle Mayor 1"
  phone = "+34910000000"
  email = "hola@luz.example"

  [[campaigns.queues]]
  key = "ventas"
  name = "Ventas"
  hours = { mon = [["09:00", "14:00"], ["16:00", "20:00"]], sat = [["10:00", "24:00"]] }
  holidays = { country = "ES", subdivision = "MD" }
  closures = ["2026-12-24"]

  [[campaigns.sites]]
  key = "landing"
  name = "Landing"
  queue = "ventas"
  origins = ["https://luz.example"]
  actions = ["call", "later", "chat"]

  [[campaigns.fields]]
  key = "cups"
  kind = "supply_point"
  secret = true
  labels = { es = "CUPS", it = "Punto di fornitura" }

  [[campaigns.consents]]
  purpose = "requested"
  version = "2026-11"
  texts = { es = "Quiero que {company} me llame." }
  required = true

  [[campaigns.numbers]]
  phone = "+34910000009"
  queue = "ventas"
  source = "offline:bus-stop"

[[agents]]
login = "ana"
name = "Ana"
shifts = { mon = [["09:00", "17:00"]] }
password = "long-enough"
"""
HASHES = {"ana": "$argon2id$x"}


async def put(book: Book, text: str) -> list[str]:
    async with book.writing() as w:
        return [str(change) for change in await apply(w, read(text), HASHES)]


async def test_a_file_becomes_rows_and_applied_again_changes_nothing(book: Book) -> None:
    made = await put(book, FILE)
    assert made == [
        "+ campaign luz", "+ queue luz/ventas", "+ site landing", "+ number +34910000009", "+ agent ana",
    ]
    assert await put(book, FILE) == []
    async with book.reading() as r:
        (campaign,), (queue,) = await r.session.scalars(select(Campaign)), await r.session.scalars(select(Queue))
        (site,), (number,) = await r.session.scalars(select(Site)), await r.session.scalars(select(Number))
        (agent,) = await r.session.scalars(select(Agent))
    assert campaign.fields[0]["key"] == "cups"
    assert campaign.consents[0]["texts"] == {"es": "Quiero que {company} me llame."}
    assert queue.hours == {"mon": [["09:00", "14:00"], ["16:00", "20:00"]], "sat": [["10:00", "24:00"]]}
    assert (queue.holidays, queue.closures) == ({"country": "ES", "subdivision": "MD"}, ["2026-12-24"])
    assert (site.actions, number.queue_id, agent.shifts) == (
        ["call", "later", "chat"], queue.id, {"mon": [["09:00", "17:00"]]},
    )


async def test_a_changed_value_is_told_with_both(book: Book) -> None:
    await put(book, FILE)
    assert await put(book, FILE.replace('"2026-12-24"', '"2026-12-24", "2026-12-31"')) == [
        "~ queue luz/ventas: closures: ['2026-12-24'] → ['2026-12-24', '2026-12-31']"
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('["16:00", "20:00"]', '["13:00", "20:00"]', "queue luz/ventas: mon: the hours should follow each other"),
        ('"2026-12-24"', '"2026-02-30"', "2026-02-30 is no day"),
        ('country = "ES", sub', 'country = "XX", sub', "the country XX is not known"),
        ('"MD"', '"ZZ"', "ES has no subdivision ZZ"),
        ('queue = "ventas"\n  source', 'queue = "none"\n  source', "has no queue none"),
        ('kind = "supply_point"', 'kind = "choice"', "a choice needs choices"),
        ("[[campaigns.numbers]]", '[[campaigns.fields]]\nkey="cups"\nlabels={es="x"}\n[[campaigns.numbers]]', "twice"),
        ('login = "ana"', 'login = "eva"', "agent eva is new and needs a password"),
    ],
)
async def test_what_cannot_be_is_refused_by_name_and_nothing_is_stored(
    book: Book, old: str, new: str, sentence: str
) -> None:
    assert old in FILE
    with pytest.raises(WrongFile, match=sentence):
        await put(book, FILE.replace(old, new, 1))
    async with book.reading() as r:
        assert list(await r.session.scalars(select(Campaign))) == []


async def test_a_number_of_another_campaign_is_not_taken_from_it(book: Book) -> None:
    await put(book, FILE)
    other = FILE.replace('key = "luz"', 'key = "gas"').replace('key = "landing"', 'key = "gas-landing"')
    with pytest.raises(WrongFile, match="belongs to another campaign"):
        await put(book, other)
