"""Applying a file: the difference is shown, twice changes nothing, and what cannot be is refused."""

import pytest
from sqlalchemy import select, update

from router.actions import publishing
from router.actions.configuring import apply
from router.book import Book
from router.model.agents import Agent
from router.model.campaigns import Campaign, Number, Queue, Ruleset, Site
from router.model.configuration import WrongFile, read
from router.model.facts import Fact
from router.model.levels import levels_of
from router.store import packs

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


ROUTED = FILE.replace('''  closures = ["2026-12-24"]
''', '''  closures = ["2026-12-24"]
  skills = { it = 2, solar = 1 }
  overflow = "fallback"
  overflow_seconds = 300
  expire_seconds = 3600
  wrap_mode = "timed_and_done"
  [campaigns.queues.rules]
  agents_by = "most_skilled"
  value = 3.0
  half_life_seconds = 300
  floor_seconds = 600
  newest_first = true
  owner_seconds = 20
  [[campaigns.queues.rules.rows]]
  from_seconds = 30
  skills = { it = 1, solar = 1 }
  [[campaigns.queues.rules.rows]]
  from_seconds = 60
  credit_seconds = 9
  skills = ["it"]

  [[campaigns.queues]]
  key = "fallback"
  name = "Fallback"
''').replace('name = "Ana"\n', """name = "Ana"
skills = { it = 3, es = 1 }
capacity = { chat = 3, video = 0 }
most_a_day = 40
""", 1)


async def test_levels_rules_and_capacities_are_applied_once(book: Book) -> None:
    assert ROUTED.count("capacity =") == 1
    async with book.writing() as w:
        await apply(w, read(ROUTED), {"ana": "hash"})
    async with book.writing() as w:
        assert await apply(w, read(ROUTED), {}) == []
    async with book.reading() as r:
        ana = (await r.session.scalars(select(Agent)))[0]
        queue, fallback = await r.session.scalars(select(Queue).order_by(Queue.id))
        rules = (await r.session.scalars(select(Ruleset)))[0]
    assert levels_of(ana.skills) == {"it": 3, "es": 1}
    assert (ana.call_capacity, ana.chat_capacity, ana.video_capacity, ana.most_a_day) == (1, 3, 0, 40)
    assert (queue.skills, queue.overflow_id, queue.wrap_mode) == (["it:2", "solar"], fallback.id, "timed_and_done")
    assert (queue.rules_id, queue.newest_first, queue.owner_seconds) == (rules.id, True, 20)
    assert (rules.version, rules.widens) == (2, [30, 60])


async def test_what_an_agent_can_do_otherwise_is_one_fact_with_what_it_was_before(book: Book) -> None:
    async with book.writing() as w:
        await apply(w, read(ROUTED), {"ana": "hash"})
    other = ROUTED.replace("skills = { it = 3, es = 1 }", "skills = { it = 1 }\npool = 2\nweight = 2.5", 1)
    for text in (ROUTED.replace('name = "Ana"', 'name = "Ana B"', 1), other, other):
        async with book.writing() as w:
            await apply(w, read(text), {})
    async with book.reading() as r:
        (fact,) = await r.session.scalars(select(Fact).where(Fact.kind == "agent.changed"))
        ana = (await r.session.scalars(select(Agent)))[0]
    can = {"capacity": {"call": 1, "chat": 3, "video": 0}, "most": 40}
    assert (fact.agent_id, fact.subject_id, fact.data) == (ana.id, ana.id, {
        "before": {"pool": 1, "skills": {"it": 3, "es": 1}, "weight": 1.0, **can},
        "after": {"pool": 2, "skills": {"it": 1}, "weight": 2.5, **can},
    })


async def test_other_rules_are_a_new_version_and_the_old_one_stays(book: Book) -> None:
    async with book.writing() as w:
        await apply(w, read(ROUTED), {"ana": "hash"})
    async with book.writing() as w:
        (change,) = await apply(w, read(ROUTED.replace("value = 3.0", "value = 4.0")), {})
    assert str(change) == "~ queue luz/ventas: rules.value: 3.0 → 4.0"
    async with book.reading() as r:
        old, new = await r.session.scalars(select(Ruleset).order_by(Ruleset.version))
        queue = (await r.session.scalars(select(Queue).where(Queue.key == "ventas")))[0]
    assert (old.version, new.version, old.body["value"], queue.rules_id) == (2, 3, 3.0, new.id)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("floor_seconds = 600", "", "queue luz/ventas: rules: newest_first needs floor_seconds"),
        ("from_seconds = 60", "from_seconds = 20", "the rows should begin one after the other"),
        ('skills = ["it"]', 'skills = ["it", "es"]', "the row from 60 s asks for more than the one before"),
        ("from_seconds = 30", "from_seconds = 30\n  credit_seconds = 10", "credit should not be less"),
        ("it = 2,", "it = -2,", "line 22: Expected `int` >= 1"),
        ("it = 2,", "it = 99,", "line 22: Expected `int` <= 10"),
        ('overflow = "fallback"', 'overflow = "ventas"', "overflow goes round in a circle: ventas → ventas"),
        ('name = "Fallback"', 'name = "Fallback"\noverflow = "ventas"\noverflow_seconds = 9',
         "overflow goes round in a circle: ventas → fallback → ventas"),
        ('overflow = "fallback"', 'overflow = "nowhere"', "campaign luz has no queue nowhere"),
        ("overflow_seconds = 300", "", "overflow and overflow_seconds belong together"),
        ("expire_seconds = 3600", "expire_seconds = 200", "given up before the rules have had effect"),
        ("wrap_mode", "wrap_most_seconds = 5\n  wrap_mode", "wrap_most_seconds should not be less"),
        ("capacity = { chat = 3, video = 0 }", "capacity = { call = 0, chat = 0, video = 0 }", "would never be given"),
        ("capacity = { chat = 3,", "capacity = { chat = -1,", "line"),
        ("\n[[campaigns]]", 'skills = ["it", "es"]\n[[campaigns]]', "solar is not among the file's skills: it, es"),
    ],
)  # fmt: skip
async def test_rules_that_contradict_themselves_are_refused_by_name(book: Book, old: str, new: str, says: str) -> None:
    assert old in ROUTED
    with pytest.raises(WrongFile) as error:
        async with book.writing() as w:
            await apply(w, read(ROUTED.replace(old, new, 1)), {"ana": "hash"})
    assert says in str(error.value)


async def test_nobody_is_left_with_more_than_he_may_hold(book: Book) -> None:
    async with book.writing() as w:
        await apply(w, read(ROUTED), {"ana": "hash"})
    async with book.writing() as w:
        ana = (await w.session.scalars(select(Agent)))[0]
        ana.chat_load = 2
        await w.session.flush()
    with pytest.raises(WrongFile, match="he holds 2 of channel chat just now"):
        async with book.writing() as w:
            await apply(w, read(ROUTED.replace("chat = 3", "chat = 1")), {})


async def test_mails_come_from_an_address_that_can_be_written_to(book: Book) -> None:
    def sending_from(address: str) -> str:
        return FILE.replace('whatsapp = "+34910000001"', f'mail_from = "{address}"')

    await put(book, sending_from("hola@luz.example"))
    async with book.reading() as r:
        campaign = await r.session.scalar(select(Campaign))
    assert campaign is not None
    assert campaign.mail_from == "hola@luz.example"
    for wrong in ("hola", "hola@luz", "Luz <hola@luz.example>", "hola@luz.example, x@y.example"):
        with pytest.raises(WrongFile, match="mail_from should be an address"):
            await put(book, sending_from(wrong))


async def test_a_file_disables_and_lets_in_again_and_says_nothing_when_it_does_not_say(book: Book) -> None:
    await put(book, FILE)
    gone = FILE.replace('login = "ana"', 'login = "ana"\ndisabled = true')
    assert await put(book, gone) == ["~ agent ana: disabled: False → True"]
    assert await put(book, gone) == await put(book, FILE) == []
    assert await put(book, FILE.replace('login = "ana"', 'login = "ana"\ndisabled = false')) == [
        "~ agent ana: disabled: True → False"]


async def test_a_file_does_not_disable_who_holds_work(book: Book) -> None:
    await put(book, FILE)
    async with book.writing() as w:
        await w.session.execute(update(Agent).values(call_load=1, busy_since=w.now))
    with pytest.raises(WrongFile, match=r"agent ana: disabled: .* holds work just now"):
        await put(book, FILE.replace('login = "ana"', 'login = "ana"\ndisabled = true'))


async def test_a_campaign_may_name_any_pack_in_force_be_it_shipped_or_published(book: Book) -> None:
    pinned = FILE.replace('key = "luz"\n', 'key = "luz"\nrule_pack = "PT-azores"\n', 1)
    with pytest.raises(WrongFile, match="the rule packs are by_country, BR, DE"):
        await put(book, pinned)
    azores = packs.of_program()["standard"].replace('key = "standard"', 'key = "PT-azores"')
    async with book.writing() as w:
        await publishing.publish(w, azores)
    await put(book, pinned)
    await put(book, pinned.replace("PT-azores", "ES"))
    with pytest.raises(WrongFile, match="the rule packs are"):
        await put(book, pinned.replace("PT-azores", "house"))


async def test_a_campaign_that_names_no_pack_is_bound_by_that_of_the_country_however_it_is_made(book: Book) -> None:
    await put(book, FILE)
    async with book.writing() as w:
        w.session.add(Campaign(key="sol", name="Sol", caller_id="+34910000000", sender="+34910000000"))
        await w.session.flush()
    async with book.reading() as r:
        assert {one.rule_pack for one in await r.session.scalars(select(Campaign))} == {"by_country"}
