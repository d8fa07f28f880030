"""A family of every kind of value, and families with one thing wrong each."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs

from dream_jax.specs import Tokens
from dream_jax.types import TimeStep

HORIZON = 4


class State(NamedTuple):
    problem: jax.Array  # []
    wanted: jax.Array  # []
    place: jax.Array  # []
    step: jax.Array  # []
    key: jax.Array  # [] a typed key: readings are noisy


class Mixed:
    """Three doors, one of which is right; a meter tells which at door 0.

    Observations are a dict of integers, numbers, a picture and a flag. Instructions are a sentence
    and a large integer. Problems are drawn without end and described by numbers.
    """

    num_actions = 3
    num_problems = None
    settings = {
        "env": {"horizon": HORIZON},
        "trial": {"hidden_goal_ends_exploration": False},
        "networks": {"hidden_size": 16, "head_size": 16},
    }

    def __init__(self, horizon):
        self.horizon = horizon

    observation_spec = {
        "door": specs.BoundedArray((2,), np.int32, [-1, 0], [2, 1_000]),
        "meter": specs.Array((2,), np.float32),
        "view": specs.BoundedArray((6, 5, 1), np.uint8, 0, 255),
        "open": specs.Array((), bool),
    }
    instruction_spec = {
        "say": Tokens(4, words=6),
        "amount": specs.BoundedArray((), np.int32, 0, 5_000),
    }
    descriptor_spec = {"right": specs.Array((1,), np.float32)}

    def sample_problem(self, key, split):
        return 2 * jax.random.randint(key, (), 0, 2**29) + (split == "test")

    def descriptor(self, problem):
        return {"right": jnp.float32(problem // 2 % 3)[None]}

    def sample_instruction(self, key, problem):
        wanted = jax.random.randint(key, (), 0, 3)
        say = jnp.array([1, 2, 0, 0]).at[2].set(3 + wanted)
        return {"say": say, "amount": 1_000 * wanted}

    def reset(self, key, problem, instruction):
        wanted = jnp.asarray(instruction["say"][2], jnp.int32) - 3
        zero = jnp.zeros((), jnp.int32)
        state = State(jnp.asarray(problem, jnp.int32), wanted, zero - 1, zero, key)
        no = jnp.zeros((), bool)
        return state, TimeStep(self.see(state), 0, no, no, no)

    def step(self, state, action):
        key, _ = jax.random.split(state.key)
        state = state._replace(place=action.astype(jnp.int32), step=state.step + 1, key=key)
        right = (state.problem // 2 + state.wanted) % 3
        found = (action == right) & (state.step > 1)
        over = state.step >= self.horizon
        # The reward is a bool.
        return state, TimeStep(self.see(state), found, found, over & ~found, found)

    def see(self, state):
        noise = 0.1 * jax.random.normal(state.key, (2,))
        told = jnp.where(state.place == 0, 100.0 * (state.problem // 2 % 3), -50.0)
        return {
            "door": jnp.stack([state.place, state.step * 100]),
            "meter": told + noise,
            "view": jnp.full((6, 5, 1), 40 * (state.place + 1), jnp.uint8),
            "open": state.step > 2,
        }


class Drawn(Mixed):
    """`Mixed` whose replay keeps states, with their typed keys, in the place of observations."""

    def observe(self, state):
        return self.see(state)


class Listed(Mixed):
    """`Mixed` with more problems than a final evaluation covers, described by a table."""

    num_problems = 30_000
    descriptor = None

    def __init__(self, horizon):
        super().__init__(horizon)
        right = np.arange(self.num_problems, dtype=np.float32)[:, None] // 2 % 3
        self.descriptors = {"right": right}

    def problem_ids(self, split):
        return np.arange(split == "test", self.num_problems, 2, dtype=np.int32)


class NoBounds(Mixed):
    observation_spec = specs.Array((2,), np.int32)


class NoSpec(Mixed):
    observation_spec = {"door": 3}


class Words(Mixed):
    observation_spec = specs.StringArray(())


class Complex(Mixed):
    observation_spec = specs.Array((2,), np.complex64)


class Undescribed(Mixed):
    descriptor_spec = None


class BadDescriptor(Mixed):
    def descriptor(self, problem):
        return {"right": jnp.zeros(3)}


class BadInstruction(Mixed):
    def sample_instruction(self, key, problem):
        return jnp.zeros(4, jnp.int32)


class FarInstruction(Mixed):
    def sample_instruction(self, key, problem):
        return {**super().sample_instruction(key, problem), "amount": jnp.int32(-2)}


class MissingPart(Mixed):
    def see(self, state):
        return {k: v for k, v in super().see(state).items() if k != "meter"}


class FloatIntegers(Mixed):
    def see(self, state):
        return {**super().see(state), "door": jnp.zeros(2)}


class FloatPicture(Mixed):
    def see(self, state):
        return {**super().see(state), "view": jnp.zeros((6, 5, 1))}


class OtherShape(Mixed):
    def reset(self, key, problem, instruction):
        state, shown = super().reset(key, problem, instruction)
        return state, shown._replace(observation={**shown.observation, "meter": jnp.zeros(3)})


class OtherState(Mixed):
    def step(self, state, action):
        state, shown = super().step(state, action)
        return state._replace(place=state.place.astype(jnp.float32)), shown


class GrowingState(Mixed):
    def step(self, state, action):
        state, shown = super().step(state, action)
        return (state, 1), shown


class VectorReward(Mixed):
    def step(self, state, action):
        state, shown = super().step(state, action)
        return state, shown._replace(reward=jnp.zeros(1))


class NanMeter(Mixed):
    def see(self, state):
        seen = super().see(state)
        return {**seen, "meter": jnp.where(state.step == 2, jnp.nan, seen["meter"])}


class BigDoor(Mixed):
    def see(self, state):
        seen = super().see(state)
        return {**seen, "door": seen["door"].at[1].set(500 * state.step)}


class InfiniteReward(Mixed):
    def step(self, state, action):
        state, shown = super().step(state, action)
        return state, shown._replace(reward=jnp.where(state.step == 1, jnp.inf, 0.0))


class Endless(Mixed):
    def step(self, state, action):
        state, shown = super().step(state, action)
        no = jnp.zeros((), bool)
        return state, shown._replace(terminated=no, truncated=no)


class Over(Mixed):
    def reset(self, key, problem, instruction):
        state, shown = super().reset(key, problem, instruction)
        return state, shown._replace(terminated=jnp.ones((), bool))


class Impure(Mixed):
    def step(self, state, action):
        return super().step(state, jnp.int32([0, 1, 2][int(action)]))


class Branching(Mixed):
    def step(self, state, action):
        return super().step(state, action if action > 0 else action + 1)


class Bare(Mixed):
    def step(self, state, action):
        return state, 0.0, False


class Raising(Mixed):
    def reset(self, key, problem, instruction):
        raise KeyError("plan")


class Silent(Mixed):
    def render_text(self, state):
        return 3


class Painter(Mixed):
    def render_image(self, state):
        return np.zeros((4, 4))


class Blind(Mixed):
    def render_image(self, state):
        raise RuntimeError("no display")


class Continuous(Mixed):
    action_space = object()


WRONG = {
    "NoBounds": "observation_spec has integers without bounds; use dm_env.specs.BoundedArray",
    "NoSpec": "observation_spec 'door' must be a dm_env.specs.Array, not 3",
    "Words": "observation_spec must be a dm_env.specs.Array, not StringArray",
    "Complex": "observation_spec has dtype complex64",
    "Undescribed": "need `descriptor_spec` and a function descriptor(problem)",
    "BadDescriptor": "descriptor: descriptor 'right' has shape [3]; its spec says [1]",
    "BadInstruction": "sample_instruction: instruction is one array, but its spec is a dict of",
    "FarInstruction": "instruction 'amount' is -2; its spec allows 0 to 5000, for problem",
    "MissingPart": "observation is a dict of 'door', 'open', 'view', but its spec is a dict of",
    "FloatIntegers": "observation 'door' is float32; its spec needs integers",
    "FloatPicture": "observation 'view' is float32; its spec needs uint8",
    "OtherShape": "observation['meter'] has shape [3] in reset and [2] in step",
    "OtherState": "state.place is int32 in reset and float32 in step",
    "GrowingState": "state has another structure in reset",
    "VectorReward": "step: reward has shape [1]; it must be a scalar",
    "NanMeter": "observation 'meter' component 0 is nan; its spec allows a finite number",
    "BigDoor": "observation 'door' component 1 is 1500; its spec allows 0 to 1000, at step 3",
    "InfiniteReward": "reward is inf at step 1 of problem",
    "Endless": "no end at the horizon: step 4 of problem",
    "Over": "shows an episode that is over already",
    "Impure": "step is not pure JAX (",
    "Branching": "step is not pure JAX (",
    "Bare": "step must return (state, dream_jax.types.TimeStep)",
    "Raising": "reset: KeyError: 'plan'",
    "Silent": "render_text: must return text, not int",
    "Painter": "render_image: must return [H, W, 3] uint8, not float64 [4, 4]",
    "Blind": "render_image: RuntimeError: no display",
    "Continuous": "actions must be discrete",
}
