"""Who takes signatures, out of a file: secrets are sealed, told by nothing, and what cannot work is refused by name."""

import msgspec
import pytest
from sqlalchemy import select

from router.actions.configuring import apply
from router.book import Book
from router.model.configuration import WrongFile, read
from router.model.facts import Fact
from router.model.signing_accounts import SECRETS, SigningAccount
from router.store import signing_accounts

TOKEN, SECRET = "the-accounts-token", "whsec_of-the-hooks"
CAMPAIGN = """
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
"""
SIGNING = f"""
  [campaigns.signing]
  provider = "docuseal"
  url = "https://sign.luz.example"
  token = "{TOKEN}"
  secret = "{SECRET}"
  deliver = "house"
"""
DOCUSIGN = """
  [campaigns.signing]
  provider = "docusign"
  token = "a-private-key"
  secret = "a-connect-key"
  account = "a-1"
  user = "u-1"
  client = "c-1"
  login = "account.docusign.com"
"""


async def put(book: Book, text: str) -> list[str]:
    async with book.writing() as w:
        return [str(change) for change in await apply(w, read(text), {})]


async def chosen(book: Book) -> SigningAccount | None:
    async with book.reading() as r:
        return await signing_accounts.chosen(r.session, 1)


async def test_a_campaign_chooses_where_its_offers_are_signed_and_applying_again_changes_nothing(book: Book) -> None:
    await put(book, CAMPAIGN)
    assert await chosen(book) is None
    told = await put(book, CAMPAIGN + SIGNING)
    account = await chosen(book)
    assert account is not None
    assert told == [
        "~ signing luz: provider: 'embedded' → 'docuseal'",
        f"+ signing luz/docuseal, which tells us at {book.public_url}/hooks/docuseal/{account.key}",
    ]
    assert (len(account.key), account.url, account.house_sends) == (22, "https://sign.luz.example", True)
    assert await put(book, CAMPAIGN + SIGNING) == []
    # What a file does not speak of stays.
    assert await put(book, CAMPAIGN) == []
    assert await chosen(book) is not None


async def test_no_secret_is_told_or_stored_in_words(book: Book) -> None:
    told = await put(book, CAMPAIGN + SIGNING)
    told += await put(book, CAMPAIGN + SIGNING.replace(SECRET, "whsec_another-one"))
    assert told[-1] == "~ signing luz/docuseal: secrets: '•••' → '••• (changed)'"
    account = await chosen(book)
    assert account is not None
    assert msgspec.json.decode(book.vault.open(SECRETS, account.sealed)) == {
        "token": TOKEN, "secret": "whsec_another-one"}
    async with book.reading() as r:
        facts = repr([fact.data for fact in await r.session.scalars(select(Fact))])
    for word in (TOKEN, SECRET, "another-one"):
        assert word not in repr(told) + facts + repr(account.settings)


async def test_another_choice_leaves_the_account_and_coming_back_finds_its_address_again(book: Book) -> None:
    await put(book, CAMPAIGN + SIGNING)
    first = await chosen(book)
    assert "~ signing luz: provider: 'docuseal' → 'docusign'" in await put(book, CAMPAIGN + DOCUSIGN)
    second = await chosen(book)
    assert first is not None
    assert second is not None
    assert second.settings == {"account": "a-1", "user": "u-1", "client": "c-1", "login": "account.docusign.com"}
    assert await put(book, CAMPAIGN + '\n  [campaigns.signing]\n  provider = "embedded"\n') == [
        "~ signing luz: provider: 'docusign' → 'embedded'"]
    assert await chosen(book) is None
    await put(book, CAMPAIGN + SIGNING)
    again = await chosen(book)
    assert again is not None
    assert (again.id, again.key) == (first.id, first.key)


@pytest.mark.parametrize(("plan", "old", "new", "sentence"), [
    (SIGNING, f'token = "{TOKEN}"', "", "docuseal needs a token, and a secret"),
    (SIGNING, f'secret = "{SECRET}"', "", "docuseal needs a token, and a secret"),
    (SIGNING, '"docuseal"', '"signaturit"', "signaturit does not give us the signer's link"),
    (SIGNING, '"docuseal"', '"embedded"', "the house itself needs no"),
    (SIGNING, '"docuseal"', '"yousign"', "provider"),
    (SIGNING, '"house"', '"pigeon"', "deliver"),
    (SIGNING, '"https://sign', '"ftp://sign', "url"),
    (SIGNING, 'deliver = "house"', 'networks = ["10.0.0.0/99"]', "is no network"),
    (DOCUSIGN, 'user = "u-1"', "", "docusign needs account, user, client, login"),
])
async def test_what_would_never_work_is_refused_with_its_name(
    book: Book, plan: str, old: str, new: str, sentence: str
) -> None:
    assert old in plan
    with pytest.raises(WrongFile, match=sentence):
        await put(book, CAMPAIGN + plan.replace(old, new, 1))
