"""Mail as it really comes: folded, encoded, twisted, and read without trusting a word of it."""

import pytest

from integrations.mail.inbound import InboundMail
from router.ports import MailArrived, MailReturned, Webhook
from tests.parties import mac


def read(raw: bytes) -> MailArrived | None:
    found = [event for event in InboundMail().understand(Webhook("", {}, raw)) if isinstance(event, MailArrived)]
    return found[0] if found else None


def mail(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"From: Ana <ana@example.com>", b"Subject: Hi", *headers, b"", body])


def test_only_the_signature_of_the_raw_bytes_opens() -> None:
    raw, party = mail(b"Hello"), InboundMail()
    good = {"x-signature-256": f"sha256={mac(raw).hex()}"}
    assert party.genuine(Webhook("", good, raw), {"secret": "hush"})
    assert not party.genuine(Webhook("", good, raw + b"\n"), {"secret": "hush"})
    assert not party.genuine(Webhook("", {}, raw), {"secret": "hush"})


def test_the_plain_part_is_preferred_and_attachments_are_not_looked_at() -> None:
    raw = mail(
        b'--x\r\nContent-Type: text/html\r\n\r\n<b>no</b>\r\n--x\r\nContent-Type: text/plain\r\n'
        b'Content-Disposition: attachment; filename="a.txt"\r\n\r\nnot this\r\n--x\r\nContent-Type: text/plain\r\n\r\n'
        b'Yes\r\n--x--\r\n', b'Content-Type: multipart/mixed; boundary="x"')
    found = read(raw)
    assert found is not None
    assert found.text == "Yes"


def test_of_html_only_its_words_are_read() -> None:
    found = read(mail(b"<head><title>t</title></head><style>p{}</style><p>One<p>Two<script>bad()</script>&lt;b&gt;",
                      b"Content-Type: text/html"))
    assert found is not None
    assert found.text == "One\nTwo<b>"


@pytest.mark.parametrize("header", [
    b"Auto-Submitted: auto-replied", b"Precedence: bulk", b"Return-Path: <>", b"Auto-Submitted: auto-generated",
])
def test_what_a_machine_wrote_is_let_pass(header: bytes) -> None:
    assert read(mail(b"I am away", header)) is None


@pytest.mark.parametrize("raw", [
    b"", b"\x00", b"\xff" * 1000, b"From: \r\n\r\n", b"From: a@b@c\r\n\r\nx", b"Content-Type: multipart/mixed\r\n\r\nx",
    b"Subject: =?utf-8?q?=ff=fe?=\r\n\r\nx", b"Subject: =?nonsense?b?!!!?=\r\n\r\nx",
    b"Content-Type: text/plain; charset=no-such\r\n\r\n\xe9", b"Date: never\r\n\r\nx",
    b"From: " + b"(" * 5000 + b"\r\n\r\nx",
    b"Content-Transfer-Encoding: base64\r\n\r\n!!!", b"Content-Type: " + b"a" * 60_000 + b"\r\n\r\nx",
    b"From: a@b.example\r\nContent-Type: message/rfc822\r\n\r\n" * 200,
    b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n' + b"--x\r\n\r\n" * 5000,
    b"Date: Mon, 99 Foo 0000 99:99:99 +9999\r\nFrom: =?utf-8?q?a=00b?= <x@y.example>\r\n\r\nx",
])
def test_twisted_mail_never_breaks_the_reader(raw: bytes) -> None:
    found = read(raw)
    assert found is None or "\x00" not in repr(found)


def test_a_senders_address_with_tricks_is_no_address() -> None:
    tricks = (b"<a@b.example\r\n Bcc: x@y.example>", b"a b@c.example", b"\"<script>\"@x.example", b"a@" + b"b" * 400)
    for sender in tricks:
        found = read(b"From: " + sender + b"\r\n\r\nx")
        assert found is not None
        assert not set(found.sender) & set("<>\"' \r\n")


REF = "r" * 22


def report(fields: str, returned: str = f"Message-ID: <{REF}@luz.example>", kind: str = "message/rfc822") -> bytes:
    """A report of a mail server, as RFC 3464 has it."""
    return (
        "From: MAILER-DAEMON@mx.example\r\nReturn-Path: <>\r\nAuto-Submitted: auto-replied\r\nSubject: Undelivered\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="x"\r\n\r\n'
        "--x\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n"
        "--x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n"
        f"Final-Recipient: rfc822; ana@example.com\r\n{fields}\r\n"
        f"--x\r\nContent-Type: {kind}\r\n\r\n{returned}\r\nSubject: Su oferta\r\n\r\nHola\r\n--x--\r\n"
    ).encode()


@pytest.mark.parametrize("kind", ["message/rfc822", "text/rfc822-headers"])
@pytest.mark.parametrize(
    ("fields", "status", "gone"),
    [
        ("Action: failed\r\nStatus: 5.1.1", "5.1.1", True),
        ("Action: Failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 5.2.2 full", "5.2.2", False),
        ("Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 user unknown", "5.0.0", True),
        ("Action: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 554 5.7.1 spam", "5.0.0", False),
        ("Action: failed\r\nStatus: what?", "5.0.0", False),
        ("Action: failed\r\nStatus: 4.4.7", "4.4.7", False),
    ],
)
def test_a_mail_servers_report_names_our_mail_and_says_why(kind: str, fields: str, status: str, gone: bool) -> None:
    found = InboundMail().understand(Webhook("", {}, report(fields, kind=kind)))
    assert found == (MailReturned(REF, status, gone),)


@pytest.mark.parametrize(
    "raw",
    [
        report("Action: delayed\r\nStatus: 4.4.1"),
        report("Action: delivered\r\nStatus: 2.0.0"),
        report("Action: failed\r\nStatus: 5.1.1", "Message-ID: <somebody@else.example>"),
        report("Action: failed\r\nStatus: 5.1.1", "X: y"),
        report("Status: 5.1.1"),
        report("Action: failed\r\nStatus: 5.1.1")[:200],
        report("Action: failed\r\nStatus: \x00\xff"),
    ],
)
def test_a_report_of_anything_else_is_nothing_to_us(raw: bytes) -> None:
    assert all(not isinstance(each, MailReturned) or each.status == "5.0.0"
               for each in InboundMail().understand(Webhook("", {}, raw)))
