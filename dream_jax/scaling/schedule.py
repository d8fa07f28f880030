"""The schedule of a chunk: which seeds train at the same time, and for how long.

Training runs in rounds. A round has a fixed number of slots that run side by side, and each slot
trains one group of seeds. All rounds run the same compiled program, so no slot may stay empty. If
the slots do not divide the groups evenly, some groups are split: they train a part of the chunk in
one slot and the rest in another. Three groups in two slots train half a chunk in each of the rounds
(0, 1), (0, 2) and (1, 2).

The rule is McNaughton's wrap-around rule ("Scheduling with deadlines and loss functions", 1959). It
needs the least time possible, and only the groups that are split move between slots.
"""

import itertools
from typing import NamedTuple


class Slot(NamedTuple):
    """What one slot of a round does."""

    seed_group: int
    iterations: int  # 0 where the work of the slot is done: its result equals its input


Round = tuple[Slot, ...]


class Schedule(NamedTuple):
    """Rounds, in order. Within a round no seed group is in two slots."""

    rounds: tuple[Round, ...]

    def first_slots(self) -> list[int]:
        """The number of the slot in which each seed group runs first, by seed group."""
        found: dict[int, int] = {}
        for slots in self.rounds:
            for number, slot in enumerate(slots):
                found.setdefault(slot.seed_group, number)
        return [found[group] for group in range(len(found))]


class _Segment(NamedTuple):
    """The part of the line of all work that one slot does: from `start` up to `stop`."""

    start: int
    stop: int

    def elapsed(self, position: int) -> int:
        """Iterations that the slot has done when it reaches `position`, cut off at its ends."""
        return min(max(position, self.start), self.stop) - self.start

    def between(self, began: int, ended: int, iterations: int) -> Slot:
        """What the slot does from its iteration `began` to its iteration `ended`."""
        position = min(self.start + began, self.stop - 1)
        left = max(self.stop - self.start - began, 0)
        return Slot(position // iterations, min(ended - began, left))


def make_schedule(seed_groups: int, slots: int, iterations: int) -> Schedule:
    """A schedule in which every seed group trains for `iterations`, at least 1.

    The work of all groups, laid end to end, makes one line. The line is cut into equal segments,
    one for each slot. A group that is cut runs last in one slot and first in the next, so it is
    never in both at once. Raises ValueError if there are fewer groups than slots, because a group
    would then be in two slots at once.
    """
    if not 1 <= slots <= seed_groups or iterations < 1:
        raise ValueError(
            f"{seed_groups} seed groups cannot train for {iterations} iterations in {slots} slots; "
            "give 1 slot or more, as many groups or more, and 1 iteration or more"
        )
    total = seed_groups * iterations
    cuts = [total * slot // slots for slot in range(slots + 1)]
    segments = [_Segment(start, stop) for start, stop in itertools.pairwise(cuts)]
    # A round ends whenever a slot comes to the end of a group or of its segment.
    ends = [end * iterations for end in range(1, seed_groups + 1)]
    times = {segment.elapsed(end) for segment in segments for end in ends} | {0}
    return Schedule(
        tuple(
            tuple(segment.between(began, ended, iterations) for segment in segments)
            for began, ended in itertools.pairwise(sorted(times))
        )
    )
