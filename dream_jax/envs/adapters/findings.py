"""Everything about a family that can be found out without training: verdicts and remedies.

`check.quick` stops at the first mistake. This module goes on and asks more: are the functions pure,
do problems differ, does the first observation give the problem away?
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax import problems, specs
from dream_jax.envs.adapters import check
from dream_jax.envs.adapters.check import Walk
from dream_jax.types import Env, is_key, is_pixel_env

PROBLEMS = 64  # that are compared
_SAME_ACTIONS = 32  # random action sequences that every problem is given


class Finding(NamedTuple):
    """One question about a family."""

    what: str
    verdict: Literal["good", "warning", "bad"]
    text: str  # one line
    remedy: str = ""  # "" where nothing need be done


def of_family(env: Env, steps: int = check.STEPS) -> Iterator[Finding]:
    """Findings, one after the other. Later ones are left out if tracing or stepping fails."""
    bad = check.shape_mistakes(env)
    if bad:
        yield Finding("shapes", "bad", bad[0], "make `reset`, `step` and the specs agree")
        return
    for mistake in check.process_mistakes(env):
        yield Finding("processes", "bad", mistake, "use functions and classes of a module")
        return
    yield Finding("shapes", "good", "reset, step and instructions agree with their specs")
    try:
        walk = check.random_walk(env, steps)
    except Exception as error:  # the user's functions may raise anything
        yield Finding("random steps", "bad", f"{type(error).__name__}: {error}", "run one by hand")
        return
    taken = int(walk.alive[:, 1:].sum())
    for mistake in check.mistakes_of(env, walk):
        remedy = "correct the environment, or widen its spec"
        yield Finding("values", "bad", mistake, remedy)
    yield Finding("random steps", "good", f"{taken:,} steps in {len(walk.problem)} episodes")
    for mistake in check.picture_mistakes(env):
        yield Finding("rendering", "bad", mistake, "correct it, or leave the method out")
    yield from _purity(env)
    yield _endings(env, walk)
    yield _rewards(walk)
    yield from _differences(env)
    yield _splits(env)


def _purity(env: Env) -> Iterator[Finding]:
    key, problem = jax.random.key(7), jnp.int32(problems.first(env, "train"))
    instruction = specs.instruction(env).kept(env.sample_instruction(key, problem))
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    first = _plain(reset(key, problem, instruction))
    if not _equal(first, _plain(reset(key, problem, instruction))):
        yield Finding(
            "reset",
            "bad",
            "two resets with the same key differ",
            "draw all that is random from key",
        )
    state, action = reset(key, problem, instruction)[0], jnp.int32(env.num_actions - 1)
    once, again = _plain(step(state, action)), _plain(step(state, action))
    if not _equal(once, again):
        text = "the same state and action twice give different results"
        yield Finding("step", "bad", text, "keep a key in the state, and nothing outside it")
        return
    if not getattr(env, "runs_on_host", False):
        with jax.disable_jit():
            plain = _plain(env.step(state, action))
        if not _equal(once, plain, tolerance=1e-4):
            text = "step gives different results compiled and not compiled"
            yield Finding("step", "bad", text, "it changes something outside its state")
            return
    yield Finding("purity", "good", "the same inputs give the same results, compiled or not")


def _endings(env: Env, walk: Walk) -> Finding:
    ends = walk.alive[:, 1:]
    terminated = (np.asarray(walk.shown.terminated)[:, 1:] & ends).any(axis=1).mean()
    steps = ends.sum(axis=1).mean()
    text = f"random episodes take {steps:.1f} of {env.horizon} steps; {terminated:.0%} terminate"
    if steps < 2 and env.horizon > 3:
        remedy = "keep random actions from ending episodes: acting.excluded_random_actions"
        return Finding("episodes", "warning", text, remedy)
    return Finding("episodes", "good", text)


def _rewards(walk: Walk) -> Finding:
    rewards = np.where(walk.alive, walk.shown.reward, 0.0)[:, 1:]
    if not rewards.any():
        remedy = "reward more often, shorten the horizon, or see docs/own_problem.md"
        return Finding("rewards", "warning", "random episodes never earn anything", remedy)
    low, high = float(rewards.min()), float(rewards.max())
    text = f"from {low:g} to {high:g} a step"
    if max(abs(low), abs(high)) > 100:
        return Finding("rewards", "warning", text, "scale them to about 1: losses are not scaled")
    return Finding("rewards", "good", text)


def _differences(env: Env) -> Iterator[Finding]:
    """The same keys, instruction and actions in many problems: what differs, and when?"""
    ids = problems.some(env, "train", PROBLEMS)
    if len(ids) < 2:
        yield Finding("problems", "warning", "there is one training problem", "nothing is explored")
        return
    space = specs.instruction(env)
    key = jax.random.key(11)
    instruction = space.kept(env.sample_instruction(key, jnp.int32(ids[0])))
    actions = jax.random.randint(key, (_SAME_ACTIONS, env.horizon), 0, env.num_actions)

    def play(problem: Any, actions: Any) -> Any:
        state, first = env.reset(key, problem, instruction)
        _, rest = jax.lax.scan(env.step, state, actions)

        def seen(shown: Any) -> Any:
            return () if is_pixel_env(env) else shown.observation

        return seen(first), (seen(rest), rest.reward, rest.terminated)

    over_actions = jax.vmap(play, in_axes=(None, 0))
    first, rest = jax.jit(jax.vmap(over_actions, in_axes=(0, None)))(jnp.asarray(ids), actions)
    kinds_at_first = len(np.unique(_rows(first, len(ids)), axis=0)) if jax.tree.leaves(first) else 1
    kinds = len(np.unique(_rows(rest, len(ids)), axis=0))
    if kinds == 1:
        text = f"{len(ids)} problems look the same in {_SAME_ACTIONS} random episodes"
        remedy = "use `problem` in reset or step; or what differs is hard to find by chance"
        yield Finding("problems", "bad", text, remedy)
    elif kinds_at_first == len(ids):
        text = "the first observation tells all problems apart"
        yield Finding("leak", "warning", text, "then nothing needs exploring: hide the id")
    else:
        text = f"{kinds} of {len(ids)} problems show differences in {_SAME_ACTIONS} random episodes"
        yield Finding("problems", "good", text)


def _splits(env: Env) -> Finding:
    if not problems.is_listed(env):
        train, test = (set(problems.some(env, s, 4_096).tolist()) for s in ("train", "test"))
        both = len(train & test)
        text = f"{both} of {len(test):,} drawn test problems were drawn for training too"
        remedy = "draw the splits from different ids, for example even and odd ones"
        return Finding("splits", "warning" if both else "good", text, remedy if both else "")
    train, test = (set(map(int, env.problem_ids(s))) for s in ("train", "test"))
    text = f"{len(train):,} training and {len(test):,} test problems"
    if train == test:
        return Finding("splits", "warning", f"{text}, the same", "hold some out")
    return Finding("splits", "good", f"{text}, none in both")


def _plain(tree: Any) -> list[np.ndarray]:
    leaves = jax.tree.leaves(tree)
    return [np.asarray(jax.random.key_data(x) if is_key(jnp.asarray(x)) else x) for x in leaves]


def _equal(a: list[np.ndarray], b: list[np.ndarray], tolerance: float = 0.0) -> bool:
    return all(np.allclose(x, y, rtol=tolerance, atol=tolerance) for x, y in zip(a, b, strict=True))


def _rows(tree: Any, count: int) -> np.ndarray:
    """[count, entries] of arrays [count, ...]."""
    leaves = [np.asarray(x, np.float64).reshape(count, -1) for x in jax.tree.leaves(tree)]
    return np.concatenate(leaves, axis=1)
