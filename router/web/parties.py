"""The doors of foreign parties: checked as each of them signs, stored as it came, answered at once; understood later.

`/hooks/{party}/{key}`: the key is unguessable and says whose account it is; that it is known proves nothing yet.
"""

import hmac
import logging

import msgspec
from aiohttp import web

from router.model.connectors import SECRETS, Connector, PartyName
from router.model.errors import Forbidden, NotFound
from router.ports import Webhook
from router.store import connectors, inbox
from router.web.doors import Doors, doors
from router.web.parsing import WEBHOOK_BYTES, read_bytes

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

_PARTIES = "|".join(PartyName)
LONGEST_CHALLENGE = 200


async def _connector(request: web.Request, party: str) -> Connector:
    """Raises NotFound for every key that leads nowhere, and for a closed door."""
    async with doors(request).book.reading() as r:
        found = await connectors.by_key(r.session, party, request.match_info["key"])
    if found is None or found.closed:
        raise NotFound("There is no such page.")
    return found


def _secrets(house: Doors, connector: Connector) -> dict[str, str]:
    return msgspec.json.decode(house.book.vault.open(SECRETS, connector.sealed), type=dict[str, str])


@routes.get("/hooks/meta/{key:[A-Za-z0-9]{16,64}}")
async def challenge(request: web.Request) -> web.Response:
    """Meta asks whether the address is ours: with the right token its challenge is given back."""
    connector = await _connector(request, PartyName.meta.value)
    asked, expected = request.query, _secrets(doors(request), connector).get("verify_token", "")
    given = asked.get("hub.verify_token", "").encode("utf-8", "replace")
    told = asked.get("hub.challenge", "")
    fits = hmac.compare_digest(given, expected.encode()) and bool(expected)
    if not (fits and asked.get("hub.mode") == "subscribe" and told.isprintable() and len(told) <= LONGEST_CHALLENGE):
        raise Forbidden("This is not the token this address expects.")
    return web.Response(text=told, content_type="text/plain")


@routes.post("/hooks/{party:" + _PARTIES + "}/{key:[A-Za-z0-9]{16,64}}")
async def party_hook(request: web.Request) -> web.Response:
    """200 once it is stored; the same event twice is one row. 403 for what the party did not sign."""
    house, name = doors(request), request.match_info["party"]
    connector, party = await _connector(request, name), house.parties[name]
    headers = {header.lower(): value for header, value in request.headers.items()}
    hook = Webhook("", headers, await read_bytes(request, WEBHOOK_BYTES))
    if party.ping(hook):
        return _fine()
    if not party.genuine(hook, _secrets(house, connector)):
        log.warning("webhook refused: not signed by the party", extra={"party": name, "connector": connector.id})
        raise Forbidden("The party did not sign this.")
    kept = {header: headers[header][:500] for header in party.keeps if header in headers}
    async with house.book.writing() as w:
        # Of the headers only what tells how to read the body is kept.
        fresh = await inbox.put(
            w.session, w.now, connector.scope, party.dedupe_key(hook), path=f"/hooks/{name}",
            headers={key: value.encode("utf-8", "replace").decode() for key, value in kept.items()}, body=hook.body,
        )
        if fresh:
            w.hint("inbox")
    return _fine()


def _fine() -> web.Response:
    return web.Response(text="{}", content_type="application/json")
