"""The doctor says of each third party whether it lets us in, and that nobody has seen the real one."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations.signers.signbox import Signbox
from router.app import signers_answer
from router.book import Book
from router.model.signing_accounts import SigningAccount
from router.ports import SignerAccount
from tests import making
from tests.entrusting import PROVIDERS, account, opened


async def test_each_account_is_tried_and_no_adapter_is_called_proven(book: Book) -> None:
    box = Signbox()
    async with box.running():
        accounts: list[tuple[str, SigningAccount, SignerAccount]] = []
        for provider in PROVIDERS:
            async with book.writing() as w:
                made = await account(w, (await making.campaign(w, key=provider)).id, provider, box)
            accounts.append((provider, made, opened(provider, box)))
        said = [one async for one in signers_answer(accounts)]
        wrong = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        theirs = opened("docusign", box)
        bad = SignerAccount(theirs.url, {**theirs.secrets, "token": wrong}, theirs.settings)
        refused = [one async for one in signers_answer([("luz", accounts[1][1], bad)])]
        box.token = "another"
        shut = [one async for one in signers_answer(accounts[:1])]
    assert all(well for well, _ in said)
    assert sum("never run against" in text for _, text in said) == len(PROVIDERS)
    assert refused[0] == (False, "campaign luz: DocuSign needs a token that is a private RSA key (PEM)")
    assert shut[0][0] is False
    assert "401" in shut[0][1]
    assert box.secret not in repr(said + refused + shut)
