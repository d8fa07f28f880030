"""RL2 and DREAM as tabular epsilon-greedy Q-learners (Liu et al. 2021, Section 5.2, Figure 3).

Both choose exploration actions with Q_exp(history, a), then an arm with Q_task(context, arm). Both
learn both tables by Q-learning. They differ in two things only:

             context of the arms               target of Q_exp for the last action
  RL2        tau, what exploration showed      max over arms of Q_task(tau, arm)
  DREAM      the problem id mu, in training    log q(mu | tau), where q counts pairs (tau, mu)

At meta-test DREAM exploits with an id drawn from q(. | tau) instead of the true one.

All functions are of ONE seed; callers `vmap`. Rows of the tables are those of `bandit.problem`.

  H  exploration steps;  A  actions;  M = A  problems
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from dream_jax.bandit import problem as envs
from dream_jax.bandit.problem import Bandit, Sizes
from dream_jax.types import Array, Key


class Options(NamedTuple):
    """Settings of the learners, each [] or a float. They may differ between seeds."""

    epsilon: Array | float = 0.1  # of exploration and exploitation actions
    step_size: Array | float = 0.0  # of both tables; 0 means 1 / visits, the average of all samples
    initial_exploration_q: Array | float = 0.0
    initial_exploitation_q: Array | float = 0.0


class State(NamedTuple):
    """The tables of a learner, and its progress."""

    exploration_q: Array  # [prefixes, A] float32
    exploration_visits: Array  # [prefixes, A] int32
    exploitation_q: Array  # [contexts, arms] float32
    exploitation_visits: Array  # [contexts, arms] int32
    seen: Array  # [trajectories, M] int32, trials that showed tau in problem mu; [0, 0] for RL2
    trials: Array  # [] int32, trials so far
    # [] int32, the last trial after which greedy exploration was not optimal, or only by a tie.
    last_wrong: Array


class Method(NamedTuple):
    """The differences between RL2 and DREAM, as functions."""

    contexts: Callable[[Sizes], int]  # number of rows of Q_task
    has_decoder: bool  # whether it counts pairs (tau, mu)
    context: Callable[[Array, Array], Array]  # (mu, tau) -> row of Q_task in training
    target: Callable[[Bandit, State, Array, Array], Array]  # (.., mu, tau) -> target of Q_exp
    success: Callable[[Bandit, State, Array], Array]  # (.., tau) -> [arms] p(arm) at meta-test
    # A -> what Q_exp converges to for an action that reveals nothing, and for one that reveals mu
    uninformed: Callable[[Array | float], Array | float]
    informed: float


# Levels of a table's first values between "nothing is revealed" (0) and "mu is revealed" (1). A
# pessimistic start is as far below the first as an optimistic one is above it.
LEVELS = {"pessimistic": -1.0, "neutral": 0.0, "optimistic": 1.0}


class Snapshot(NamedTuple):
    """The quantities of Figure 3 after some trials."""

    trials: Array  # [] int32
    star_q: Array  # [] float32, Q_exp of the optimal first action
    other_q: Array  # [] float32, the highest Q_exp of another first action
    # [] float32, max of Q_task in the context that optimal exploration leads to, mean over problems
    star_value: Array
    expected_return: Array  # [] float32, of both greedy policies, mean over problems


def init(method: Method, sizes: Sizes, options: Options) -> State:
    """The tables before the first trial."""
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


def starting_from(
    method: Method,
    options: Options,
    actions: Array | float,
    exploration: Array | float,
    exploitation: Array | float,
) -> Options:
    """`options` with the first values of both tables at a level, see `LEVELS`.

    Q_exp lies between 1 / A and 1 for RL2, and between -log A and 0 for DREAM. So the same number
    is optimistic for one and pessimistic for the other. The same level is not. Q_task of a random
    arm is 1 / A, and of the right one 1, for both.

    Args:
      method: `RL2` or `DREAM`.
      options: the other settings.
      actions: [...] A.
      exploration: [...] the level of Q_exp.
      exploitation: [...] the level of Q_task.
    """
    low = method.uninformed(actions)
    return options._replace(
        initial_exploration_q=low + exploration * (method.informed - low),
        initial_exploitation_q=1 / actions + exploitation * (1 - 1 / actions),
    )


def trial(
    method: Method, sizes: Sizes, bandit: Bandit, options: Options, key: Key, state: State
) -> State:
    """Explores a new random problem, exploits it, learns from both.

    Args:
      method: `RL2` or `DREAM`.
      sizes: of the tables.
      bandit: the problem family.
      options: settings of the learner.
      key: of the seed, the same in every trial; the trial's number is folded in.
      state: the tables.
    """
    draws = _draws(sizes, key, state)
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
    # From the last action to the first, so that the target reaches all of them in one trial.
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


def problem_of(sizes: Sizes, bandit: Bandit, key: Key, state: State) -> Array:
    """[] int32: the problem that the next trial will draw."""
    return _below(_draws(sizes, key, state)[0], bandit.num_actions)


def run(
    method: Method,
    sizes: Sizes,
    bandit: Bandit,
    options: Options,
    key: Key,
    state: State,
    trials: int,
) -> State:
    """Runs `trials` more trials; see `trial` for the arguments."""

    def step(_, state):
        return trial(method, sizes, bandit, options, key, state)

    return jax.lax.fori_loop(0, trials, step, state)


def explores_optimally(sizes: Sizes, bandit: Bandit, state: State) -> Array:
    """[] bool: at every step of optimal exploration, the optimal action alone has the highest
    Q_exp."""
    columns = jnp.arange(sizes.max_actions)
    others = (columns < bandit.num_actions) & (columns != bandit.star)
    good = jnp.array(True)
    for step in range(sizes.horizon):
        q = state.exploration_q[envs.prefix_row(sizes, (bandit.star,) * step)]
        good &= q[bandit.star] > jnp.max(q, where=others, initial=-jnp.inf)
    return good


def snapshot(method: Method, sizes: Sizes, bandit: Bandit, state: State) -> Snapshot:
    """Evaluates the greedy policies.

    Ties between exploration actions go to the first one. Ties between arms are broken at random.
    """
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
    """[] int32: epsilon-greedy over the first `count` [] entries of q [n], ties broken at random.

    `draws` [2] are uniform in [0, 1). The first decides whether to act at random, the second which
    action to take.
    """
    valid = jnp.arange(len(q)) < count
    best = q == jnp.max(q, where=valid, initial=-jnp.inf)
    allowed = valid & (best | (draws[0] < epsilon))
    # A cumulative sum as a matrix product, which is several times faster on a CPU.
    rank = allowed.astype(jnp.float32) @ jnp.triu(jnp.ones((len(q), len(q))))
    return jnp.argmax(rank > _below(draws[1], rank[-1].astype(jnp.int32))).astype(jnp.int32)


def _draws(sizes: Sizes, key: Key, state: State) -> Array:
    """[2 H + 3] uniform in [0, 1): of the problem, and two for each action of the next trial."""
    return jax.random.uniform(jax.random.fold_in(key, state.trials), (2 * sizes.horizon + 3,))


def _below(draw: Array, count: Array) -> Array:
    """[] int32 in 0 .. count - 1, from a draw [] in [0, 1)."""
    return jnp.minimum((draw * count).astype(jnp.int32), count - 1)


def _regress(
    q: Array, visits: Array, at: tuple[Array, Array], target: Array, step_size: Array | float
) -> tuple[Array, Array]:
    """The table with the entry `at` moved towards a target [], and its visits counted."""
    visits = visits.at[at].add(1)
    rate = jnp.where(jnp.asarray(step_size) > 0, step_size, 1 / visits[at])
    return q.at[at].add(rate * (target - q[at])), visits


def _greedy(q: Array, bandit: Bandit) -> Array:
    """[..., arms] float32: p(arm) of the greedy policy for q [..., arms], ties broken at random."""
    valid = jnp.arange(q.shape[-1]) < bandit.num_arms
    best = valid & (q == jnp.max(q, axis=-1, keepdims=True, where=valid, initial=-jnp.inf))
    return best / best.sum(axis=-1, keepdims=True)


def _rl2_success(bandit: Bandit, state: State, tau: Array) -> Array:
    """[arms] p(arm) of the greedy policy that sees tau []."""
    return _greedy(state.exploitation_q[tau], bandit)


def _dream_success(bandit: Bandit, state: State, tau: Array) -> Array:
    """[arms] p(arm) of the greedy policy that sees a problem id drawn from q(. | tau).

    q is uniform if tau [] was never seen.
    """
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
    uninformed=lambda actions: 1 / actions,
    informed=1.0,
)
DREAM = Method(
    contexts=lambda sizes: sizes.max_actions,
    has_decoder=True,
    context=lambda problem, tau: problem,
    target=lambda bandit, state, problem, tau: jnp.log(
        state.seen[tau, problem] / state.seen[tau].sum()
    ),
    success=_dream_success,
    uninformed=lambda actions: -jnp.log(actions),
    informed=0.0,
)
METHODS = {"rl2": RL2, "dream": DREAM}
