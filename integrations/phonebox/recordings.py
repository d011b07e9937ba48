"""Spoken messages: small real WAV files. A person's voice is a tone here; how long he spoke is what counts."""

import io
import math
import struct
import wave
from dataclasses import dataclass, field
from datetime import datetime

from integrations.phonebox.legs import new_sid

RATE = 8000
_TONE = 440.0


@dataclass
class Recording:
    """One spoken message of a call, in whole seconds."""

    call_sid: str
    at: datetime
    seconds: int
    sid: str = field(default_factory=lambda: new_sid("RE"))

    def wav(self) -> bytes:
        """Eight thousand samples a second, sixteen bits, one channel; the same bytes each time."""
        return tone(self.seconds)


def tone(seconds: int) -> bytes:
    """A WAV file of so many seconds, at least a fraction of one."""
    one = b"".join(struct.pack("<h", int(6000 * math.sin(2 * math.pi * _TONE * n / RATE))) for n in range(RATE))
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(one * seconds or one[: RATE // 5])
    return out.getvalue()
