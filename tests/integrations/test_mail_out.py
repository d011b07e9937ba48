"""Mail over real SMTP: composed so that nothing a person typed adds a header, and never uncertain without need."""

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from integrations.mail.transport import AT_ONCE, MOST_ON_ONE, SmtpMail
from integrations.phonebox.mailbox import Mailbox
from router.ports import RECIPIENT, Enclosure, Refused, Uncertain
from tests.mailing import Server, catching, certificates, order
from tests.parties import HOSTILE

LONG = f"https://sales.example.com/{'a' * 120}/u/{'t' * 22}"


def parsed(raw: bytes) -> EmailMessage:
    return message_from_bytes(raw, _class=EmailMessage, policy=policy.default)


async def refused(server: Server, **more: str) -> Refused:
    with pytest.raises(Refused) as caught:
        await server.mail.send(order(**more))
    return caught.value


async def test_a_mail_arrives_as_it_was_ordered() -> None:
    async with catching() as server:
        answer = await server.mail.send(order(
            subject="Su oferta está lista — 49,90 €", text="¡Hola!\n.\n..Año\n", html="<p>ñ</p>", unsubscribe_url=LONG,
            enclosures=[Enclosure("Oferta nº 1.pdf", "application/pdf", b"%PDF-1.7\x00\xff")],
        ))
        (mail,) = server.caught()
    assert mail.sid in answer
    message = parsed(mail.raw)
    assert (mail.sender, mail.to) == ("hola@luz.example", ("ana@example.com",))
    assert message["Subject"] == "Su oferta está lista — 49,90 €"
    assert str(message["From"]) == "Luz Clara <hola@luz.example>"
    assert message["Message-ID"] == f"<{'r' * 22}@luz.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert f"\r\nList-Unsubscribe: <{LONG}>\r\n".encode() in mail.raw
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["Date"].datetime.utcoffset() is not None
    assert (mail.text, mail.html) == ("¡Hola!\r\n.\r\n..Año\r\n", "<p>ñ</p>\r\n")
    (document,) = message.iter_attachments()
    assert (document.get_filename(), document.get_content()) == ("Oferta nº 1.pdf", b"%PDF-1.7\x00\xff")
    assert mail.raw.isascii()
    assert max(map(len, mail.raw.split(b"\r\n"))) < 998


async def test_a_mail_nobody_can_end_has_no_such_header() -> None:
    async with catching() as server:
        await server.mail.send(order())
        assert "List-Unsubscribe" not in parsed(server.caught()[0].raw)


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
async def test_nothing_a_person_typed_adds_or_alters_a_header(words: str) -> None:
    async with catching() as server:
        await server.mail.send(order(
            subject=f"Hola {words}", sender_name=words, text=words, html=words,
            enclosures=[Enclosure(words, words, b"x")],
        ))
        (mail,) = server.caught()
    message = parsed(mail.raw)
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"}
    assert message["From"].addresses[0].addr_spec == "hola@luz.example"
    assert message["To"].addresses[0].addr_spec == "ana@example.com"
    assert len(message["From"].addresses) == len(message["To"].addresses) == 1
    assert "\u202e" not in str(message["Subject"]) + str(message["From"])
    assert b"\x00" not in mail.raw
    assert not message.defects


@pytest.mark.parametrize("to", ["", "no address", "a@b\r\nRCPT TO:<x@y.example>", "<a@b.example>", "añá@b.example"])
async def test_what_is_no_address_is_refused_before_anybody_is_asked(to: str) -> None:
    async with catching() as server:
        refusal = await refused(server, to=to)
        assert (refusal.permanent, server.box.mails) == (True, {})


async def test_a_few_mails_travel_on_one_connection_and_no_more_than_a_few() -> None:
    async with catching() as server:
        for n in range(MOST_ON_ONE + 1):
            await server.mail.send(order(ref=f"{n:022}"))
        assert (server.catcher.connections, len(server.caught())) == (2, MOST_ON_ONE + 1)
        assert server.twice() == []


async def test_many_at_once_share_a_few_connections() -> None:
    async with catching() as server:
        await asyncio.gather(*(server.mail.send(order(ref=f"{n:022}")) for n in range(20)))
        assert server.catcher.connections <= AT_ONCE
        assert len(server.caught()) == 20


async def test_a_connection_cut_off_between_two_mails_is_made_anew() -> None:
    async with catching() as server:
        await server.mail.send(order(ref="1" * 22))
        server.fail("drop", "MAIL")
        await server.mail.send(order(ref="2" * 22))
        assert (server.catcher.connections, len(server.caught()), server.twice()) == (2, 2, [])


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT"])
async def test_a_connection_that_dies_before_the_mail_has_done_nothing(stage: str) -> None:
    async with catching() as server:
        server.fail("drop", stage, times=2)
        refusal = await refused(server)
        assert (refusal.permanent, refusal.code, server.box.mails) == (False, "no_server", {})


@pytest.mark.parametrize("processed", [True, False])
async def test_a_connection_that_dies_after_the_mail_leaves_it_uncertain(processed: bool) -> None:
    async with catching() as server:
        server.fail("drop", "BODY", processed=processed)
        with pytest.raises(Uncertain):
            await server.mail.send(order())
        assert len(server.caught()) == processed


async def test_a_server_that_does_not_answer_the_mail_leaves_it_uncertain() -> None:
    async with catching(data=0.2) as server:
        server.fail("delay", "BODY", seconds=60)
        with pytest.raises(Uncertain):
            await server.mail.send(order())


async def test_a_server_that_does_not_answer_before_the_mail_has_done_nothing() -> None:
    async with catching(before=0.2) as server:
        server.fail("delay", "RCPT", seconds=60)
        refusal = await refused(server)
        assert (refusal.permanent, refusal.code) == (False, "no_server")


async def test_where_nobody_listens_nothing_is_done() -> None:
    async with catching() as server:
        nobody = SmtpMail(f"smtp://127.0.0.1:{server.port}")
        await server.catcher.stop()
        with pytest.raises(Refused) as caught:
            await nobody.send(order())
    assert (caught.value.permanent, caught.value.code) == (False, "no_server")


@pytest.mark.parametrize(
    ("stage", "status", "words", "permanent", "code"),
    [
        ("RCPT", 550, "no such user", True, f"{RECIPIENT}550"),
        ("RCPT", 550, "5.1.1 no such user", True, f"{RECIPIENT}550"),
        ("RCPT", 550, "5.7.1 you are on a list", True, "550"),
        ("RCPT", 552, "5.2.2 mailbox full", True, "552"),
        ("RCPT", 451, "4.7.1 greylisted", False, "451"),
        ("MAIL", 550, "not from there", True, "550"),
        ("DATA", 451, "busy", False, "451"),
        ("BODY", 554, "5.7.1 this is spam", True, "554"),
        ("BODY", 550, "5.1.1 nobody here", True, f"{RECIPIENT}550"),
        ("BODY", 451, "later", False, "451"),
        ("GREETING", 554, "closed", False, "554"),
    ],
)
async def test_a_servers_no_says_whether_it_is_for_good_and_whether_of_the_address(
    stage: str, status: int, words: str, permanent: bool, code: str
) -> None:
    async with catching() as server:
        server.fail("answer", stage, status, words=words)
        refusal = await refused(server)
        assert (refusal.permanent, refusal.code, server.box.mails) == (permanent, code, {})
        await server.mail.send(order())
        assert len(server.caught()) == 1


@pytest.mark.parametrize("direct", [True, False])
async def test_certificates_are_checked_however_the_encryption_begins(tmp_path: Path, direct: bool) -> None:
    certificate, trust = certificates(tmp_path)
    async with catching(certificate=certificate, direct=direct, trust=trust, encrypt=True) as server:
        await server.mail.send(order())
        await server.mail.check()
        stranger = SmtpMail(f"smtp{'s' if direct else ''}://127.0.0.1:{server.port}", encrypt=True)
        with pytest.raises(Refused, match="could not be used"):
            await stranger.send(order())
        assert len(server.caught()) == 1


async def test_a_certificate_of_another_name_is_not_believed(tmp_path: Path) -> None:
    certificate, trust = certificates(tmp_path, "127.0.0.2")
    async with catching(certificate=certificate, direct=True, trust=trust) as server:
        assert (await refused(server)).code == "no_server"


async def test_without_encryption_nothing_leaves_the_machine() -> None:
    async with catching(login=("ana", "hush"), user="ana:hush@", encrypt=True) as server:
        refusal = await refused(server)
        assert (refusal.permanent, server.box.mails) == (False, {})


async def test_a_login_that_is_refused_is_the_houses_trouble_and_not_the_mails() -> None:
    async with catching(login=("ana", "p@ss/wörd"), user="ana:p%40ss%2Fw%C3%B6rd@") as server:
        await server.mail.send(order())
        await server.mail.check()
        stranger = SmtpMail(f"smtp://ana:wrong@127.0.0.1:{server.port}")
        with pytest.raises(Refused) as caught:
            await stranger.send(order())
    assert (caught.value.permanent, caught.value.code) == (False, "535")
    assert "wrong" not in repr(caught.value)


async def test_the_log_remembers_the_mails_over_a_restart(tmp_path: Path) -> None:
    async with catching(log=tmp_path / "asked.jsonl") as server:
        await server.mail.send(order(subject="Año"))
        entries, (mail,) = server.log.read(), server.caught()
    again = Mailbox()
    again.remember(entries)
    assert [each.as_record() for each in again.newest_first()] == [mail.as_record()]
