"""What was found of a document, in words: for the page of whoever holds one, and for the command line."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from router.ports import Check
from router.wording import moment, wording

TITLES = {
    "issued": "The very file we issued", "integrity": "Unchanged under the seal",
    "revisions": "Nothing added after the seal", "signer": "Who sealed it",
    "trust": "The seal belongs to this company", "time": "When it was sealed",
    "level": "Kind of seal", "countersignature": "Countersigned by the company",
    "chain": "Its place among all signings", "number": "The telephone of the signer",
    "custody": "Who else keeps the evidence", "seal": "The company's seal",
    "bundle": "The bundle", "root": "The company's root certificate",
    "files": "All files are here, and none was changed", "manifest time": "When the bundle was packed",
    "events": "What happened, each event bound to the one before it",
    "agreement": "The files are those of which the events tell", "ledger": "Its place among all signings",
}  # fmt: skip
"""By line."""

SENTENCES = {
    ("issued", "identical"): "Byte for byte the signed offer %(quote)s, signed at %(signed_at)s, number %(phone)s.",
    ("issued", "certificate"): "Byte for byte the certificate of evidence of the signed offer %(quote)s, signed at "
                               "%(signed_at)s, number %(phone)s.",
    ("issued", "code"): "This code stands on the certificate of evidence of the offer %(quote)s, signed at "
                        "%(signed_at)s. The signed document has the SHA-256 %(signed_sha256)s.",
    ("issued", "unknown-code"): "This code stands on none of our certificates.",
    ("issued", "unsigned-offer"): "This is our offer %(quote)s as it was sent, before any signature. It binds nobody.",
    ("issued", "unknown"): "We did not issue a file with exactly these bytes.",
    ("integrity", "intact"): "What the seal covers is as it was when it was sealed.",
    ("integrity", "digest-mismatch"): "The content was changed after it was sealed.",
    ("integrity", "signature-mismatch"): "The seal does not fit its certificate.",
    ("integrity", "not-all-covered"): "The seal does not cover the whole document.",
    ("revisions", "nothing-after"): "The seal covers the file to its last byte.",
    ("revisions", "archived-after"): "After the seal only timestamps were added that make the document last.",
    ("revisions", "countersigned-after"): "After the seal only the company's countersignature was added.",
    ("revisions", "archived-and-countersigned-after"): "After the seal only the company's countersignature was added, "
                                                       "and timestamps that make the document last.",
    ("revisions", "changed-after"): "%(bytes_after)s bytes were added after the seal.",
    ("signer", "signed-by"): "%(organization)s (%(common_name)s).",
    ("signer", "signature-mismatch"): "The certificate names somebody, but the seal was not made with its key.",
    ("trust", "our-root"): "The certificate leads to the company's root certificate.",
    ("trust", "own-seal"): "The certificate is this company's own, issued by another authority.",
    ("trust", "retired"): "The certificate is one this company did not use any more when the document was sealed.",
    ("trust", "revoked"): "The certificate had been revoked when the document was sealed.",
    ("time", "stamped"): "%(time)s, by the timestamp service %(authority)s (%(source)s).",
    ("time", "no-timestamp"): "The seal carries no timestamp.",
    ("time", "revoked"): "The certificate of the timestamp service has been revoked.",
    ("time", "mismatch"): "The timestamp does not belong to this seal.",
    ("level", "reached"): "%(level)s.",
    ("level", "lasting"): "%(level)s: the document outlasts its certificates, by a timestamp of %(time)s (%(source)s).",
    ("level", "not-reached"): "%(level)s, but it does not hold as a whole.",
    ("countersignature", "countersigned"): "By %(name)s for %(organization)s, %(time)s (%(source)s): %(reason)s. "
                                           "The signature is the company's own; %(level)s.",
    ("countersignature", "mismatch"): "Somebody has signed after the seal, and that signature does not hold.",
    ("countersignature", "not-the-company's"): "%(organization)s (%(common_name)s) has signed after the seal. That is "
                                               "not this company.",
    ("countersignature", "not-all-covered"): "The signature after the seal does not cover the whole document.",
    ("countersignature", "no-timestamp"): "The signature after the seal has no timestamp that holds.",
    ("countersignature", "revoked"): "The certificate had been revoked when the document was countersigned.",
    ("countersignature", "not-as-signed"): "A part of the countersignature's record that no signature covers was "
                                           "changed.",
    ("integrity", "not-as-signed"): "A part of the seal's record that no signature covers was changed.",
    ("chain", "anchored"): "%(events)s events, each bound to the one before; line %(n)s of the ledger of all signings, "
                           "which was timestamped %(time)s (%(source)s).",
    ("chain", "entered"): "%(events)s events, each bound to the one before; line %(n)s of the ledger of all signings. "
                          "The next timestamp on the ledger is still to come.",
    ("chain", "not-entered"): "%(events)s events, each bound to the one before. They are about to enter the ledger.",
    ("chain", "broken"): "Our own record of what happened was changed, or is not complete.",
    ("number", "proven"): "The one-time code sent to %(phone)s was given %(given_at)s.",
    ("number", "not-proven"): "No code sent to %(phone)s was given.",
    ("custody", "kept-bundle"): "%(keeper)s has kept it since %(time)s, under %(reference)s. Its SHA-256 is "
                                "%(deposited_sha256)s.",
    ("custody", "kept-digest"): "%(keeper)s has kept its SHA-256 since %(time)s, under %(reference)s: "
                                "%(deposited_sha256)s.",
    ("custody", "not-confirmed"): "It is to be given to a keeper outside of the company, who has not confirmed it yet.",
    ("bundle", "as-packed"): "%(files)s files, packed as we pack them.",
    ("bundle", "not-as-packed"): "It is not packed as we pack it: something was added, taken out or packed anew.",
    ("bundle", "too-large"): "It is larger than any that we pack.",
    ("bundle", "unreadable"): "It cannot be read. Perhaps it did not arrive whole: download it again.",
    ("root", "the-company's"): "The bundle brings the company's own.",
    ("root", "another"): "The bundle brings another than the one given. The SHA-256 of its own is %(sha256)s.",
    ("root", "not-compared"): "Nobody has compared the one in the bundle, with the SHA-256 %(sha256)s, with the "
                              "company's.",
    ("root", "unreadable"): "The one in the bundle cannot be read.",
    ("files", "as-listed"): "Each is as the bundle's list says.",
    ("files", "changed"): "Not as the bundle's list says: %(files)s.",
    ("files", "no-manifest"): "The bundle's list of its files is missing, or is not as we write it.",
    ("manifest time", "stamped"): "%(time)s (%(source)s).",
    ("manifest time", "mismatch"): "The timestamp does not belong to the bundle's list.",
    ("manifest time", "unreadable"): "The timestamp is missing or cannot be read.",
    ("manifest time", "not-as-signed"): "A part of the timestamp that no signature covers was changed.",
    ("events", "unbroken"): "%(events)s events.",
    ("events", "broken"): "The chain breaks at line %(line)s.",
    ("agreement", "as-told"): "Each is the one that is told of.",
    ("agreement", "not-as-told"): "The events tell of others: %(files)s.",
    ("agreement", "no-events"): "The chain of events is broken, so they tell nothing.",
    ("ledger", "stamped"): "The ledger of all signings leads from this one to a timestamp of %(time)s (%(source)s).",
    ("ledger", "broken"): "The lines of the ledger do not begin with this signing, or one was changed.",
    ("ledger", "mismatch"): "The timestamp does not belong to these lines of the ledger.",
    ("ledger", "unreadable"): "The timestamp is missing or cannot be read.",
    ("ledger", "not-as-signed"): "A part of the timestamp that no signature covers was changed.",
}  # fmt: skip
"""By line and code. Values are put in after the translation."""

ANYWHERE = {
    "unreadable": "The document cannot be read.",
    "other-form": "The seal is of a form we do not issue.",
}
"""By code, in whichever line."""

NOT_A_PDF = "This is not a PDF. Choose the PDF itself; one that came in a ZIP must be unpacked first."
UNSEEN = {
    "not-a-pdf": NOT_A_PDF,
    "too-large": "The document is too large to be looked at.",
    "took-too-long": "The document took too long to be looked at.",
    "unreadable": "The document cannot be read. Perhaps it did not arrive whole: download it again.",
    "no-seal": "The document carries no seal, so nothing in it can be checked. What was signed here carries one: "
               "choose the copy that came after the signature, as it came, neither printed anew nor saved by another "
               "program.",
}  # fmt: skip
"""By the one code of all lines about a seal: why none of them could be looked at, and what to do."""
OF_THE_SEAL = ("integrity", "revisions", "signer", "trust", "time", "level")
DOUBT = "It does not lead to a root certificate we know."


class Finding(NamedTuple):
    """One line in somebody's language."""

    title: str
    holds: bool
    sentence: str


def unseen(checks: Sequence[Check]) -> str:
    """The code for which nothing of a seal could be looked at; "" where something could."""
    codes = {one.detail.get("code", "") for one in checks if _question(one) in OF_THE_SEAL}
    return codes.pop() if len(codes) == 1 and codes <= UNSEEN.keys() else ""


def findings(checks: Sequence[Check], locale: str) -> Iterator[Finding]:
    """The lines in words. Where nothing of a seal could be looked at, it is said once."""
    for (file, of_seal), group in groupby(checks, lambda one: (_file(one), _question(one) in OF_THE_SEAL)):
        lines = list(group)
        if of_seal and (code := unseen(lines)):
            yield Finding(_titled(file, "seal", locale), False, wording().say(UNSEEN[code], locale))
        else:
            yield from (Finding(_titled(file, _question(one), locale), one.holds, _said(one, locale)) for one in lines)


def _file(check: Check) -> str:
    """Which file of a bundle the line is about; "" for what is no bundle, and for the bundle as a whole."""
    name, _, question = check.name.partition(".pdf ")
    return f"{name}.pdf" if question else ""


def _question(check: Check) -> str:
    return check.name.removeprefix(_file(check)).lstrip()


def _titled(file: str, question: str, locale: str) -> str:
    title = wording().say(TITLES.get(question, question), locale)
    return f"{file}: {title}" if file else title


def _said(check: Check, locale: str) -> str:
    code = check.detail.get("code", "")
    text = SENTENCES.get((_question(check), code)) or ANYWHERE.get(code) or DOUBT
    said = wording().say(text, locale)
    try:
        return said % {key: _shown(key, value, locale) for key, value in check.detail.items()}
    except KeyError:
        return said


def _shown(key: str, value: str, locale: str) -> str:
    if key == "source":
        return wording().say(value, locale)
    if key in ("time", "signed_at", "given_at") and value:
        return moment(datetime.fromisoformat(value), "UTC", locale)
    return value
