"""The grid worlds, step for step, against a second implementation that shares no code with them."""

import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dream_jax.envs
from tests.parity import reference_grids as reference

EPISODES = 10_000
HORIZON = reference.HORIZON
NO_END = [a for a in range(9) if a != reference.END]

# What has to occur, and how often at least, for the comparison to mean something.
RIDES = {"rode_out": 1000, "rode_back": 1000, "rode_nothing": 1000}
EVENTS = {
    "bus": {**RIDES},
    "distracting_bus": {**RIDES, "rode_grey": 1000},
    "map": {**RIDES, "read_map": 500},
    "cooking": {
        "picked_up": 1000,
        "swapped": 1000,
        "lost_at_pot": 500,
        "no_hand_at_pot": 1000,
        "picked_up_nothing": 1000,
        "dropped_in_pot": 1000,
        "dropped_in_full_pot": 100,
        "dropped_on_floor": 1000,
        "dropped_nothing": 1000,
        "wrong_pick_up_0": 1000,
        "wrong_pick_up_2": 1000,
        "fell_back_1": 1000,
        "fell_back_3": 100,
        "reached_stage_1": 1000,
        "reached_stage_2": 1000,
        "reached_stage_3": 1000,
        "reached_stage_4": 1000,
    },
}
COMMON_EVENTS = {
    "bumped_into_border": 1000,
    "end_episode": 1000,
    "full_length": 1000,
    "success": 1000,
}


# Behaviours: generators of actions, which look at the world whenever they are resumed.


def uniform(world, rng):
    del world
    while True:
        yield rng.randrange(9)


def never_ending(world, rng):
    del world
    while True:
        yield rng.choice(NO_END)


def walk(world, cell):
    while world.agent != cell:
        dx, dy = cell[0] - world.agent[0], cell[1] - world.agent[1]
        if dx:
            yield reference.RIGHT if dx > 0 else reference.LEFT
        else:
            yield reference.UP if dy > 0 else reference.DOWN


def run_errands(world, rng):
    """Walks to cells at which something can happen, and does something there."""
    if isinstance(world, reference.BusWorld):
        cells = [*world.stops, *getattr(world, "grey_stops", []), (7, 3)]
        actions = [reference.RIDE]
    else:
        cells = [world.pot_cell, *world.fridge_cells]
        actions = [reference.PICK_UP, reference.DROP]
    while True:
        yield from walk(world, rng.choice(cells))
        for _ in range(rng.randint(1, 3)):
            yield rng.choice(actions)


def fill_pot(world, rng):
    """Cooking: as many ingredients as possible from the nearest fridge."""
    del rng
    while True:
        yield from walk(world, (2, 1))
        yield reference.PICK_UP
        yield from walk(world, world.pot_cell)
        yield reference.DROP


def solve(world, rng):
    """Goes straight for the instruction, knowing the problem; noise makes it miss at times."""
    if isinstance(world, reference.BusWorld):
        corner = world.instruction
        nearby = [(corner[0], y) for y in (1, 7) if abs(corner[1] - y) == 1]
        yield from walk(world, world.rides[nearby[0]])
        yield reference.RIDE
        yield from walk(world, corner)
    else:
        for ingredient in world.instruction:
            holders = [cell for cell, held in world.fridges.items() if held == ingredient]
            yield from walk(world, min(holders, key=lambda cell: abs(cell[1] - 1)))
            yield reference.PICK_UP
            yield from walk(world, world.pot_cell)
            yield reference.DROP
    yield from run_errands(world, rng)


def play(world, rng, problem, instruction):
    """One episode of the reference: actions, observations (one more), rewards, dones."""
    behaviours = [uniform, never_ending, run_errands, run_errands, solve, solve]
    if isinstance(world, reference.CookingWorld):
        behaviours.append(fill_pot)
    noise = rng.choice([0.0, 0.05, 0.15])
    observations = [world.reset(problem, instruction)]
    choose = rng.choice(behaviours)(world, rng)
    actions, rewards, dones = [], [], [False]
    while not dones[-1]:
        action = rng.randrange(9) if rng.random() < noise else next(choose)
        observation, reward, done = world.step(action)
        actions.append(action)
        observations.append(observation)
        rewards.append(reward)
        dones.append(done)
    return actions, observations, rewards, dones[1:]


def jax_rollout(env, problems, instructions, actions):
    """Observations [B, T + 1, K], rewards [B, T], dones [B, T] of `actions` [B, T]."""

    def one(problem, instruction, actions):
        state, first = env.reset(jax.random.key(0), problem, instruction)
        _, steps = jax.lax.scan(env.step, state, actions)
        observations = jnp.concatenate([first.observation[None], steps.observation])
        return observations, steps.reward, steps.done

    return jax.device_get(jax.jit(jax.vmap(one))(problems, instructions, actions))


@pytest.mark.parametrize("name", list(reference.WORLDS))
def test_every_step_of_random_episodes(name):
    world, rng = reference.WORLDS[name](), random.Random(f"parity of {name}")
    problems = [rng.randrange(world.num_problems) for _ in range(EPISODES)]
    instructions = [rng.choice(world.instructions(problem)) for problem in problems]
    assert set(problems) == set(range(world.num_problems))
    played = [play(world, rng, *task) for task in zip(problems, instructions, strict=True)]
    for event, at_least in {**COMMON_EVENTS, **EVENTS[name]}.items():
        assert world.events[event] >= at_least, (event, world.events)

    # The JAX environment goes on after the end; the padding is idle and is not compared.
    padded = np.full((EPISODES, HORIZON), reference.NOOP, np.int32)
    for row, (actions, *_) in zip(padded, played, strict=True):
        row[: len(actions)] = actions
    got = jax_rollout(
        dream_jax.envs.make(name),
        np.array(problems, np.int32),
        np.array(instructions, np.int32),
        padded,
    )

    mismatches = []
    for i, (actions, observations, rewards, dones) in enumerate(played):
        steps = len(actions)
        same = (
            np.array_equal(got[0][i, : steps + 1], observations)
            and np.allclose(got[1][i, :steps], rewards, rtol=0, atol=1e-5)
            and np.array_equal(got[2][i, :steps], dones)
        )
        if not same:
            mismatches.append(
                f"problem {problems[i]}, instruction {instructions[i]}, actions {actions}\n"
                f"reference: {observations} {np.round(rewards, 3).tolist()} {dones}\n"
                f"JAX: {got[0][i, : steps + 1].tolist()} "
                f"{got[1][i, :steps].astype(float).round(3).tolist()} {got[2][i, :steps].tolist()}"
            )
    assert not mismatches, f"{len(mismatches)} episodes differ; the first:\n{mismatches[0]}"


@pytest.mark.parametrize("name", list(reference.WORLDS))
def test_the_families_are_the_same(name):
    env, world = dream_jax.envs.make(name), reference.WORLDS[name]()
    assert env.num_problems == world.num_problems
    for problem in range(world.num_problems):
        expected = sorted(world.instructions(problem))
        assert sorted(map(tuple, env.instructions(problem).tolist())) == expected


def test_the_reference_pays_what_the_specification_works_out():
    """Sums derived by hand: agreement alone would miss a mistake made in both."""
    bus = reference.WORLDS["bus"]()
    # Problem 0 sends stop (4, 5) to (0, 1): up, ride, down to (0, 0) is -0.1 - 0.1 + 1 = 0.8.
    bus.reset(0, (0, 0))
    assert sum_of_rewards(bus, [reference.UP, reference.RIDE, reference.DOWN]) == (0.8, True)
    # Ending at once costs what idling for 20 steps costs.
    bus.reset(0, (0, 0))
    assert sum_of_rewards(bus, [reference.END]) == (-2.0, True)
    bus.reset(0, (0, 0))
    assert sum_of_rewards(bus, [reference.NOOP] * 20) == (-2.0, True)
    # Cooking costs 1 - 0.2 (d_i + d_j); problem 4 holds 1 in the middle fridge (d = 1), 0 at the
    # sides (d = 2). Recipe (1, 0): 1 - 0.2 * 3 = 0.4.
    cooking = reference.WORLDS["cooking"]()
    cooking.reset(4, (1, 0))
    middle = [reference.RIGHT, reference.PICK_UP, reference.LEFT, reference.DROP]
    side = [reference.RIGHT, reference.UP, reference.PICK_UP]
    back = [reference.LEFT, reference.DOWN, reference.DROP]
    assert sum_of_rewards(cooking, middle + side + back) == (0.4, True)


def sum_of_rewards(world, actions):
    steps = [world.step(action) for action in actions]
    assert not any(done for *_, done in itertools.islice(steps, len(steps) - 1))
    return round(sum(reward for _, reward, _ in steps), 9), steps[-1][2]
