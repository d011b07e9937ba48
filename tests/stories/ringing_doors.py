"""`hablemos serve` with one kind of alarm more: each rings in the journal, and every other one sends a text too."""

import sys

KIND = "story.ring"


def body_of(subject_id: int) -> str:
    return f"Alarm {subject_id}"


def sends(subject_id: int) -> bool:
    return subject_id % 2 == 0


def main() -> int:
    # Worker processes import this module anew; they need none of the house.
    from router import app
    from router.actions import outgoing
    from router.actions.talking import TEXTS
    from router.book import Writing
    from router.model.deliveries import DeliveryKind
    from router.model.vault import new_token
    from tests.stories import open_doors

    async def ring(w: Writing, subject_id: int) -> None:
        w.fact("rang", subject_id=subject_id)
        if sends(subject_id):
            # Everybody has a number of his own. The key is another each time: were it to run twice, nothing would hide
            # it.
            order = {"to": f"+1202{5_560_000 + subject_id:07d}", "sender": "+12025550100"}
            await outgoing.post(
                w, DeliveryKind.message, f"{KIND}:{new_token()}", order, shown_text=body_of(subject_id),
                sealed_text=w.vault.seal(TEXTS, body_of(subject_id).encode()), purpose="ring",
            )

    app.ALARMS = {**app.ALARMS, KIND: ring}
    return open_doors.main()


if __name__ == "__main__":
    sys.exit(main())
