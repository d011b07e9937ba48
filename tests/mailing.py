"""A mail server on loopback that catches everything, and our adapter before it."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from integrations.mail.transport import SmtpMail
from integrations.phonebox.faults import SMTP, Fault, Faults
from integrations.phonebox.log import Log
from integrations.phonebox.mailbox import Caught, Mailbox
from integrations.phonebox.smtp import SmtpCatcher
from router.ports import MailOrder


@dataclass
class Server:
    """The catcher with its switches and its log, and `mail`, which sends to it. `port` is where it listens."""

    catcher: SmtpCatcher
    faults: Faults
    log: Log
    box: Mailbox
    mail: SmtpMail
    port: int = 0

    def fail(self, kind: str, stage: str, status: int = 500, **more: Any) -> None:
        self.faults.requests.append(Fault(kind, method=SMTP, path=stage, status=status, **more))

    def caught(self) -> list[Caught]:
        return list(self.box.mails.values())

    def twice(self) -> list[str]:
        """The mails the server took more than once, by its own log."""
        counts = Counter(entry["message_id"] for entry in self.log.read() if entry["kind"] == "mail")
        return [name for name, count in counts.items() if count > 1]


@asynccontextmanager
async def catching(
    *, certificate: ssl.SSLContext | None = None, direct: bool = False, login: tuple[str, str] | None = None,
    user: str = "", log: Path | None = None, host: str = "127.0.0.1", **options: Any,
) -> AsyncIterator[Server]:
    faults, kept, box = Faults(), Log(log), Mailbox()
    catcher = SmtpCatcher(kept, faults, box, certificate=certificate, direct=direct, login=login)
    port = await catcher.start()
    mail = SmtpMail(f"smtp{'s' if direct else ''}://{user}{host}:{port}", **options)
    try:
        yield Server(catcher, faults, kept, box, mail, port)
    finally:
        await mail.close()
        await catcher.stop()


def order(ref: str = "r" * 22, **more: Any) -> MailOrder:
    return MailOrder(**{
        "ref": ref, "to": "ana@example.com", "sender": "hola@luz.example", "sender_name": "Luz Clara",
        "subject": "Su oferta", "text": "Hola", "html": "<p>Hola</p>", **more,
    })


def certificates(folder: Path, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's certificate for this host, and the trust of a client that believes it."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "catcher")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / f"{host}.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))
