"""Google Ads lead forms: one JSON body a lead, with a shared key inside it instead of a signature.

Fields: developers.google.com/google-ads/webhook/docs/implementation.
"""

import hmac
from collections.abc import Mapping, Sequence

from integrations.ads.forms import lead
from router.model import foreign
from router.model.errors import Unreadable
from router.ports import PartyEvent, Webhook

MOST_ANSWERS = 100
_IDS = ("form_id", "campaign_id", "adgroup_id", "creative_id", "asset_group_id", "lead_stage")


class GoogleAds:
    """Implements `router.ports.Party`."""

    keeps: Sequence[str] = ()

    def ping(self, hook: Webhook) -> bool:
        return False

    def genuine(self, hook: Webhook, secrets: Mapping[str, str]) -> bool:
        try:
            given = foreign.raw(foreign.read(hook.body).get("google_key")).encode()
        except Unreadable:
            return False
        return any([hmac.compare_digest(given, secret.encode()) for secret in foreign.secret_words(secrets)])

    def dedupe_key(self, hook: Webhook) -> str:
        return foreign.identifier(foreign.read(hook.body).get("lead_id")) or foreign.digest(hook.body)

    def understand(self, hook: Webhook) -> Sequence[PartyEvent]:
        body = foreign.read(hook.body)
        answers: dict[str, str] = {}
        for column in foreign.parts(body, "user_column_data", MOST_ANSWERS):
            key = foreign.words(column.get("column_id")) or foreign.words(column.get("column_name"))
            answer = foreign.text(column.get("string_value"))
            if key and answer:
                answers[key] = answer
        source = {name: found for name in _IDS if (found := foreign.words(body.get(name))) not in ("", "0")}
        if click := foreign.words(body.get("gcl_id")):
            source["gclid"] = click
        return (
            lead(
                self.dedupe_key(hook), answers, source=source, test=body.get("is_test") is True,
                at=foreign.moment(body.get("lead_submit_time"), utc=True),
            ),
        )
