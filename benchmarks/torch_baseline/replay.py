"""A ring buffer of padded trials, batch-major, with small integers as uint8."""

import torch
from torch import Tensor

from benchmarks.torch_baseline.types import Episode, Trials

_STORED = {torch.int64: torch.uint8}


class Replay:
    """The last `capacity` trials."""

    def __init__(self, capacity: int):
        self.capacity, self.inserted = capacity, 0
        self._ring: list[Tensor] = []

    def add(self, trials: Trials) -> None:
        """Replaces the oldest trials. Raises ValueError if their number does not divide the
        capacity."""
        rows = [trials.acts_on_exploration, trials.instruction]
        rows += [x.transpose(0, 1) for x in (*trials.exploration, *trials.exploitation)]
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
        """`count` trials, drawn uniformly with replacement."""
        index = torch.randint(min(self.inserted, self.capacity), (count,))
        rows = [_wide(ring.index_select(0, index)) for ring in self._ring]
        acts_on_exploration, instruction, *episodes = rows
        episodes = [x.transpose(0, 1) for x in episodes]
        fields = len(Episode._fields)
        return Trials(
            self._problem[index].long(),
            acts_on_exploration,
            instruction,
            Episode(*episodes[:fields]),
            Episode(*episodes[fields:]),
        )

    @property
    def size_bytes(self) -> int:
        """Size of all stored arrays."""
        return sum(x.nbytes for x in [self._problem, *self._ring])


def _wide(x: Tensor) -> Tensor:
    return x.long() if x.dtype == torch.uint8 else x
