"""The doors of providers of signatures: what comes in is checked as each of them signs, and only ever makes us ask.

`/hooks/{provider}/{key}`: the key is unguessable and belongs to an account or, where we could name the address
ourselves, to one request alone.
"""

import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from aiohttp import web

from router.model.errors import Forbidden, NotFound, Unreadable
from router.model.signing_accounts import SECRETS, ProviderName, SigningAccount
from router.ports import Hint, Webhook
from router.store import entrusted, inbox, signing_accounts
from router.web.doors import doors
from router.web.gate import peer
from router.web.parsing import WEBHOOK_BYTES, read_bytes

log = logging.getLogger(__name__)
routes = web.RouteTableDef()

_PROVIDERS = "|".join(ProviderName)
UNSIGNED = frozenset({ProviderName.signaturit})
"""Whose messages prove nothing: they are taken only where the address was made for one request alone."""


@dataclass(frozen=True)
class _Door:
    account: SigningAccount
    source: str


async def _door(request: web.Request, provider: str) -> _Door:
    """Raises NotFound for every key that leads nowhere, and for messages from elsewhere than they should come."""
    key = request.match_info["key"]
    async with doors(request).book.reading() as r:
        one = await entrusted.by_hook(r.session, provider, key)
        account = one[1] if one is not None else await signing_accounts.by_key(r.session, provider, key)
    if account is None or (one is None and account.provider in UNSIGNED):
        raise NotFound("There is no such page.")
    if not _comes_from(peer(request), account.networks):
        log.warning("webhook refused: from a foreign network", extra={"provider": provider, "account": account.id})
        raise NotFound("There is no such page.")
    return _Door(account, f"signer:{account.id}" + (f":{one[0].id}" if one is not None else ""))


def _comes_from(address: str, networks: Sequence[str]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return not networks
    return not networks or any(ip in ipaddress.ip_network(one) for one in networks)


@routes.post("/hooks/{provider:" + _PROVIDERS + "}/{key:[A-Za-z0-9]{16,64}}")
async def signer_hook(request: web.Request) -> web.Response:
    """200 once it is stored; the same event twice is one row. 403 for what the provider did not sign."""
    house, provider = doors(request), request.match_info["provider"]
    door, signer = await _door(request, provider), house.signers.get(provider)
    if signer is None:
        raise NotFound("There is no such page.")
    headers = {header.lower(): value for header, value in request.headers.items()}
    hook = Webhook("", headers, await read_bytes(request, WEBHOOK_BYTES))
    secrets = msgspec.json.decode(house.book.vault.open(SECRETS, door.account.sealed), type=dict[str, str])
    hint = signer.verify_webhook(hook, secrets, house.clock())
    if not isinstance(hint, Hint):
        log.warning("webhook refused", extra={"provider": provider, "account": door.account.id, "why": hint.reason})
        raise Forbidden("The party did not sign this.") if hint.unsigned else Unreadable("This says nothing we need.")
    kept = {"event": hint.event[:100], "foreign_id": hint.foreign_id, "ref": hint.ref}
    async with house.book.writing() as w:
        fresh = await inbox.put(
            w.session, w.now, door.source, hint.key, path=f"/hooks/{provider}", headers=kept, body=hook.body
        )
        if fresh:
            w.hint("inbox")
    reply = signer.webhook_reply()
    return web.Response(status=reply.status, text=reply.text, content_type=reply.content_type)
