"""A process that steps environments which JAX cannot run, for `host_pool`.

It holds the running episodes by their tickets. Nothing here touches a device.
"""

import inspect
import signal
from typing import Any, NamedTuple

import dm_env
import jax
import numpy as np

from dream_jax.specs import Space

IDLE_WORLDS = 256  # kept for the next episode with the same problem and instruction


class Request(NamedTuple):
    """One step of one episode."""

    ticket: int
    problem: int
    instruction: Any  # numpy
    seed: int
    actions: tuple[int, ...]  # so far; empty: reset
    replay: bool  # take all actions anew, not only the last one


class Outcome(NamedTuple):
    """What the world showed, or why it did not."""

    observation: tuple[np.ndarray, ...]  # leaves, as replay keeps them
    reward: float
    terminated: bool
    truncated: bool
    goal: bool
    error: str = ""


class Worlds:
    """The running episodes of one process."""

    def __init__(self, family: Any):
        self._family, self._space = family, family.observation_space
        takes = inspect.signature(family.make).parameters
        self._seeded = len(takes) > 2  # make(problem, instruction, seed)
        self._running: dict[int, tuple[Any, Any]] = {}  # ticket -> (what it is of, world)
        self._idle: dict[Any, list[Any]] = {}

    def take(self, request: Request) -> Outcome:
        """Reset an episode, or take its newest action."""
        try:
            if request.actions and not request.replay:
                return self._step(request, request.actions[-1])
            outcome = self._reset(request)
            for action in request.actions:
                outcome = self._step(request, action)
            return outcome
        except Exception as error:  # the user's world may raise anything
            self.forget([request.ticket])
            text = " ".join(f"{type(error).__name__}: {error}".split())
            return Outcome((), 0.0, False, True, False, text[:300])

    def forget(self, tickets: list[int]) -> None:
        """Episodes that are over: their worlds wait for the next one of the same task."""
        for ticket in tickets:
            kind, world = self._running.pop(ticket, (None, None))
            if world is None or self._seeded:
                continue
            if sum(map(len, self._idle.values())) >= IDLE_WORLDS:
                self._idle.pop(next(iter(self._idle)))
            self._idle.setdefault(kind, []).append(world)

    def _reset(self, request: Request) -> Outcome:
        leaves = [np.asarray(x).tobytes() for x in jax.tree.leaves(request.instruction)]
        kind = request.problem, *leaves
        waiting = self._idle.get(kind)
        if waiting:
            world = waiting.pop()
        elif self._seeded:
            world = self._family.make(request.problem, request.instruction, request.seed)
        else:
            world = self._family.make(request.problem, request.instruction)
        self._running[request.ticket] = kind, world
        if isinstance(world, dm_env.Environment):
            return self._outcome(_of_dm_env(world.reset()))
        observation, information = world.reset(seed=request.seed)
        return self._outcome((observation, 0.0, False, False, information))

    def _step(self, request: Request, action: int) -> Outcome:
        _, world = self._running[request.ticket]
        result = world.step(action)
        return self._outcome(
            _of_dm_env(result) if isinstance(world, dm_env.Environment) else result
        )

    def _outcome(self, result: Any) -> Outcome:
        observation, reward, terminated, truncated, information = result
        leaves = as_kept(self._space, self._family.read(observation))
        reward = float(reward)
        if not np.isfinite(reward):
            raise ValueError(f"reward is {reward}")
        goal = bool(information.get("goal", False))
        return Outcome(leaves, reward, bool(terminated), bool(truncated), goal)


def as_kept(space: Space, value: Any) -> tuple[np.ndarray, ...]:
    """The leaves of an observation as replay keeps them. Raises ValueError if it breaks its
    spec."""
    leaves, tree = jax.tree.flatten(value)
    if tree != space.tree:
        raise ValueError(f"observation is {tree}, but its spec is {space.tree}")
    kept = []
    for part, leaf in zip(space.parts, leaves, strict=True):
        array = np.asarray(leaf)
        if array.shape != part.shape:
            raise ValueError(
                f"observation {part.name!r} has shape {list(array.shape)}; its spec says "
                f"{list(part.shape)}"
            )
        flat = array.ravel()
        wrong = ~np.isfinite(flat) if part.kind == "numbers" else np.zeros(flat.shape, bool)
        if part.low:
            wrong |= (flat < part.low) | (flat > part.high)
        if wrong.any():
            k = int(np.argmax(wrong))
            raise ValueError(f"observation {part.name!r} component {k} is {flat[k]}")
        kept.append(array.astype(part.dtype))
    return tuple(kept)


def serve(connection: Any, family: Any) -> None:
    """Answer lists of requests until the connection closes. The target of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    try:
        worlds = Worlds(family)
        connection.send("ready")
        while True:
            message = connection.recv()
            if message is None:
                return
            requests, over = message
            worlds.forget(over)
            connection.send([worlds.take(request) for request in requests])
    except (EOFError, BrokenPipeError):
        return


def _of_dm_env(step: dm_env.TimeStep) -> Any:
    last = bool(step.last())
    terminated = last and not step.discount
    reward = 0.0 if step.reward is None else step.reward
    return step.observation, reward, terminated, last and not terminated, {}
