"""What the lead forms of advertisers have in common: answers by their ids."""

from collections.abc import Mapping
from typing import Any

from router.ports import PartyLead, Phone

_NAME, _EMAIL = ("full_name", "name"), ("email", "work_email")
_PHONE = ("phone_number", "phone", "work_phone", "work_phone_number")
_NAME_PARTS = ("first_name", "last_name")
_KNOWN = frozenset((*_NAME, *_EMAIL, *_PHONE, *_NAME_PARTS))


def lead(external_id: str, answers: Mapping[str, str], **values: Any) -> PartyLead:
    """A lead out of a form's answers. The standard questions are found whatever the case of their ids."""
    known = {key.lower(): answer for key, answer in answers.items() if answer}
    country = known.get("country_code", known.get("country", ""))
    return PartyLead(
        external_id=external_id,
        phones=[
            Phone(known[key], country.upper() if len(country) == 2 else "") for key in _PHONE if key in known
        ],
        name=_first(known, _NAME) or " ".join(known[key] for key in _NAME_PARTS if key in known),
        email=_first(known, _EMAIL),
        answers={key: answer for key, answer in answers.items() if answer and key.lower() not in _KNOWN},
        **values,
    )


def _first(known: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((known[key] for key in keys if key in known), "")
