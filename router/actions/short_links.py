"""Short links: made, switched, and told where they lead."""

import re
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from zoneinfo import ZoneInfo

from router.book import Writing
from router.model.campaigns import Campaign, Site
from router.model.configuration import LinkPlan, WrongFile
from router.model.errors import Conflict, Invalid, NotFound
from router.model.short_links import FORM, KIOSK, PAGES, REGISTER, ShortLink, new_short_code
from router.store import configuration, short_links

CARRIED = "offline"
PIECE = "A piece has 1 to 60 small letters, digits, dashes or underscores, such as bus-stop-7."
TARGET = "The address should begin with one of the landing page's own origins."


def is_piece(text: str) -> bool:
    return re.fullmatch("[a-z0-9][a-z0-9_-]{0,59}", text) is not None


def checked_target(site: Site, target: str) -> str:
    """The target as it is kept. Raises Invalid for an address that is not the site's own: a printed link of ours never
    sends people to somebody else."""
    target = target.strip() or FORM
    if target in PAGES:
        return target
    try:
        parts = urlsplit(target)
        origin = f"{parts.scheme}://{parts.netloc}"
    except ValueError as error:
        raise Invalid(TARGET, pointer="/target") from error
    plain = target.isascii() and target.isprintable() and "\\" not in target and " " not in target
    if not plain or len(target) > 2000 or origin not in site.origins:
        raise Invalid(TARGET, pointer="/target")
    return target


def address(link: ShortLink, site: Site) -> str:
    """Where the link leads, with its code: as `r` on the pages at a counter, as `offline` where the widget or the form
    without script hands it on with the lead's source."""
    if link.target in PAGES:
        path, name = {FORM: ("/f", CARRIED), REGISTER: ("/register", "r"), KIOSK: ("/kiosk", "r")}[link.target]
        return f"{path}/{site.key}?{name}={link.code}"
    parts = urlsplit(link.target)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != CARRIED]
    return urlunsplit(parts._replace(query=urlencode([*kept, (CARRIED, link.code)])))


def end_of(last_day: str, zone: str) -> datetime:
    """The end of a day (ISO) in the zone (IANA), aware. Raises ValueError, OverflowError for what is no day."""
    following = date.fromisoformat(last_day) + timedelta(days=1)
    return datetime.combine(following, time.min, tzinfo=ZoneInfo(zone))


async def make(
    w: Writing, site: Site, *, piece: str, name: str, target: str, expires_at: datetime | None = None
) -> ShortLink:
    """A new link. `expires_at` is aware. Raises Invalid, Conflict when the campaign has a link for this piece."""
    await w.session.lock_word(f"short link {site.campaign_id}/{piece}")
    if await short_links.of_piece(w.session, site.campaign_id, piece) is not None:
        raise Conflict("This piece has a link already.", pointer="/piece")
    if expires_at is not None and expires_at <= w.now:
        raise Invalid("The last day lies in the past.", pointer="/expires")
    link = ShortLink(
        campaign_id=site.campaign_id, site_id=site.id, piece=piece, name=name, target=checked_target(site, target),
        code=new_short_code(), created_at=w.now, expires_at=expires_at,
    )
    w.session.add(link)
    await w.session.flush()
    w.fact("link.made", campaign_id=link.campaign_id, subject_id=link.id, piece=piece)
    return link


async def switch(w: Writing, link_id: int, *, on: bool) -> ShortLink:
    """Switches a link on or off; twice is once. Raises NotFound."""
    link = await w.session.locked(ShortLink, link_id)
    if link is None:
        raise NotFound("There is no such thing.")
    if link.active != on:
        link.active = on
        await w.session.flush()
        w.fact("link.switched", campaign_id=link.campaign_id, subject_id=link.id, on=on)
    return link


async def apply(w: Writing, campaign: Campaign, plan: LinkPlan, key: str) -> list[tuple[str, str, Any, Any]]:
    """Makes the link what a file says (`key` is the campaign's): what changed, as thing, field, old and new.

    The code of a known link stays: it is printed. Raises WrongFile."""
    thing = f"link {key}/{plan.piece}"
    site = await configuration.site(w.session, plan.site)
    if site is None or site.campaign_id != campaign.id:
        raise WrongFile(f"{thing}: campaign {key} has no site {plan.site}")
    try:
        expires_at = end_of(plan.last_day, campaign.timezone) if plan.last_day else None
    except (ValueError, OverflowError) as error:
        raise WrongFile(f"{thing}: last_day: {plan.last_day} is no day of the calendar") from error
    try:
        target = checked_target(site, plan.target)
    except Invalid as error:
        raise WrongFile(f"{thing}: target: {error.sentence}") from error
    values: dict[str, Any] = {
        "site_id": site.id, "name": plan.name, "target": target, "expires_at": expires_at, "active": plan.active,
    }
    known = await short_links.of_piece(w.session, campaign.id, plan.piece)
    if known is None:
        w.session.add(ShortLink(
            campaign_id=campaign.id, piece=plan.piece, code=new_short_code(), created_at=w.now, **values,
        ))
        await w.session.flush()
        return [(thing, "", None, None)]
    changes = [(thing, name, getattr(known, name), new) for name, new in values.items() if getattr(known, name) != new]
    for _, name, _, new in changes:
        setattr(known, name, new)
    await w.session.flush()
    return changes
