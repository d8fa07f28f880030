"""The schedule of seed groups: complete, free of conflicts, as short as possible, few moves."""

import collections
import itertools

import pytest

from dream_jax.scaling.schedule import Schedule, Slot, make_schedule

SIZES = [
    (groups, slots, iterations)
    for slots in range(1, 9)
    for groups in [*range(slots, 3 * slots + 2), 25, 64]
    for iterations in (1, 2, 3, 20)
]


@pytest.fixture(scope="module")
def schedules():
    return {sizes: make_schedule(*sizes) for sizes in SIZES}


def test_every_group_gets_its_iterations(schedules):
    for (groups, _, iterations), schedule in schedules.items():
        done = collections.Counter()
        for slot in itertools.chain(*schedule.rounds):
            assert slot.iterations >= 0
            done[slot.seed_group] += slot.iterations
        assert done == dict.fromkeys(range(groups), iterations)


def test_every_round_is_full_and_has_no_group_twice(schedules):
    for (_, slots, _), schedule in schedules.items():
        for round_ in schedule.rounds:
            assert len({slot.seed_group for slot in round_}) == len(round_) == slots


def test_no_schedule_is_shorter(schedules):
    """The rounds last as long as the whole work shared out over all slots, rounded up."""
    for (groups, slots, iterations), schedule in schedules.items():
        length = sum(max(slot.iterations for slot in round_) for round_ in schedule.rounds)
        assert length == -(-groups * iterations // slots)


def test_only_split_groups_move_and_only_to_the_next_slot(schedules):
    for (_, slots, _), schedule in schedules.items():
        places = collections.defaultdict(set)
        for round_ in schedule.rounds:
            for number, slot in enumerate(round_):
                if slot.iterations:
                    places[slot.seed_group].add(number)
        split = [found for found in places.values() if len(found) > 1]
        assert len(split) <= slots - 1
        for found in split:
            assert sorted(found) == list(range(min(found), max(found) + 1))


def test_groups_that_fill_all_rounds_stay_where_they_are():
    assert make_schedule(4, 2, 7) == Schedule(((Slot(0, 7), Slot(2, 7)), (Slot(1, 7), Slot(3, 7))))
    assert make_schedule(3, 1, 5).rounds == ((Slot(0, 5),), (Slot(1, 5),), (Slot(2, 5),))


def test_three_groups_in_two_slots():
    """Group 1 is split: it runs first in slot 1, then last in slot 0."""
    schedule = make_schedule(3, 2, 20)
    assert schedule.rounds == (
        (Slot(0, 10), Slot(1, 10)),
        (Slot(0, 10), Slot(2, 10)),
        (Slot(1, 10), Slot(2, 10)),
    )
    assert schedule.first_slots() == [0, 1, 1]


def test_a_slot_whose_work_is_done_keeps_its_last_group():
    """Three iterations for two slots: the first has one, the second has two."""
    assert make_schedule(3, 2, 1).rounds == ((Slot(0, 1), Slot(1, 1)), (Slot(0, 0), Slot(2, 1)))


def test_first_slots(schedules):
    for (groups, _, _), schedule in schedules.items():
        found = schedule.first_slots()
        assert len(found) == groups
        for group, first in enumerate(found):
            rounds = (
                round_ for round_ in schedule.rounds if group in [s.seed_group for s in round_]
            )
            assert next(rounds)[first].seed_group == group


@pytest.mark.parametrize("sizes", [(1, 2, 4), (3, 0, 4), (3, 2, 0)])
def test_sizes_without_a_schedule(sizes):
    with pytest.raises(ValueError, match="give 1 slot or more, as many groups or more"):
        make_schedule(*sizes)
