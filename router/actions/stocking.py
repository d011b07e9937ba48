"""Stocking: what a campaign's library holds of brochures to be sent in talks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from router import printing
from router.book import Writing
from router.model.brochures import LONGEST_NAME, MOST_BYTES, MOST_MEGABYTES, PDF, Brochure, kind_of
from router.model.campaigns import Campaign
from router.model.errors import Conflict, Invalid, NotFound, TooLarge
from router.model.forms import plain
from router.store import blobs, brochures
from router.wording import LOCALES

FILE = "/file"


@dataclass(frozen=True)
class Examined:
    """A file that may be sent to people, with the media type its content says."""

    content: bytes
    media_type: str


@dataclass(frozen=True)
class Titles:
    """What it is called, and in which languages it is called otherwise."""

    name: str
    names: Mapping[str, str] = field(default_factory=dict)


def examine(content: bytes) -> Examined:
    """Looks at a file, whatever it is called. Takes up to a second for a long PDF: call it in a thread. Raises Invalid
    for what is none of ours or cannot be opened by everybody, TooLarge."""
    if not content:
        raise Invalid("This file is empty.", pointer=FILE)
    if len(content) > MOST_BYTES:
        raise TooLarge("A document may have %(most)s MB. Make it smaller, or split it.", pointer=FILE,
                       most=MOST_MEGABYTES)
    media_type = kind_of(content)
    if not media_type:
        raise Invalid("Only PDF, PNG and JPEG can be sent. This file is none of them, whatever its name says.",
                      pointer=FILE)
    if media_type == PDF and not printing.opens(content):
        raise Invalid("This PDF cannot be opened: it is damaged, or asks for a password.", pointer=FILE)
    return Examined(content, media_type)


def titled(name: str, names: Mapping[str, str]) -> Titles:
    """The names as they are kept. Raises Invalid."""
    tidy = {locale: _name(names[locale], f"/name_{locale}") for locale in LOCALES if plain(names.get(locale, ""))}
    return Titles(_name(name, "/name"), tidy)


def _name(text: str, pointer: str) -> str:
    name = plain(text)
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Invalid("A document needs a name of at most %(most)s characters.", pointer=pointer, most=LONGEST_NAME)
    return name


async def add(
    w: Writing, campaign_id: int, file: Examined, titles: Titles, *, agent_id: int | None = None
) -> Brochure:
    """Puts it into the campaign's library. Raises Invalid, Conflict when the very file is there already."""
    if await w.session.get(Campaign, campaign_id) is None:
        raise Invalid("This is not one of the choices.", pointer="/campaign")
    await w.session.lock_word(f"brochures {campaign_id}")  # two presses of one button at once
    sha256 = await blobs.keep(w.session, file.content, file.media_type, w.now)
    known = await brochures.same_file(w.session, campaign_id, sha256)
    if known is not None:
        raise Conflict("This file is there already, as %(name)s.", pointer=FILE, name=known.name)
    made = Brochure(
        campaign_id=campaign_id, name=titles.name, names=dict(titles.names), media_type=file.media_type,
        size=len(file.content), sha256=sha256, created_at=w.now, agent_id=agent_id,
    )
    w.session.add(made)
    await w.session.flush()
    w.fact("brochure.added", campaign_id=campaign_id, subject_id=made.id, agent_id=agent_id, bytes=made.size)
    return made


async def retire(w: Writing, brochure_id: int, agent_id: int) -> None:
    """It is sent no more; who was sent it goes on opening it. Twice is once. Raises NotFound."""
    found = await w.session.locked(Brochure, brochure_id)
    if found is None:
        raise NotFound("There is no such document.")
    if found.retired_at is None:
        found.retired_at = w.now
        await w.session.flush()
        w.fact("brochure.retired", campaign_id=found.campaign_id, subject_id=found.id, agent_id=agent_id)
