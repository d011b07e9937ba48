"""A timestamp authority that is not ours: openssl behind a small HTTP server, in a thread of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from integrations.trust.authority import make_authority

CONFIG = """
[tsa]
serial = serial
signer_cert = tsa.pem
certs = issuing.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha384, sha512
ess_cert_id_chain = no
ess_cert_id_alg = sha256
crypto_device = builtin
"""


class Outside:
    """`url` and `root` are what a house is told; `mood` is how it answers: well, down (an error), nonsense."""

    def __init__(self, folder: Path, name: str) -> None:
        keys = make_authority(name, datetime.now(UTC)).keys
        self.folder, self.root, self.mood, self.asked = folder, keys.root_certificate, "well", 0
        (folder / "tsa.cnf").write_text(CONFIG)
        (folder / "serial").write_text("01")
        (folder / "tsa.pem").write_bytes(keys.timestamp_certificate)
        (folder / "tsa.key").write_bytes(keys.timestamp_key)
        (folder / "issuing.pem").write_bytes(keys.issuing_certificate)
        self.url = ""

    def answer(self, query: bytes) -> bytes | None:
        self.asked += 1
        if self.mood != "well":
            return None if self.mood == "down" else b"nonsense"
        (self.folder / "query").write_bytes(query)
        command = ["openssl", "ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "query"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, check=True).stdout


@contextmanager
def outside(folder: Path, name: str = "Outside Time") -> Iterator[Outside]:
    """The authority, answering for as long as it is held."""
    folder.mkdir()
    authority = Outside(folder, name)

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = authority.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(500 if body is None else 200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = Thread(target=server.serve_forever)
    thread.start()
    authority.url = f"http://127.0.0.1:{server.server_port}/tsa"
    try:
        yield authority
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
