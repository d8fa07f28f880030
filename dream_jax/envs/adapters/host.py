"""Problem families of worlds that JAX cannot run: gymnasium or dm_env environments."""

import math
import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import specs
from dream_jax.envs.adapters.host_pool import HostPool
from dream_jax.envs.adapters.host_worker import Request
from dream_jax.types import Array, Key, TimeStep


class HostState(NamedTuple):
    """An episode as its history. So the functions of it are pure, whatever a process does."""

    problem: Array  # [] int32
    instruction: Any  # as replay keeps it
    seed: Array  # [] int32
    actions: Array  # [T] int16; those from `step` on are 0
    step: Array  # [] int32
    ticket: Array  # [] int32, where to find the running world; only a shortcut


class HostFamily:
    """Problems in environments made by `make`. Subclass it.

    A subclass has the attributes of `types.Env` but for `reset` and `step`, and

        def make(self, problem, instruction):
            return a gymnasium.Env or a dm_env.Environment

    A third argument `seed` of `make`, if there is one, seeds the world; then each episode makes its
    own. Otherwise worlds are used again, and gymnasium's are seeded by `reset(seed=...)`.

    Worlds are stepped by `workers` processes, which import the subclass by its module. A world that
    raises, breaks its observation spec, dies or hangs for `step_limit_s` seconds costs its episode
    and a line on stderr. Equal seeds give equal episodes as far as the worlds are deterministic.

    An episode that `info["goal"]` says has done the instruction's task: see `TimeStep.goal`.
    """

    runs_on_host = True
    name: str
    num_actions: int
    num_problems: int
    observation_spec: Any
    workers: int | None = None  # processes; None: one per core
    step_limit_s = 30.0

    def __init__(self, horizon: int):
        self.horizon = horizon
        self.name = getattr(self, "name", type(self).__name__.lower())
        self._pool: HostPool | None = None

    def make(self, problem: int, instruction: Any) -> Any:
        """The world of a problem, with the reward of an instruction (numpy, as it was drawn)."""
        raise NotImplementedError

    def read(self, observation: Any) -> Any:
        """A value of `observation_spec` from what the world shows."""
        return observation

    @property
    def observation_space(self) -> specs.Space:
        return specs.observation(self)  # type: ignore[arg-type]

    @property
    def pool(self) -> HostPool:
        """The processes. They start when they are first needed."""
        if self._pool is None:
            self._pool = HostPool(self, self.workers or len(_cores()), self.step_limit_s)
        return self._pool

    def close(self) -> None:
        """End the processes. They also end with this one."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def nothing(self) -> tuple[np.ndarray, ...]:
        """The observation, as leaves, of an episode that could not even begin."""
        return tuple(np.asarray(x) for x in jax.tree.leaves(self.observation_space.example()))

    # The protocol

    def reset(self, key: Key, problem: Array, instruction: Any) -> tuple[HostState, TimeStep]:
        kept = specs.instruction(self).kept(instruction)  # type: ignore[arg-type]
        state = HostState(
            jnp.asarray(problem, jnp.int32),
            kept,
            jax.random.randint(key, (), 0, 2**31 - 1),
            jnp.zeros(self.horizon, jnp.int16),
            jnp.zeros((), jnp.int32),
            jnp.full((), -1, jnp.int32),
        )
        ticket, shown = self._call(state)
        return state._replace(ticket=ticket), shown

    def step(self, state: HostState, action: Array) -> tuple[HostState, TimeStep]:
        place = jnp.minimum(state.step, self.horizon - 1)
        state = state._replace(
            actions=state.actions.at[place].set(action.astype(jnp.int16)), step=state.step + 1
        )
        ticket, shown = self._call(state)
        return state._replace(ticket=ticket), shown

    def render_text(self, state: HostState) -> str:
        return f"problem {int(state.problem)}, step {int(state.step)}"

    def render_image(self, state: HostState) -> np.ndarray:
        """[H, W, 3] uint8: what the world's `render` gives; else its picture, or text."""
        from dream_jax.envs.adapters.own import picture_of

        world = self.make(int(state.problem), jax.tree.map(np.asarray, state.instruction))
        is_gymnasium = hasattr(world, "render_mode")
        world.reset(**({"seed": int(state.seed)} if is_gymnasium else {}))
        for action in np.asarray(state.actions)[: int(state.step)].tolist():
            world.step(action)
        image: Any = np.asarray(world.render() if hasattr(world, "render") else 0)
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            return image
        return picture_of(self.render_text(state))

    def _call(self, state: HostState) -> tuple[Array, TimeStep]:
        """The ticket and the time step after the newest action of a state."""
        space = self.observation_space
        shapes = (
            jax.ShapeDtypeStruct((), jnp.int32),
            tuple(jax.ShapeDtypeStruct(part.shape, part.dtype) for part in space.parts),
            jax.ShapeDtypeStruct((), jnp.float32),
            jax.ShapeDtypeStruct((3,), jnp.bool_),
        )
        ticket, leaves, reward, flags = jax.pure_callback(
            self._on_host, shapes, state, vmap_method="broadcast_all"
        )
        observation = jax.tree.unflatten(space.tree, leaves)
        return ticket, TimeStep(observation, reward, flags[0], flags[1], flags[2])

    def _on_host(self, state: HostState) -> Any:
        """The same of a batch: leaves [..., each]."""
        state = jax.tree.map(np.asarray, state)
        batch: tuple[int, ...] = np.shape(state.step)
        count = math.prod(batch)
        flat = jax.tree.map(lambda x: x.reshape((count, *x.shape[len(batch) :])), state)
        steps, tickets = flat.step.tolist(), flat.ticket.tolist()
        new = iter(self.pool.new_tickets(count))
        requests = [
            Request(
                tickets[i] if tickets[i] >= 0 else next(new),
                int(flat.problem[i]),
                jax.tree.map(lambda x, i=i: x[i], flat.instruction),
                int(flat.seed[i]),
                tuple(flat.actions[i, : steps[i]].tolist()),
                replay=False,
            )
            for i in range(count)
        ]
        outcomes = self.pool.take(requests)

        def joined(parts: list[Any], dtype: Any) -> np.ndarray:
            array = np.array(parts, dtype)
            return array.reshape((*batch, *array.shape[1:]))

        space = self.observation_space
        return (
            joined([request.ticket for request in requests], np.int32),
            tuple(
                joined([outcome.observation[k] for outcome in outcomes], part.dtype)
                for k, part in enumerate(space.parts)
            ),
            joined([outcome.reward for outcome in outcomes], np.float32),
            joined([(o.terminated, o.truncated, o.goal) for o in outcomes], bool),
        )

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "_pool"}

    def __setstate__(self, values: dict[str, Any]) -> None:
        vars(self).update(values, _pool=None)


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
