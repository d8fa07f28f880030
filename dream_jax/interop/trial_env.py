"""A whole trial as ONE episode of pure functions: exploration, then exploitation.

So any recurrent agent can be trained on the families of this library, as RL^2 is. After each of the
trial's episodes ends, one step whose action has no effect shows how it ended, as in `data.rollout`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.config import ConfigError, PearlUbConfig, TrialConfig
from dream_jax.data import rollout
from dream_jax.oracles import bounds, pearl_ub
from dream_jax.specs import Part, Space
from dream_jax.types import Array, Env, Key, TimeStep


class TrialState(NamedTuple):
    """Where a trial stands."""

    world: Any  # of the environment
    shown: TimeStep  # its newest time step
    key: Key  # of the resets that follow
    problem: Array  # [] int32
    instructions: Any  # leaves [N, ...]
    episode: Array  # [] int32: 0 .. E - 1 exploration, then N of exploitation
    step: Array  # [] int32, steps of this episode
    ended: Array  # [] bool: this episode is over
    action: Array  # [] int32, the previous action; `num_actions` at the start of an episode
    reward: Array  # [] float32, the previous reward


class TrialStep(NamedTuple):
    """What a step of a trial shows."""

    observation: Array  # [D] float32
    reward: Array  # [] float32
    done: Array  # [] bool, the trial is over


class TrialEnv:
    """Trials of a family.

    Problem: drawn from `split` at each reset. Instructions: hidden (zeros) while exploring.
    Observation: [D] float32, all parts flattened, one after the other: the family's observation,
      the instruction (integers one-hot, pictures divided by 255), the previous action (one-hot, one
      more value at the start of an episode), the previous reward, 1 if it is exploration, 1 if the
      episode is over, and the share of the episode that is over.
    Reward: exploitation's, divided by N. With `counts_exploration`, exploration is the first of
      the scored episodes: its rewards count too, and all are divided by E + N.
    Termination: at the end of the last episode. There is no time-out: episodes have a horizon.

    `reference_returns` gives what trials can return, exactly.
    """

    def __init__(
        self,
        env: Env,
        split: str = "train",
        trial: TrialConfig | None = None,
        counts_exploration: bool = False,
    ):
        """Raises ConfigError for an unknown split."""
        if split not in ("train", "test"):
            raise ConfigError(f"unknown split {split!r}; valid: train, test")
        self.env, self.split = env, split
        self.trial = trial or TrialConfig()
        self.counts_exploration = counts_exploration
        self.num_actions = env.num_actions
        explorations, exploitations = (
            self.trial.exploration_episodes,
            self.trial.exploitation_episodes,
        )
        self.episodes = explorations + exploitations
        # Each episode, and a step between two of them.
        self.max_steps = self.episodes * (env.horizon + 1) - 1
        self._spaces = specs.observation(env), specs.instruction(env)
        shown = jax.eval_shape(lambda key: self.reset(key)[1].observation, jax.random.key(0))
        self.observation_size = int(shown.shape[0])

    @functools.cached_property
    def reference_returns(self) -> dict[str, float]:
        """Mean returns of a trial, with exploitation alone scored.

        "optimal": of an agent that knows the problem. "no_exploration": the best without exploring.
        "thompson_sampling": with the true posterior after exploring (PEARL-UB). The last is nan
        where it cannot be computed. Raises ValueError where none of them can.
        """
        found = bounds.bounds(self.env, self.split)
        try:
            values = pearl_ub.returns(self.env, self.split, PearlUbConfig())
            thompson = float(np.mean(values))
        except ValueError:
            thompson = float("nan")
        return {
            "optimal": found.optimal,
            "no_exploration": found.no_exploration,
            "thompson_sampling": thompson,
        }

    def reset(self, key: Key) -> tuple[TrialState, TrialStep]:
        """Begin a trial of a problem of the split."""
        keys = jax.random.split(key, 4)
        problem = problems.sample(self.env, keys[0], self.split)
        instructions = rollout.sample_instructions(self.env, keys[1], problem, self.trial)
        world, shown = self._begin(keys[2], problem, instructions, jnp.zeros((), jnp.int32))
        zero = jnp.zeros((), jnp.int32)
        state = TrialState(
            world,
            shown,
            keys[3],
            problem,
            instructions,
            zero,
            zero,
            jnp.zeros((), bool),
            jnp.full((), self.num_actions, jnp.int32),
            jnp.zeros(()),
        )
        return state, TrialStep(self._observe(state), jnp.zeros(()), jnp.zeros((), bool))

    def step(self, state: TrialState, action: Array) -> tuple[TrialState, TrialStep]:
        """Take an action; after an episode's end, begin the next one instead."""
        key, next_key = jax.random.split(state.key)
        action = jnp.asarray(action, jnp.int32)
        world, shown = rollout.step_env(self.env, state.world, action)
        steps = state.step + 1
        exploring = state.episode < self.trial.exploration_episodes
        as_explored = rollout.exploration_end(self.env, self.trial, shown, action, steps)
        terminated = jnp.where(exploring, as_explored.terminated, shown.terminated)
        ended = terminated | shown.truncated | (steps >= self.env.horizon)
        shown = TimeStep(shown.observation, shown.reward, terminated, ended & ~terminated)
        taken = state._replace(
            world=world, shown=shown, key=next_key, step=steps, ended=ended, action=action,
            reward=shown.reward,
        )  # fmt: skip
        begun = self._next_episode(state, key)._replace(key=next_key)
        after = jax.tree.map(lambda a, b: jnp.where(state.ended, a, b), begun, taken)
        counted = ~exploring | self.counts_exploration
        scored = self.episodes if self.counts_exploration else self.trial.exploitation_episodes
        reward = jnp.where(counted & ~state.ended, shown.reward, 0.0) / scored
        done = after.ended & (after.episode == self.episodes - 1)
        return after, TrialStep(self._observe(after), reward, done)

    def _begin(self, key: Key, problem: Array, instructions: Any, episode: Array) -> Any:
        """The first state and time step of an episode."""
        hidden_key, reset_key = jax.random.split(key)
        hidden = self._spaces[1].kept(self.env.sample_instruction(hidden_key, problem))
        exploring = episode < self.trial.exploration_episodes
        own = self._given(instructions, episode)
        used = jax.tree.map(lambda a, b: jnp.where(exploring, a, b), hidden, own)
        world, shown = rollout.reset_env(self.env, reset_key, problem, used)
        return world, shown._replace(goal=None)

    def _next_episode(self, state: TrialState, key: Key) -> TrialState:
        episode = jnp.minimum(state.episode + 1, self.episodes - 1)
        world, shown = self._begin(key, state.problem, state.instructions, episode)
        return state._replace(
            world=world,
            shown=shown,
            episode=episode,
            step=jnp.zeros((), jnp.int32),
            ended=jnp.zeros((), bool),
            action=jnp.full((), self.num_actions, jnp.int32),
            reward=jnp.zeros(()),
        )

    def _given(self, instructions: Any, episode: Array) -> Any:
        """The instruction of an episode; of exploration, the first."""
        place = jnp.maximum(episode - self.trial.exploration_episodes, 0)
        return jax.tree.map(lambda x: x[place], instructions)

    def _observe(self, state: TrialState) -> Array:
        exploring = state.episode < self.trial.exploration_episodes
        instruction = self._given(state.instructions, state.episode)
        seen = self._spaces[0].kept(state.shown.observation)
        parts = [
            _flat(self._spaces[0], seen),
            jnp.where(exploring, 0.0, _flat(self._spaces[1], instruction)),
            jax.nn.one_hot(state.action, self.num_actions + 1),
            state.reward[None],
            exploring.astype(jnp.float32)[None],
            state.ended.astype(jnp.float32)[None],
            (state.step / self.env.horizon)[None],
        ]
        return jnp.concatenate(parts).astype(jnp.float32)


def _flat(space: Space, value: Any) -> Array:
    """[D] float32."""
    leaves = zip(space.parts, jax.tree.leaves(value), strict=True)
    parts = [_flat_part(part, x) for part, x in leaves]
    return jnp.concatenate([jnp.zeros(0), *parts])


def _flat_part(part: Part, x: Array) -> Array:
    x = x.ravel()
    if part.kind == "picture":
        return x.astype(jnp.float32) / 255.0
    if part.kind == "numbers":
        return x.astype(jnp.float32)
    columns = []
    for k, (size, low) in enumerate(zip(part.sizes, part.low, strict=True)):
        shifted = x[k].astype(jnp.int32) - int(low)
        if size <= specs.EMBEDDED_VALUES:
            columns.append(jax.nn.one_hot(shifted, size))
        else:
            columns.append((shifted / (size - 1))[None])
    return jnp.concatenate([jnp.zeros(0), *columns])
