"""Whether a signature's record is, to the letter, what its own signature vouches for. Imported by the workers only.

A record (CMS) holds more than is signed: versions, lists of algorithms, names of the signer, certificates. A reader
takes them as hints, so that a byte of them may be changed and every program still says "valid". Here each of them must
be as we, and the timestamp authorities, write it: what may be said in one way only cannot be changed unseen.
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from collections.abc import Iterable, Sequence

from asn1crypto import cms, core, parser, x509

from integrations.trust.timestamps import POLICY

MOST_TOKENS = 1
BIT_STRING = (0, 0, 3)  # X.690: class, method and number of its tag


def as_signed(record: bytes, above: Sequence[x509.Certificate]) -> bool:
    """Whether nothing in the record could be otherwise. Of the certificates in it each must be the signer's, or above
    one that is, `above` (roots) included: others prove nothing, and nothing proves them. A timestamp by somebody else
    is left to him. Never raises."""
    try:
        return _distinguished(record) and _signed_data(cms.ContentInfo.load(record, strict=True), above)
    except Exception:
        return False


def _distinguished(record: bytes) -> bool:
    """Whether it is one value, every length in it is told in the shortest way (DER), and keys and signatures are of
    whole bytes."""
    kind, constructed, tag, header, content, trailer = parser.parse(record, strict=True)
    if parser.emit(kind, constructed, tag, content) != header + content + trailer:
        return False
    if (kind, constructed, tag) == BIT_STRING and content[:1] != b"\0":
        return False
    while constructed and content:
        length = parser.peek(content)
        if not _distinguished(content[:length]):
            return False
        content = content[length:]
    return True


def _signed_data(content: cms.ContentInfo, above: Sequence[x509.Certificate]) -> bool:
    data, kind = content["content"], content["content_type"].native
    carried = [one.chosen for one in data["certificates"] if one.name == "certificate"]
    (signer,) = data["signer_infos"]
    own = _signers(signer, carried)
    if kind != "signed_data" or own is None or len(carried) != len(data["certificates"]):
        return False
    stamp = data["encap_content_info"]["content_type"].native == "tst_info"
    (listed,) = data["digest_algorithms"]
    return all((
        data["version"].native == ("v3" if stamp else "v1"),
        signer["version"].native == "v1",
        isinstance(data["crls"], core.Void),
        listed.dump() == signer["digest_algorithm"].dump(),
        _bare(listed),
        _algorithm_fits(signer, own),
        _linked(own, carried, above),
        _later(signer, above, stamp),
    ))  # fmt: skip


def _signers(signer: cms.SignerInfo, carried: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """The signer's certificate, if it is named as it names itself."""
    if signer["sid"].name != "issuer_and_serial_number":
        return None
    named = signer["sid"].chosen
    found = [one for one in carried if one.serial_number == named["serial_number"].native]
    same = [one for one in found if one.issuer.dump() == named["issuer"].dump()]
    return same[0] if len(same) == 1 else None


def _bare(algorithm: core.Sequence) -> bool:
    """An algorithm without parameters, or with none said."""
    return algorithm["parameters"].native is None


def _algorithm_fits(signer: cms.SignerInfo, own: x509.Certificate) -> bool:
    """The algorithm of the signature is of the signer's kind of key, and hashes as the signer says."""
    algorithm, key = signer["signature_algorithm"], own.public_key.algorithm
    digest = signer["digest_algorithm"]["algorithm"].native
    names = {"ec": (f"{digest}_ecdsa",), "rsa": (f"{digest}_rsa", "rsassa_pkcs1v15", "rsassa_pss")}.get(key, ())
    if algorithm["algorithm"].native not in names:
        return False
    return algorithm["algorithm"].native == "rsassa_pss" or _bare(algorithm)


def _linked(own: x509.Certificate, carried: Sequence[x509.Certificate], above: Sequence[x509.Certificate]) -> bool:
    """Whether all certificates are on the way from the signer's to a root, each told once and said as it is signed.
    (That their signatures hold, the reader of the seal asks.)"""
    way, at = [own], own
    while not at.self_issued:
        upper = [one for one in (*carried, *above) if one.subject.dump() == at.issuer.dump() and one is not at]
        if not upper:
            return False
        at = upper[0]
        way.append(at)
    known = {one.sha256 for one in way}
    plain = all(one["signature_algorithm"].dump() == one["tbs_certificate"]["signature"].dump() for one in carried)
    return plain and {one.sha256 for one in carried} <= known and len(carried) == len({one.sha256 for one in carried})


def _later(signer: cms.SignerInfo, above: Sequence[x509.Certificate], stamp: bool) -> bool:
    """What is not signed beside a seal is one timestamp, exact in itself; beside a timestamp there is nothing."""
    attributes = signer["unsigned_attrs"]
    if isinstance(attributes, core.Void) or len(attributes) == 0:
        return True
    if stamp or len(attributes) != MOST_TOKENS:
        return False
    (attribute,) = attributes
    (token,) = attribute["values"]
    info = token["content"]["encap_content_info"]["content"].parsed
    foreign = info["policy"].native != POLICY
    return attribute["type"].native == "signature_time_stamp_token" and (foreign or as_signed(token.dump(), above))
