"""Verifying without the service: what holds of a signed document, a certificate or a whole bundle, line by line.

A bundle brings its own root certificate. Whether that is the company's is a line of its own: it holds only when the
root is given from elsewhere and is the same.
"""

import hashlib
import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from router.findings import OF_THE_SEAL, findings, unseen
from router.model import bundles
from router.model.bundles import MANIFEST, STAMP, NoBundle
from router.ports import NOBODY_ELSE, Check, Trusted, TrustProvider
from router.wording import wording

ZIP = b"PK"
ROOT = "pki/root.pem"
DOCUMENTS = ("signed.pdf", "certificate.pdf")


async def lines(
    trust: TrustProvider, content: bytes, root: bytes, trusted: Trusted = NOBODY_ELSE
) -> Sequence[Check]:
    """What holds of a file, a PDF or a bundle. `root` is the company's root certificate (PEM); empty, and with nobody
    else `trusted`, nobody is. Never raises for what stands in the file."""
    if not content.startswith(ZIP):
        return (await trust.inspect(content, root, (), trusted)).checks
    try:
        files = bundles.unpack(content)
    except NoBundle as problem:
        return [Check("bundle", False, {"code": str(problem)})]
    return await _of_bundle(trust, files, root, trusted)


def told(seen: Sequence[Check], *, as_json: bool, locale: str = "en") -> tuple[bool, str]:
    """Whether every line holds, and all of them in words, or as one JSON object. Of what is neither a PDF nor a bundle
    no line is said: see `advice`."""
    holds = bool(seen) and all(one.holds for one in seen)
    if as_json:
        found = [{"name": one.name, "holds": one.holds, "detail": dict(one.detail)} for one in seen]
        return holds, json.dumps({"holds": holds, "lines": found})
    if _is_neither(seen):
        return holds, ""
    words = {answer: wording().say(word, locale) for answer, word in ((True, "holds"), (False, "does not hold"))}
    width = max(map(len, words.values()))
    return holds, "\n".join(
        f"{words[one.holds]:<{width}}  {one.title}: {one.sentence}" for one in findings(seen, locale))


def advice(seen: Sequence[Check], *, rooted: bool, locale: str = "en") -> str:
    """What whoever asked may do about lines that do not hold; "" where nothing is to be done. `rooted`: the company's
    root certificate was given."""
    if _is_neither(seen):
        return wording().say("This is neither a PDF nor a bundle: nothing could be verified.", locale)
    if not rooted and not all(one.holds for one in seen) and not unseen(seen):
        return wording().say(
            "Whose seal it is needs --root: the certificate which the company publishes at /pki/root.pem.", locale)
    return ""


def _is_neither(seen: Sequence[Check]) -> bool:
    return all(one.name in OF_THE_SEAL for one in seen) and unseen(seen) == "not-a-pdf"


async def _of_bundle(
    trust: TrustProvider, files: Mapping[str, bytes], root: bytes, trusted: Trusted
) -> Sequence[Check]:
    own = files.get(ROOT, b"")
    found = [Check("bundle", True, {"code": "as-packed", "files": str(len(files))}), _root(own, root)]
    listed = bundles.listed(files.get(MANIFEST, b""))
    found.append(_files(files, listed))
    digest = hashlib.sha256(files.get(MANIFEST, b"")).digest()
    found.append(await _stamp(trust, "manifest time", files.get(STAMP, b""), digest, own))
    found += _events(files)
    crls = [content for name, content in files.items() if name.endswith(".crl")]
    for name in DOCUMENTS:
        if name in files or name == "signed.pdf":
            seen = await trust.inspect(files.get(name, b""), own, crls, trusted)
            found += [replace(check, name=f"{name} {check.name}") for check in seen.checks]
    if "ledger.txt" in files:
        found.append(await _ledger(trust, files, own))
    return found


def _root(own: bytes, given: bytes) -> Check:
    try:
        mine = ssl.PEM_cert_to_DER_cert(own.decode())
    except ValueError:
        return Check("root", False, {"code": "unreadable"})
    detail = {"sha256": hashlib.sha256(mine).hexdigest()}
    if not given:
        return Check("root", False, {"code": "not-compared", **detail})
    try:
        same = ssl.PEM_cert_to_DER_cert(given.decode()) == mine and own.count(b"BEGIN CERTIFICATE") == 1
    except ValueError:
        same = False
    return Check("root", same, {"code": "the-company's" if same else "another", **detail})


def _files(files: Mapping[str, bytes], listed: Mapping[str, str] | None) -> Check:
    if listed is None:
        return Check("files", False, {"code": "no-manifest"})
    wrong = bundles.strayed(files, listed)
    code = "changed" if wrong else "as-listed"
    return Check("files", not wrong, {"code": code, **({"files": ", ".join(wrong)} if wrong else {})})


def _events(files: Mapping[str, bytes]) -> Iterator[Check]:
    told = files.get("events.jsonl", b"")
    broken = bundles.events_break_at(told)
    if broken is not None:
        yield Check("events", False, {"code": "broken", "line": str(broken)})
        yield Check("agreement", False, {"code": "no-events"})
        return
    yield Check("events", True, {"code": "unbroken", "events": str(told.count(b"\n"))})
    try:
        wrong = bundles.disagreements(files)
    except (KeyError, TypeError, AttributeError):
        wrong = ["events.jsonl"]
    code = "not-as-told" if wrong else "as-told"
    yield Check("agreement", not wrong, {"code": code, **({"files": ", ".join(wrong)} if wrong else {})})


async def _ledger(trust: TrustProvider, files: Mapping[str, bytes], root: bytes) -> Check:
    """The first line must be about an event of this chain, and the last one under a timestamp."""
    lines_, events = files["ledger.txt"], files.get("events.jsonl", b"").splitlines()
    head = bundles.ledger_head(lines_)
    hashes = {hashlib.sha256(line).hexdigest().encode() for line in events}
    if head is None or lines_.split()[3] not in hashes or not lines_.endswith(b"\n"):
        return Check("ledger", False, {"code": "broken"})
    return await _stamp(trust, "ledger", files.get("tsa/ledger.tst", b""), bytes.fromhex(head), root)


async def _stamp(trust: TrustProvider, name: str, token: bytes, digest: bytes, root: bytes) -> Check:
    return replace(await trust.inspect_stamp(token, digest, root), name=name)
