"""What can be asked of spoken messages and of what came with written ones: their records and their bytes."""

from integrations.phonebox import shapes
from integrations.phonebox.exchange import not_found
from integrations.phonebox.recordings import Recording
from integrations.phonebox.rest import ID, Answer, Asked, Document, Verb
from integrations.phonebox.switchboard import Switchboard


class Recorded:
    def __init__(self, board: Switchboard, account: str) -> None:
        self._board, self._account = board, account

    def table(self) -> dict[tuple[str, str], Verb]:
        return {
            ("GET", r"Recordings\.json"): self.list_all,
            ("GET", rf"Calls/{ID}/Recordings\.json"): self.list_of_call,
            ("GET", rf"Recordings/{ID}\.json"): self.fetch,
            ("DELETE", rf"Recordings/{ID}\.json"): self.delete,
            ("GET", r"Recordings/(RE[0-9a-f]{32})(?:\.wav)?"): self.play,
            ("GET", rf"Messages/{ID}/Media/(ME[0-9a-f]{{32}})"): self.enclosure,
        }

    def _find(self, sid: str) -> Recording:
        if sid not in self._board.recordings:
            raise not_found()
        return self._board.recordings[sid]

    def list_all(self, asked: Asked) -> Answer:
        return self._listed([*self._board.recordings.values()], asked)

    def list_of_call(self, asked: Asked) -> Answer:
        call = self._board.exchange.find_leg(asked.ids[0])
        return self._listed([each for each in self._board.recordings.values() if each.call_sid == call.sid], asked)

    def _listed(self, found: list[Recording], asked: Asked) -> Answer:
        records = [shapes.recording(each, self._account) for each in reversed(found)]
        return 200, shapes.page("recordings", records, asked.path, asked.query, number=0, size=1000)

    def fetch(self, asked: Asked) -> Answer:
        return 200, shapes.recording(self._find(asked.ids[0]), self._account)

    def delete(self, asked: Asked) -> Answer:
        del self._board.recordings[self._find(asked.ids[0]).sid]
        asked.noted["sid"] = asked.ids[0]
        return 204, None

    def play(self, asked: Asked) -> Answer:
        return 200, Document("audio/x-wav", self._find(asked.ids[0]).wav())

    def enclosure(self, asked: Asked) -> Answer:
        for each in self._board.post.find(asked.ids[0]).enclosures:
            if each.sid == asked.ids[1]:
                return 200, Document(each.media_type, each.content)
        raise not_found()
