"""Who gives the time and who keeps evidence, out of a file: secrets are sealed, told by nothing, and what cannot work
is refused by name."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select

from integrations.trust.authority import make_authority
from router.actions import choosing_services, trusting
from router.book import Book
from router.model.campaigns import Campaign
from router.model.configuration import WrongFile
from router.model.facts import Fact
from router.model.trust_accounts import TrustAccount
from router.ports import CustodyAccount, TimeAccount
from tests.actions.test_choosing_signers import CAMPAIGN, put

ROOT = make_authority("Time", datetime.now(UTC)).keys.root_certificate.decode()
TIME = f"""
  [campaigns.time]
  provider = "rfc3161"
  url = "https://time.example/tsa"
  user = "luz"
  password = "the-times-password"
  roots = '''
{ROOT}'''
"""
CUSTODY = """
  [campaigns.custody]
  provider = "depository"
  url = "https://keeper.example/vault"
  keeper = "Notaría 1"
  token = "the-keepers-token"
"""


async def accounts(book: Book) -> list[TrustAccount]:
    async with book.reading() as r:
        return list(await r.session.scalars(select(TrustAccount).order_by(TrustAccount.id)))


async def test_a_campaign_chooses_who_gives_the_time_and_who_keeps_and_applying_again_changes_nothing(
    book: Book,
) -> None:
    await put(book, CAMPAIGN)
    assert await put(book, CAMPAIGN + TIME + CUSTODY) == [
        "~ time luz: provider: 'embedded' → 'https://time.example/tsa'", "+ time luz at https://time.example/tsa",
        "~ custody luz: provider: 'none' → 'https://keeper.example/vault'",
        "+ custody luz at https://keeper.example/vault",
    ]
    assert await put(book, CAMPAIGN + TIME + CUSTODY) == []
    assert await put(book, CAMPAIGN) == []
    time, custody = await accounts(book)
    assert choosing_services.opened(book.vault, time) == TimeAccount(
        "https://time.example/tsa", f"{ROOT}".encode(), "luz", "the-times-password")
    assert choosing_services.opened(book.vault, custody) == CustodyAccount(
        "https://keeper.example/vault", "Notaría 1", "the-keepers-token")


async def test_no_secret_is_told_or_stored_in_words(book: Book) -> None:
    told = await put(book, CAMPAIGN + TIME + CUSTODY)
    told += await put(book, CAMPAIGN + CUSTODY.replace("the-keepers-token", "another-token"))
    assert told[-1] == "~ custody luz at https://keeper.example/vault: secrets: '•••' → '••• (changed)'"
    async with book.reading() as r:
        said = repr([fact.data for fact in await r.session.scalars(select(Fact))])
    said += repr(told) + repr([(one.settings, one.sealed) for one in await accounts(book)])
    for word in ("the-keepers-token", "another-token", "the-times-password"):
        assert word not in said


async def test_another_choice_leaves_the_account_whose_word_still_counts(book: Book) -> None:
    await put(book, CAMPAIGN + TIME)
    assert "~ time luz: provider: 'https://time.example/tsa' → 'https://other.example/tsa'" in await put(
        book, CAMPAIGN + TIME.replace("time.example", "other.example"))
    assert await put(book, CAMPAIGN + '\n  [campaigns.time]\n  provider = "embedded"\n') == [
        "~ time luz: provider: 'https://other.example/tsa' → 'embedded'"]
    assert [(one.url, one.chosen) for one in await accounts(book)] == [
        ("https://time.example/tsa", False), ("https://other.example/tsa", False)]
    async with book.writing() as w:
        campaign = await w.session.scalar(select(Campaign))
        assert campaign is not None
        assert await choosing_services.time_of(w, campaign.id) is None
        assert (await trusting.trusted(w.session)).time.count(b"BEGIN CERTIFICATE") == 2
    await put(book, CAMPAIGN + TIME)
    assert [one.chosen for one in await accounts(book)] == [True, False]


@pytest.mark.parametrize(("plan", "old", "new", "sentence"), [
    (TIME, 'url = "https://time.example/tsa"', "", "needs a url"),
    (TIME, ROOT, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "roots should be the certificates"),
    (TIME, ROOT, "", "roots should be the certificates"),
    (TIME, 'user = "luz"', "", "a user and a password"),
    (TIME, '"rfc3161"', '"embedded"', "embedded needs no url"),
    (TIME, '"rfc3161"', '"sundial"', "provider"),
    (TIME, '"https://time', '"ftp://time', "url"),
    (CUSTODY, 'keeper = "Notaría 1"', "", "needs a keeper"),
    (CUSTODY, 'token = "the-keepers-token"', "", "needs a keeper"),
    (CUSTODY, '"depository"', '"none"', "none needs no url"),
    (CUSTODY, 'keeper = "Notaría 1"', 'keeper = "Notaría 1"\n  gives = "nothing"', "gives"),
    (CUSTODY, "https://keeper", "https://user:word@keeper", "url"),
])
async def test_what_would_never_work_is_refused_with_its_name(
    book: Book, plan: str, old: str, new: str, sentence: str
) -> None:
    assert old in plan
    with pytest.raises(WrongFile, match=sentence):
        await put(book, CAMPAIGN + plan.replace(old, new, 1))
