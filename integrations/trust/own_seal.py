"""A seal of the company's own, in a PKCS#12 file or on a PKCS#11 token. Imported by the worker only."""

# mypy: allow-untyped-calls, no-warn-return-any
# asn1crypto and parts of pyHanko carry no types.

from datetime import UTC, datetime
from functools import lru_cache

from pyhanko.sign.signers import Signer, SimpleSigner

from integrations.trust.certificates import certificates
from integrations.trust.services import FileSeal, OwnSeal, TokenSeal
from router.ports import Refused


def own_signer(seal: OwnSeal) -> Signer:
    """Raises Refused: for good when file, token or key cannot be used, for now when the certificate has expired."""
    signer = _from_file(seal) if isinstance(seal, FileSeal) else _on_token(seal)
    one = signer.signing_cert
    if one is None or not one.not_valid_before <= datetime.now(UTC) <= one.not_valid_after:
        raise Refused("the company's seal is not valid today", permanent=False, code="certificate-expired")
    return signer


@lru_cache(maxsize=1)  # an RSA key takes up to a quarter of a second to load
def _from_file(seal: FileSeal) -> Signer:
    try:
        signer = SimpleSigner.load_pkcs12_data(seal.content, other_certs=[], passphrase=seal.passphrase.encode())
    except (ValueError, TypeError, OSError) as error:
        raise Refused("the PKCS#12 cannot be opened", permanent=True, code="bad-keys") from error
    if signer is None:
        raise Refused("the PKCS#12 cannot be opened", permanent=True, code="bad-keys")
    signer.embed_roots = False
    return signer


@lru_cache(maxsize=1)  # a session lasts as long as the process
def _on_token(seal: TokenSeal) -> Signer:
    try:
        from pyhanko.config.pkcs11 import TokenCriteria
        from pyhanko.sign.pkcs11 import PKCS11Signer, open_pkcs11_session
    except ImportError as error:
        raise Refused("python-pkcs11 is not installed", permanent=False, code="no-pkcs11") from error
    own, *issuers = certificates(seal.chain)
    try:
        session = open_pkcs11_session(
            seal.module, token_criteria=TokenCriteria(label=seal.token), user_pin=seal.pin or None
        )
        # SoftHSM and others cannot hash by themselves for elliptic curves; all can sign a digest.
        return PKCS11Signer(
            session, signing_cert=own, ca_chain=issuers, key_label=seal.label, embed_roots=False,
            use_raw_mechanism=own.public_key.algorithm == "ec",
        )
    except Exception as error:
        kind = type(error).__name__
        raise Refused(f"the token cannot be used ({kind})", permanent=False, code="bad-token") from error
