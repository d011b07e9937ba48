"""What was found in signatures and tokens, as the particulars of a check tell it. Imported by the workers only."""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from asn1crypto import tsp
from pyhanko.sign.general import find_unique_cms_attribute
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from integrations.trust.timestamps import POLICY


def stamp_of(signature: EmbeddedPdfSignature) -> tsp.TSTInfo:
    """What the timestamp on a signature says."""
    token = find_unique_cms_attribute(signature.signer_info["unsigned_attrs"], "signature_time_stamp_token")
    return token["content"]["encap_content_info"]["content"].parsed


def source_of(token: tsp.TSTInfo) -> str:
    return "internal" if token["policy"].native == POLICY else "external"


def text_of(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)


def iso(moment: object) -> str:
    return str(getattr(moment, "isoformat", lambda: "")())
