"""Bundles: all the evidence of a signing as one ZIP, whose files anybody can check with tools that are not ours.

The same files give the same bytes. `manifest.json` names every other file with its SHA-256, one on a line of its own;
`manifest.tst` is a timestamp on it.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from router.model.evidence import GENESIS, EvidenceEvent, canonical_json, instant

FORMAT = "hablemos-bundle/1"
MANIFEST, STAMP = "manifest.json", "manifest.tst"
LARGEST = 64 * 1024 * 1024
"""Bytes of all files unpacked; a larger one is none of ours."""
MOST_FILES = 500
VERSIONS = ("sealed", "countersigned", "archived")
EDITIONS = ("certified", "certificate.archived")
"""The events that tell of a new version of the signed document."""
FIXED = (1980, 1, 1, 0, 0, 0)


class NoBundle(Exception):
    """These bytes are no bundle: the text is a code."""


def event_line(event: EvidenceEvent) -> bytes:
    """An event as a line of events.jsonl: the SHA-256 of these bytes is its hash, which the next line repeats."""
    return canonical_json({
        "previous": event.previous.hex(), "seq": event.seq, "at": instant(event.at), "kind": event.kind,
        "data": event.data,
    })  # fmt: skip


def pretty_json(value: Any) -> bytes:
    """For people: sorted keys, a line each, UTF-8."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def manifest(files: Mapping[str, bytes]) -> bytes:
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return pretty_json({"format": FORMAT, "files": hashes})


def pack(files: Mapping[str, bytes]) -> bytes:
    """The ZIP, not compressed, sorted by name, without the times of anybody's clock."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            one = zipfile.ZipInfo(name, FIXED)
            one.external_attr = 0o644 << 16
            one.create_system = 3
            archive.writestr(one, files[name])
    return packed.getvalue()


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files of a bundle. Raises NoBundle: what is no ZIP, is too large unpacked, or is not packed as ours are, e.g.
    with something before, between or behind the files."""
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            found = archive.infolist()
            if len(found) > MOST_FILES or sum(one.file_size for one in found) > LARGEST:
                raise NoBundle("too-large")
            if any(one.compress_type != zipfile.ZIP_STORED for one in found):
                raise NoBundle("not-as-packed")
            files = {one.filename: archive.read(one) for one in found}
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise NoBundle("unreadable") from error
    if pack(files) != packed:
        raise NoBundle("not-as-packed")
    return files


def listed(content: bytes) -> Mapping[str, str] | None:
    """Files and their hashes, as a manifest tells them; None when this is none of ours, to the letter."""
    try:
        told = json.loads(content)
    except ValueError:
        return None
    if not isinstance(told, dict) or told.get("format") != FORMAT or pretty_json(told) != content:
        return None
    files = told.get("files")
    good = isinstance(files, dict) and all(
        isinstance(digest, str) and re.fullmatch(r"[0-9a-f]{64}", digest) for digest in files.values()
    )
    return files if good else None


def strayed(files: Mapping[str, bytes], hashes: Mapping[str, str]) -> list[str]:
    """The files that are not as the manifest says: changed, missing, or not named in it."""
    there = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()
             if name not in (MANIFEST, STAMP)}
    return sorted(name for name in there.keys() | hashes.keys() if there.get(name) != hashes.get(name))


def events_break_at(lines: bytes) -> int | None:
    """The number of the first line of events.jsonl that does not follow from the one before it; None when all do."""
    previous = GENESIS.hex()
    told = lines.split(b"\n")
    if told.pop() != b"":
        return len(told) + 1
    for place, line in enumerate(told, 1):
        try:
            event = json.loads(line)
        except ValueError:
            return place
        good = isinstance(event, dict) and event.get("seq") == place and event.get("previous") == previous
        if not good or canonical_json(event) != line:
            return place
        previous = hashlib.sha256(line).hexdigest()
    return None if told else 1


def told_events(lines: bytes) -> list[dict[str, Any]]:
    """The events of events.jsonl, which must have been checked."""
    return [json.loads(line) for line in lines.splitlines()]


def ledger_head(lines: bytes) -> str | None:
    """The hash of the last line of ledger.txt (hexadecimal) when each line follows from the one before; None else."""
    digest = None
    for line in lines.splitlines():
        if not re.fullmatch(rb"\d+ \d+ \d+ [0-9a-f]{64} [0-9a-f]{64}", line):
            return None
        if digest is not None and line.split()[-1] != digest.encode():
            return None
        digest = hashlib.sha256(line).hexdigest()
    return digest


def disagreements(files: Mapping[str, bytes]) -> list[str]:
    """Which files do not fit together, by name: everything must be what the events of the chain say it is."""
    events = told_events(files["events.jsonl"])
    said: dict[str, dict[str, Any]] = {kind: next((one["data"] for one in reversed(events) if one["kind"] == kind), {})
                                       for kind in ("signed", "deposited")}
    signed, offer = files.get("signed.pdf", b""), files.get("offer.pdf", b"")
    wrong = []
    if _hash(offer) != said["signed"].get("pdf_sha256"):
        wrong.append("offer.pdf")
    if _hash(files.get("offer-lines.json", b"")) != said["signed"].get("offer_sha256"):
        wrong.append("offer-lines.json")
    newest: Mapping[str, Any] = next((one["data"] for one in reversed(events) if one["kind"] in VERSIONS), {})
    if not signed.startswith(offer) or _hash(signed) != newest.get("sha256"):
        wrong.append("signed.pdf")
    certified: Mapping[str, Any] = next((one["data"] for one in reversed(events) if one["kind"] in EDITIONS), {})
    if _hash(files.get("certificate.pdf", b"")) != certified.get("sha256", _hash(b"")):
        wrong.append("certificate.pdf")
    if _receipt(files.get("custody.json", b"")) != {name: said["deposited"].get(name) for name in _OF_RECEIPT}:
        wrong.append("custody.json")
    wrong += _wrong_consents(files, said["signed"].get("consents", []))
    return wrong + _wrong_evidence(files, events)


_OF_RECEIPT = ("keeper", "reference", "given", "sha256", "record_sha256")


def _receipt(told: bytes) -> dict[str, str | None]:
    """What a keeper's receipt says that an event tells too; nothing where there is no receipt. Raises KeyError or
    TypeError when this is none."""
    try:
        said = json.loads(told) if told else {}
    except ValueError:
        said = {"record": ""}
    digest = {"record_sha256": _hash(said["record"].encode())} if said else {}
    return {name: {**said, **digest}.get(name) for name in _OF_RECEIPT}


def _wrong_consents(files: Mapping[str, bytes], given: Iterable[Mapping[str, str]]) -> list[str]:
    names = {f"consents/{one['id']}.txt": one["sha256"] for one in given}
    there = {name for name in files if name.startswith("consents/")}
    return sorted(name for name in there | names.keys() if _hash(files.get(name, b"")) != names.get(name))


def _wrong_evidence(files: Mapping[str, bytes], events: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was sealed inside the document must be the beginning of the chain."""
    try:
        told = json.loads(files.get("evidence.json", b""))["events"]
        bare = [{key: value for key, value in one.items() if key != "hash"} for one in told]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["evidence.json"]
    return [] if bare and bare == list(events[: len(bare)]) else ["evidence.json"]


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def epoch(at: datetime) -> int:
    """Seconds since 1970, as openssl takes a time."""
    return int(at.timestamp())
