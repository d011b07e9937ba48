"""The embedded timestamp authority (RFC 3161) as a pyHanko time-stamper. Imported by the worker only.

A token of our own clock proves form, not independence: whoever shows it must call its source "internal".
"""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from asn1crypto import algos, cms, core, tsp, x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pyhanko.sign.general import simple_cms_attribute
from pyhanko.sign.timestamps import TimeStamper
from pyhanko.sign.timestamps.common_utils import TimestampRequestError, dummy_digest

POLICY = "2.25.45580503707364450527579038088842347114"  # under 2.25 (a UUID) a policy needs no registration
DIGEST_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}
LONGEST_SIGNATURE = 72  # bytes: DER of an ECDSA signature over P-256
LARGEST_SERIAL = 2**63 - 1
ACCURACY_SECONDS = 1

_dummies: dict[tuple[bytes, bytes, str], bytes] = {}


def utc_now() -> datetime:
    return datetime.now(UTC)


class EmbeddedTimestamper(TimeStamper):
    """Issues exactly one token, with the serial given; a second request raises TimestampRequestError.

    `clock` gives aware times; a token carries whole seconds, UTC.
    """

    def __init__(
        self,
        chain: tuple[x509.Certificate, x509.Certificate],
        key: ec.EllipticCurvePrivateKey,
        *,
        serial: int,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(include_nonce=True)
        self._certificate, self._issuing = chain
        self._key = key
        self._serial = serial
        self._clock = clock
        self._spent = False

    async def async_request_tsa_response(self, req: tsp.TimeStampReq) -> tsp.TimeStampResp:
        _acceptable(req)
        if self._spent:
            raise TimestampRequestError("this serial has been used")
        self._spent = True
        return self._response(req, self._sign)

    async def async_dummy_response(self, md_algorithm: str) -> cms.ContentInfo:
        """A token as long as the longest possible, without a signature: pyHanko asks for one to measure. Made once for
        these certificates, for it takes as long as a real one."""
        made = (self._certificate.sha256, self._issuing.sha256, md_algorithm)
        if made not in _dummies:
            _, req = self.request_cms(dummy_digest(md_algorithm), md_algorithm)
            longest = EmbeddedTimestamper((self._certificate, self._issuing), self._key, serial=LARGEST_SERIAL)
            _dummies[made] = longest._response(req, lambda _: bytes(LONGEST_SIGNATURE))["time_stamp_token"].dump()
        return cms.ContentInfo.load(_dummies[made])

    def _sign(self, data: bytes) -> bytes:
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

    def _response(self, req: tsp.TimeStampReq, sign: Callable[[bytes], bytes]) -> tsp.TimeStampResp:
        now = self._clock().astimezone(UTC).replace(microsecond=0)
        info = self._info(req, now).dump()
        attributes = self._attributes(info, now)
        signer = cms.SignerInfo(
            {
                "version": "v1",
                "sid": cms.SignerIdentifier({"issuer_and_serial_number": self._issuer_and_serial()}),
                "digest_algorithm": {"algorithm": "sha256"},
                "signed_attrs": attributes,
                "signature_algorithm": {"algorithm": "sha256_ecdsa"},
                "signature": sign(attributes.dump()),
            }
        )
        signed = {
            "version": "v3",
            "digest_algorithms": [algos.DigestAlgorithm({"algorithm": "sha256"})],
            "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(info)},
            "signer_infos": [signer],
        }
        if req["cert_req"].native:
            signed["certificates"] = [self._certificate, self._issuing]
        token = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)})
        return tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})

    def _issuer_and_serial(self) -> cms.IssuerAndSerialNumber:
        certificate = self._certificate
        return cms.IssuerAndSerialNumber({"issuer": certificate.issuer, "serial_number": certificate.serial_number})

    def _info(self, req: tsp.TimeStampReq, now: datetime) -> tsp.TSTInfo:
        info = {
            "version": "v1",
            "policy": POLICY,
            "message_imprint": req["message_imprint"],
            "serial_number": self._serial,
            "gen_time": now,
            "accuracy": {"seconds": ACCURACY_SECONDS},
            "ordering": False,
            "tsa": x509.GeneralName("directory_name", self._certificate.subject),
        }
        if req["nonce"].native is not None:
            info["nonce"] = req["nonce"].native
        return tsp.TSTInfo(info)

    def _attributes(self, info: bytes, now: datetime) -> cms.CMSAttributes:
        vouched = tsp.ESSCertIDv2(
            {
                "hash_algorithm": {"algorithm": "sha256"},
                "cert_hash": hashlib.sha256(self._certificate.dump()).digest(),
            }
        )
        return cms.CMSAttributes(
            [
                simple_cms_attribute("content_type", "tst_info"),
                simple_cms_attribute("signing_time", cms.Time({"utc_time": now})),
                simple_cms_attribute("message_digest", hashlib.sha256(info).digest()),
                simple_cms_attribute("signing_certificate_v2", tsp.SigningCertificateV2({"certs": [vouched]})),
            ]
        )


def _acceptable(req: tsp.TimeStampReq) -> None:
    imprint = req["message_imprint"]
    algorithm = imprint["hash_algorithm"]["algorithm"].native
    if algorithm not in DIGEST_BYTES:
        raise TimestampRequestError("only SHA-256, SHA-384 and SHA-512 are stamped")
    if len(imprint["hashed_message"].native) != DIGEST_BYTES[algorithm]:
        raise TimestampRequestError("the digest's length is not its algorithm's")
    if req["req_policy"].native not in (None, POLICY):
        raise TimestampRequestError("stamps are given under our own policy only")
