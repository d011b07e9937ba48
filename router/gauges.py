"""Figures of the last minutes, kept in this process: how late work is, how soon a telephone rings."""

import math
import time
from collections import deque
from collections.abc import Callable


class Recent:
    """Samples of the last `keep` seconds by the monotonic clock, `most` of them at most."""

    def __init__(self, *, keep: float = 300.0, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep = keep
        self._clock = clock
        self._samples: deque[tuple[float, float]] = deque(maxlen=most)

    def add(self, value: float) -> None:
        self._samples.append((self._clock(), value))

    def quantile(self, q: float) -> float:
        """The value that the share `q` of the samples does not exceed; 0 without samples."""
        horizon = self._clock() - self._keep
        while self._samples and self._samples[0][0] < horizon:
            self._samples.popleft()
        if not self._samples:
            return 0.0
        values = sorted(value for _, value in self._samples)
        return values[max(0, math.ceil(q * len(values)) - 1)]

    def __len__(self) -> int:
        return len(self._samples)
