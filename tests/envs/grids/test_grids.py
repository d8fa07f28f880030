"""What parity does not cover: splits, instruction draws, horizons, tracing."""

import collections

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dream_jax.envs
from tests.tiers import quick

NAMES = ("bus", "distracting_bus", "map", "cooking")
LEFT, UP, RIGHT, DOWN, NO_OP, RIDE, END, PICK_UP, DROP = range(9)
CORNERS = ((0, 0), (8, 8), (0, 8), (8, 0))


def start(env, problem=0, instruction=None):
    if instruction is None:
        instruction = env.instructions(problem)[0]
    return env.reset(jax.random.key(0), jnp.int32(problem), jnp.asarray(instruction, jnp.int32))


def roll(env, state, actions):
    """Time steps, stacked on a leading axis, of `actions` taken one after another."""
    return jax.jit(lambda s, a: jax.lax.scan(env.step, s, a))(state, jnp.array(actions))[1]


def test_an_unknown_environment_is_refused():
    with pytest.raises(ValueError, match=r"unknown environment 'taxi'; valid: .*cooking"):
        dream_jax.envs.make("taxi")


@pytest.mark.parametrize(
    ("name", "problems", "train", "test"),
    [
        ("bus", 24, range(24), range(24)),
        ("map", 24, range(24), range(24)),
        ("distracting_bus", 576, range(0, 576, 11), set(range(576)) - set(range(0, 576, 11))),
        ("cooking", 64, set(range(64)) - {10}, {10}),
    ],
)
def test_splits_are_those_of_the_specification(name, problems, train, test):
    env = dream_jax.envs.make(name)
    assert env.num_problems == problems
    for split, expected in (("train", train), ("test", test)):
        ids = env.problem_ids(split)
        assert ids.dtype == np.int32
        assert ids.tolist() == sorted(expected)


@pytest.mark.parametrize(("name", "sizes"), [("distracting_bus", (53, 523)), ("cooking", (63, 1))])
def test_held_out_problems_are_disjoint_and_cover_the_family(name, sizes):
    env = dream_jax.envs.make(name)
    train, test = (set(env.problem_ids(split).tolist()) for split in ("train", "test"))
    assert (len(train), len(test)) == sizes
    assert not train & test
    assert train | test == set(range(env.num_problems))


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_split_is_refused(name):
    with pytest.raises(ValueError, match="unknown split 'valid'; valid: train, test"):
        dream_jax.envs.make(name).problem_ids("valid")


# Instructions.

PROBABILITIES = [
    *((name, 5, dict.fromkeys(CORNERS, 1 / 4)) for name in NAMES[:3]),
    # 10 = 2 + 2 * 4 + 0 * 16: the fridges hold 2, 2, 0, so 2 has probability 2/3.
    ("cooking", 10, {(2, 2): 4 / 9, (2, 0): 2 / 9, (0, 2): 2 / 9, (0, 0): 1 / 9}),
    # 27 = 3 + 2 * 4 + 1 * 16: three different ingredients.
    ("cooking", 27, {(i, j): 1 / 9 for i in (1, 2, 3) for j in (1, 2, 3)}),
    ("cooking", 0, {(0, 0): 1.0}),
]


@pytest.mark.parametrize(("name", "problem", "probabilities"), PROBABILITIES)
def test_the_list_of_instructions_has_their_multiplicities(name, problem, probabilities):
    listed = dream_jax.envs.make(name).instructions(problem)
    assert listed.dtype == np.int32
    counts = collections.Counter(map(tuple, listed.tolist()))
    assert {i: n / len(listed) for i, n in counts.items()} == pytest.approx(probabilities)


@pytest.mark.parametrize(("name", "problem", "probabilities"), PROBABILITIES)
def test_instructions_are_drawn_with_their_probabilities(name, problem, probabilities):
    env, draws = dream_jax.envs.make(name), 20_000
    keys = jax.random.split(jax.random.key(7), draws)
    drawn = jax.jit(jax.vmap(env.sample_instruction, (0, None)))(keys, jnp.int32(problem))
    assert drawn.shape == (draws, len(env.instruction_sizes))
    assert drawn.dtype == jnp.int32
    counts = collections.Counter(map(tuple, np.asarray(drawn).tolist()))
    assert set(counts) == set(probabilities)
    for instruction, p in probabilities.items():
        four_sigma = 4 * np.sqrt(p * (1 - p) / draws)
        assert abs(counts[instruction] / draws - p) <= four_sigma, (instruction, counts)


@pytest.mark.parametrize("horizon", [0, -3])
@pytest.mark.parametrize("name", NAMES)
def test_a_horizon_without_steps_is_refused(name, horizon):
    with pytest.raises(ValueError, match=f"horizon={horizon}: .*at least 1"):
        dream_jax.envs.make(name, horizon=horizon)


@pytest.mark.parametrize("horizon", quick([1, 7, 20, 31], 1, 7))
@pytest.mark.parametrize("name", NAMES)
def test_idling_lasts_until_the_horizon_and_is_a_time_out(name, horizon):
    env = dream_jax.envs.make(name, horizon=horizon)
    assert env.horizon == horizon
    steps = roll(env, start(env)[0], [NO_OP] * horizon)
    assert steps.truncated.tolist() == [False] * (horizon - 1) + [True]
    assert not steps.terminated.any()
    np.testing.assert_allclose(steps.reward, -0.1, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_ending_pays_for_what_is_left_of_the_horizon(name):
    env = dream_jax.envs.make(name, horizon=7)
    steps = roll(env, start(env)[0], [NO_OP, NO_OP, END])
    # -0.1 for the step itself and for each of the 4 that are left: -0.5.
    np.testing.assert_allclose(steps.reward, [-0.1, -0.1, -0.5], rtol=1e-6)
    assert steps.terminated.tolist() == [False, False, True]
    assert not steps.truncated.any()


@pytest.mark.parametrize("last", [END, DOWN])
def test_a_termination_on_the_last_step_is_not_a_time_out(last):
    env = dream_jax.envs.make("bus", horizon=3)
    steps = roll(env, start(env, 0, (0, 0))[0], [UP, RIDE, last])  # DOWN reaches the goal
    assert steps.terminated.tolist() == [False, False, True]
    assert not steps.truncated.any()


@pytest.mark.parametrize("name", NAMES)
def test_observations_stay_within_their_sizes(name):
    env, episodes = dream_jax.envs.make(name), 4000
    rng = np.random.default_rng(0)
    problems = rng.integers(env.num_problems, size=episodes)
    instructions = np.stack([rng.choice(env.instructions(problem)) for problem in problems])
    # No "end episode" and many moves, so that the walks get far.
    actions = rng.choice([LEFT, UP, RIGHT, DOWN, RIDE, PICK_UP, DROP], (episodes, env.horizon))

    def observations(problem, instruction, actions):
        state, first = env.reset(jax.random.key(0), problem, instruction)
        steps = jax.lax.scan(env.step, state, actions)[1]
        return first.observation, steps.observation

    first, later = jax.jit(jax.vmap(observations))(problems, instructions, actions)
    sizes = np.array(env.observation_sizes)
    assert first.dtype == later.dtype == jnp.int32
    assert later.shape == (episodes, env.horizon, len(sizes))
    for observed in (np.asarray(first), np.asarray(later)):
        assert (observed >= 0).all()
        assert (observed < sizes).all()
    # The largest values are reached, so the walks got far (there is no object above 1 or 3).
    highest = {"bus": [8, 8, 1], "map": [8, 8, 1, 24], "cooking": [2, 2, 3, 4, 4, 4, 4]}
    highest["distracting_bus"] = highest["bus"]
    assert later.max((0, 1)).tolist() == highest[name]
    assert (instructions < np.array(env.instruction_sizes)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_batched_jitted_step_equals_a_single_one(name):
    env, batch, horizon = dream_jax.envs.make(name), 4, 12
    rng = np.random.default_rng(1)
    problems = rng.integers(env.num_problems, size=batch)
    instructions = np.stack([rng.choice(env.instructions(problem)) for problem in problems])
    actions = rng.choice([LEFT, UP, RIGHT, DOWN, RIDE, PICK_UP, DROP], (horizon, batch))
    actions[-1, 0] = END
    keys = jax.random.split(jax.random.key(0), batch)
    singles = [
        env.reset(*task) for task in zip(keys, problems, jnp.asarray(instructions), strict=True)
    ]
    reset, step = jax.jit(jax.vmap(env.reset)), jax.jit(jax.vmap(env.step))
    batched = reset(keys, problems, instructions)
    for now in (None, *actions):
        if now is not None:
            singles = [env.step(s, a) for (s, _), a in zip(singles, now, strict=True)]
            batched = step(batched[0], now)
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *singles)
        chex.assert_trees_all_equal_shapes_and_dtypes(batched, stacked)
        chex.assert_trees_all_close(batched, stacked, rtol=1e-6)  # compiled rewards may round


@pytest.mark.parametrize("name", NAMES)
def test_functions_are_traced_once(name):
    env = dream_jax.envs.make(name)
    chex.clear_trace_counter()
    reset = jax.jit(chex.assert_max_traces(env.reset, n=1))
    step = jax.jit(chex.assert_max_traces(env.step, n=1))
    for problem in (0, 10, 23):
        instruction = env.instructions(problem)[-1]
        state, _ = reset(jax.random.key(problem), np.int32(problem), instruction)
        for action in range(9):  # the state that reset returns and the one that step returns
            state, _ = step(state, np.int32(action))
