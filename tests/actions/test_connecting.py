"""Connectors out of a file: their secrets are sealed, told by nothing, and changed when they are another word."""

import msgspec
import pytest
from sqlalchemy import select

from router.actions.configuring import apply
from router.book import Book
from router.model.configuration import WrongFile, read
from router.model.connectors import SECRETS, Connector
from router.model.facts import Fact

SECRET, TOKEN = "the-app-secret", "EAAB-page-token"
FILE = f"""
[[campaigns]]
key = "luz"
name = "Luz"
caller_id = "+34910000000"
sender = "+34910000000"

  [campaigns.company]
  name = "Luz SL"
  address = "Calle Mayor 1"
  phone = "+34910000000"
  email = "hola@luz.example"

  [[campaigns.queues]]
  key = "ventas"
  name = "Ventas"

  [[campaigns.sites]]
  key = "landing"
  name = "Landing"
  queue = "ventas"
  origins = ["https://luz.example"]

  [[campaigns.connectors]]
  name = "leads"
  party = "meta"
  site = "landing"
  secret = "{SECRET}"
  verify_token = "open sesame"
  token = "{TOKEN}"
  consent_text = "We may call you."
  columns = {{ "what_roof" = "field:roof", "note" = "message" }}
  consents = {{ "offers" = {{ purpose = "commercial", text = "Offers too." }} }}

  [[campaigns.connectors]]
  name = "shop"
  party = "woocommerce"
  queue = "ventas"
  secret = "a-shops-secret"
  delay_minutes = 20
"""


async def put(book: Book, text: str) -> list[str]:
    async with book.writing() as w:
        return [str(change) for change in await apply(w, read(text), {})]


async def test_a_connector_has_an_unguessable_address_that_stays_and_applying_again_changes_nothing(
    book: Book,
) -> None:
    told = await put(book, FILE)
    async with book.reading() as r:
        leads, shop = await r.session.scalars(select(Connector).order_by(Connector.id))
    assert f"+ connector luz/leads at {book.public_url}/hooks/meta/{leads.key}" in told
    assert (len(leads.key), leads.key == shop.key, leads.site_id is None, shop.site_id) == (22, False, False, None)
    assert shop.settings["delay_minutes"] == 20
    assert leads.settings["consents"]["offers"]["purpose"] == "commercial"
    assert await put(book, FILE) == []


async def test_no_secret_is_told_or_stored_in_words(book: Book) -> None:
    told = await put(book, FILE)
    told += await put(book, FILE.replace(SECRET, "another-secret").replace(TOKEN, "another-token"))
    assert told[-1] == "~ connector luz/leads: secrets: '•••' → '••• (changed)'"
    async with book.reading() as r:
        leads = await r.session.scalar(select(Connector).where(Connector.name == "leads"))
        facts = repr([fact.data for fact in await r.session.scalars(select(Fact))])
    assert leads is not None
    assert msgspec.json.decode(book.vault.open(SECRETS, leads.sealed)) == {
        "secret": "another-secret", "verify_token": "open sesame", "token": "another-token"}
    for word in (SECRET, TOKEN, "another-secret", "open sesame", "a-shops-secret"):
        assert word not in repr(told) + facts + repr(leads.settings)


@pytest.mark.parametrize(("old", "new", "sentence"), [
    ('site = "landing"\n', "", "name either a queue or a site"),
    ('site = "landing"\n', 'site = "landing"\n  queue = "ventas"\n', "name either a queue or a site"),
    ('site = "landing"\n', 'site = "none"\n', "has no site none"),
    ('queue = "ventas"\n  secret', 'queue = "none"\n  secret', "has no queue none"),
    (f'token = "{TOKEN}"', "", "needs a verify_token and a token"),
    ('consent_text = "We may call you."', "", "consent_text should be"),
    ('"a-shops-secret"', '"a<shops&secret"', "WooCommerce rewrites"),
    ('party = "woocommerce"', 'party = "magento"', "party"),
    ('"field:roof"', '"password"', "columns"),
])
async def test_what_would_never_work_is_refused_with_its_name(book: Book, old: str, new: str, sentence: str) -> None:
    assert old in FILE
    with pytest.raises(WrongFile, match=sentence):
        await put(book, FILE.replace(old, new, 1))


async def test_a_connector_cannot_become_another_partys(book: Book) -> None:
    await put(book, FILE)
    with pytest.raises(WrongFile, match="another name"):
        await put(book, FILE.replace('party = "woocommerce"', 'party = "shopify"'))
