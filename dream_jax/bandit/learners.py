"""RL2 and DREAM as tabular epsilon-greedy Q-learners (Liu et al. 2021, Section 5.2, Figure 3).

Both choose exploration actions by Q_exp(history, a), then an arm by Q_task(context, arm), and learn
both tables by Q-learning. They differ in two things only:

             context of the arms          what Q_exp of the last action is regressed towards
  RL2        tau, what was seen           max over arms of Q_task(tau, arm)
  DREAM      the problem id mu (training) log q(mu | tau), q from counts of (tau, mu)

DREAM's exploitation, once trained, is given an id drawn from q(. | tau) instead of the true one.

Functions of ONE seed; callers `vmap`. Table rows are those of `envs.bandit`:
  H  exploration steps, A  actions, M = A  problems
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.bandit import problem as envs
from dream_jax.bandit.problem import Bandit, Sizes
from dream_jax.types import Array, Key


class Options(NamedTuple):
    """Numbers of the learners; every field may differ from seed to seed."""

    epsilon: Array | float = 0.1  # of exploration and exploitation actions alike
    step_size: Array | float = 0.0  # of both tables; 0: averages of all samples, 1 / visits
    initial_exploration_q: Array | float = 0.0
    initial_exploitation_q: Array | float = 0.0


class State(NamedTuple):
    exploration_q: Array  # [prefixes, A] float32
    exploration_visits: Array  # [prefixes, A] int32
    exploitation_q: Array  # [contexts, arms] float32
    exploitation_visits: Array  # [contexts, arms] int32
    seen: Array  # [trajectories, M] int32, trials in which tau was seen of mu; [0, 0] for RL2
    trials: Array  # [] int32, trials taken
    last_wrong: Array  # [] int32, last trial after which exploring greedily was not surely optimal


class Method(NamedTuple):
    contexts: Callable[[Sizes], int]
    has_decoder: bool
    context: Callable[[Array, Array], Array]  # (mu, tau) -> row of Q_task in training
    target: Callable[[Bandit, State, Array, Array], Array]  # of mu, tau: the worth of seeing tau
    success: Callable[[Bandit, State, Array], Array]  # of tau: [arms] p(arm) when greedy


class Snapshot(NamedTuple):
    """What Figure 3 shows, after some trials."""

    trials: Array  # [] int32
    star_q: Array  # [] Q_exp of the optimal first action
    other_q: Array  # [] the highest Q_exp of another first action
    star_value: Array  # [] mean over problems of max Q_task in the context of optimal exploration
    expected_return: Array  # [] of both greedy policies, mean over problems


def init(method: Method, sizes: Sizes, options: Options) -> State:
    explore = (sizes.prefixes, sizes.max_actions)
    exploit = (method.contexts(sizes), sizes.arms)
    seen = (sizes.trajectories, sizes.max_actions) if method.has_decoder else (0, 0)
    zero = jnp.zeros((), jnp.int32)
    return State(
        jnp.full(explore, options.initial_exploration_q, jnp.float32),
        jnp.zeros(explore, jnp.int32),
        jnp.full(exploit, options.initial_exploitation_q, jnp.float32),
        jnp.zeros(exploit, jnp.int32),
        jnp.zeros(seen, jnp.int32),
        zero,
        zero,
    )


def trial(
    method: Method, sizes: Sizes, bandit: Bandit, options: Options, key: Key, state: State
) -> State:
    """Explores a problem drawn anew, exploits it, learns from both.

    Args:
      method: RL2 or DREAM.
      sizes: of the tables.
      bandit: the problem family.
      options: of the learner.
      key: of the seed, the same in every trial.
      state: the tables.
    """
    draws = jax.random.uniform(jax.random.fold_in(key, state.trials), (2 * sizes.horizon + 3,))
    problem = _below(draws[0], bandit.num_actions)
    prefixes: list[Array] = []
    actions: tuple[Array, ...] = ()
    for step in range(sizes.horizon):
        prefixes.append(envs.prefix_row(sizes, actions))
        q = state.exploration_q[prefixes[-1]]
        pair = draws[1 + 2 * step : 3 + 2 * step]
        actions = (*actions, choose(q, bandit.num_actions, options.epsilon, pair))
    tau = envs.trajectory_row(sizes, bandit, problem, actions)
    context = method.context(problem, tau)
    arm = choose(state.exploitation_q[context], bandit.num_arms, options.epsilon, draws[-2:])

    q, visits = _regress(
        state.exploitation_q,
        state.exploitation_visits,
        (context, arm),
        envs.pays(problem, arm),
        options.step_size,
    )
    state = state._replace(exploitation_q=q, exploitation_visits=visits)
    if method.has_decoder:
        state = state._replace(seen=state.seen.at[tau, problem].add(1))
    # Newest knowledge first, so that what was learned at the end moves up in one trial.
    target = method.target(bandit, state, problem, tau)
    valid = jnp.arange(sizes.max_actions) < bandit.num_actions
    for prefix, action in reversed(list(zip(prefixes, actions, strict=True))):
        q, visits = _regress(
            state.exploration_q,
            state.exploration_visits,
            (prefix, action),
            target,
            options.step_size,
        )
        state = state._replace(exploration_q=q, exploration_visits=visits)
        target = jnp.max(q[prefix], where=valid, initial=-jnp.inf)
    trials = state.trials + 1
    wrong = ~explores_optimally(sizes, bandit, state)
    return state._replace(trials=trials, last_wrong=jnp.where(wrong, trials, state.last_wrong))


def run(
    method: Method,
    sizes: Sizes,
    bandit: Bandit,
    options: Options,
    key: Key,
    state: State,
    trials: int,
) -> State:
    """`trials` more trials."""

    def step(_, state):
        return trial(method, sizes, bandit, options, key, state)

    return jax.lax.fori_loop(0, trials, step, state)


def explores_optimally(sizes: Sizes, bandit: Bandit, state: State) -> Array:
    """[] bool: the optimal action has the highest Q_exp, not tied, at every step it leads to."""
    columns = jnp.arange(sizes.max_actions)
    others = (columns < bandit.num_actions) & (columns != bandit.star)
    good = jnp.array(True)
    for step in range(sizes.horizon):
        q = state.exploration_q[envs.prefix_row(sizes, (bandit.star,) * step)]
        good &= q[bandit.star] > jnp.max(q, where=others, initial=-jnp.inf)
    return good


def snapshot(method: Method, sizes: Sizes, bandit: Bandit, state: State) -> Snapshot:
    """Ties between exploration actions go to the first one, those between arms to chance."""
    columns = jnp.arange(sizes.max_actions)
    valid = columns < bandit.num_actions
    first = state.exploration_q[0]
    star = (bandit.star,) * sizes.horizon
    greedy: tuple[Array, ...] = ()
    for _ in range(sizes.horizon):
        q = state.exploration_q[envs.prefix_row(sizes, greedy)]
        greedy = (*greedy, jnp.argmax(jnp.where(valid, q, -jnp.inf)))

    def of_problem(problem):
        context = method.context(problem, envs.trajectory_row(sizes, bandit, problem, star))
        arms = jnp.arange(sizes.arms) < bandit.num_arms
        value = jnp.max(state.exploitation_q[context], where=arms, initial=-jnp.inf)
        tau = envs.trajectory_row(sizes, bandit, problem, greedy)
        return value, method.success(bandit, state, tau)[problem]

    value, success = jax.vmap(of_problem)(columns)
    return Snapshot(
        state.trials,
        first[bandit.star],
        jnp.max(first, where=valid & (columns != bandit.star), initial=-jnp.inf),
        jnp.mean(value, where=valid),
        jnp.mean(success, where=valid),
    )


def choose(q: Array, count: Array, epsilon: Array | float, draws: Array) -> Array:
    """[] int32, epsilon-greedy over the first `count` of q [n], ties broken by chance.

    `draws` [2] are uniform in [0, 1): the first decides whether to act at random.
    """
    valid = jnp.arange(len(q)) < count
    best = q == jnp.max(q, where=valid, initial=-jnp.inf)
    allowed = valid & (best | (draws[0] < epsilon))
    # Cumulative sum by matrix product: several times faster on a CPU.
    rank = allowed.astype(jnp.float32) @ jnp.triu(jnp.ones((len(q), len(q))))
    return jnp.argmax(rank > _below(draws[1], rank[-1].astype(jnp.int32))).astype(jnp.int32)


def _below(draw: Array, count: Array) -> Array:
    """[] int32 in 0 .. count - 1 from a draw in [0, 1)."""
    return jnp.minimum((draw * count).astype(jnp.int32), count - 1)


def _regress(
    q: Array, visits: Array, at: tuple[Array, Array], target: Array, step_size: Array | float
) -> tuple[Array, Array]:
    """One entry of a table moved towards a target."""
    visits = visits.at[at].add(1)
    rate = jnp.where(jnp.asarray(step_size) > 0, step_size, 1 / visits[at])
    return q.at[at].add(rate * (target - q[at])), visits


def _greedy(q: Array, bandit: Bandit) -> Array:
    """[..., arms] p(arm) of the greedy policy, ties broken by chance."""
    valid = jnp.arange(q.shape[-1]) < bandit.num_arms
    best = valid & (q == jnp.max(q, axis=-1, keepdims=True, where=valid, initial=-jnp.inf))
    return best / best.sum(axis=-1, keepdims=True)


def _rl2_success(bandit: Bandit, state: State, tau: Array) -> Array:
    return _greedy(state.exploitation_q[tau], bandit)


def _dream_success(bandit: Bandit, state: State, tau: Array) -> Array:
    """A z is drawn from q(. | tau), uniform if tau was never seen, and its arm is pulled."""
    problems = state.seen.shape[1]
    valid = jnp.arange(problems) < bandit.num_actions
    seen = jnp.where(state.seen[tau].sum() > 0, state.seen[tau], valid)
    return (seen / seen.sum()) @ _greedy(state.exploitation_q, bandit)


RL2 = Method(
    contexts=lambda sizes: sizes.trajectories,
    has_decoder=False,
    context=lambda problem, tau: tau,
    target=lambda bandit, state, problem, tau: jnp.max(
        state.exploitation_q[tau],
        where=jnp.arange(state.exploitation_q.shape[1]) < bandit.num_arms,
        initial=-jnp.inf,
    ),
    success=_rl2_success,
)
DREAM = Method(
    contexts=lambda sizes: sizes.max_actions,
    has_decoder=True,
    context=lambda problem, tau: problem,
    target=lambda bandit, state, problem, tau: jnp.log(
        state.seen[tau, problem] / state.seen[tau].sum()
    ),
    success=_dream_success,
)
METHODS = {"rl2": RL2, "dream": DREAM}
