"""A ring of whole padded trials, batch-major, small integers as uint8."""

import torch
from torch import Tensor

from benchmarks.torch_baseline.types import Episode, Trials

_STORED = {torch.int64: torch.uint8}


class Replay:
    def __init__(self, capacity: int):
        self.capacity, self.inserted = capacity, 0
        self._ring: list[Tensor] = []

    def add(self, trials: Trials) -> None:
        """Over the oldest ones; their number must divide the capacity."""
        rows = [x.transpose(0, 1) for x in (*trials.exploration, *trials.exploitation)]
        rows += [trials.z_from_decoder, trials.instruction]
        count, start = len(trials.problem), self.inserted % self.capacity
        if self.capacity % count:
            raise ValueError(f"adding {count} trials: must divide the capacity, {self.capacity}")
        if not self._ring:
            self._problem = torch.zeros(self.capacity, dtype=torch.int32)
            self._ring = [
                torch.zeros(self.capacity, *x.shape[1:], dtype=_STORED.get(x.dtype, x.dtype))
                for x in rows
            ]
        self._problem[start : start + count] = trials.problem
        for ring, x in zip(self._ring, rows, strict=True):
            ring[start : start + count] = x
        self.inserted += count

    def sample(self, count: int) -> Trials:
        """Uniformly with replacement."""
        index = torch.randint(min(self.inserted, self.capacity), (count,))
        rows = [_wide(ring.index_select(0, index)) for ring in self._ring]
        episodes = [x.transpose(0, 1) for x in rows[:12]]
        return Trials(
            self._problem[index].long(),
            rows[12],
            rows[13],
            Episode(*episodes[:6]),
            Episode(*episodes[6:]),
        )

    @property
    def size_bytes(self) -> int:
        return sum(x.nbytes for x in [self._problem, *self._ring])


def _wide(x: Tensor) -> Tensor:
    return x.long() if x.dtype == torch.uint8 else x
