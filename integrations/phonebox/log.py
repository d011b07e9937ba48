"""What the phonebox was asked, line by line: the judge of "never twice", and its memory over a restart."""

import asyncio
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class Log:
    """JSON lines, each on the disk before its request is answered. Without a path it stays in memory.

    The file holds numbers and texts, as a telephone company's would: it is readable by its owner only.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._memory: list[Entry] = []
        self._turn = asyncio.Lock()

    async def add(self, kind: str, **fields: object) -> None:
        entry = {"at": datetime.now(UTC).isoformat(), "kind": kind, **fields}
        if self._path is None:
            self._memory.append(entry)
            return
        async with self._turn:
            await asyncio.to_thread(self._append, self._path, json.dumps(entry) + "\n")

    @staticmethod
    def _append(path: Path, line: str) -> None:
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # A crash may have left half a line; what follows must not be glued to it.
            end = os.lseek(file, 0, os.SEEK_END)
            torn = end > 0 and os.pread(file, 1, end - 1) != b"\n"
            os.write(file, (("\n" if torn else "") + line).encode())
            os.fsync(file)
        finally:
            os.close(file)

    def read(self) -> list[Entry]:
        """All whole entries, oldest first. Each has `at` (ISO 8601, UTC) and `kind`: rest, phone, status
        or mail."""
        if self._path is None:
            return list(self._memory)
        if not self._path.exists():
            return []
        entries = (_entry(line) for line in self._path.read_bytes().splitlines())
        return [entry for entry in entries if entry is not None]


def _entry(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "at" in entry and "kind" in entry else None
