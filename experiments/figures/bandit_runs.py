"""Runs the bandit's learners on many seeds and numbers of actions at once, in one program."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.bandit import learners as agents
from dream_jax.bandit.problem import Bandit, Sizes
from dream_jax.viz.statistics import power_law

FIRST_CHUNK_TRIALS = 512
CALL_TRIALS = 2_048


class Case(NamedTuple):
    """A problem size and the settings of a learner."""

    actions: int  # A
    options: agents.Options  # of floats


def trials_needed(
    config: Any, method: str, horizon: int, counts: Sequence[int], seeds: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """The trials that a method needs until exploration is optimal; see `trials_of_cases`.

    Args:
      config: a `BanditConfig`.
      method: a name in `dream_jax.bandit.learners.METHODS`.
      horizon: exploration steps, H.
      counts: numbers of actions, A.
      seeds: the result of a seed does not depend on the other seeds and counts.

    Yields:
      (A, [seeds] trials) as soon as all seeds of A have settled. NaN where `max_trials` is too few.
    """
    cases = [Case(actions, _options(config)) for actions in counts]
    for i, trials in trials_of_cases(config, method, horizon, cases, seeds):
        yield counts[i], trials


def trials_of_cases(
    config: Any, method: str, horizon: int, cases: Sequence[Case], seeds: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    """The trials until exploration is optimal, of many cases in one program.

    Exploration is optimal when Q_exp of a* is the unique maximum at every step. It must then stay
    so for as many trials again. A seed draws the same random numbers in every case of the same A.

    Yields:
      (index of a case, [seeds] trials) as soon as all seeds of the case have settled. NaN where
      `max_trials` is too few.
    """
    if not cases:
        return
    case_of = np.repeat(np.arange(len(cases)), len(seeds))
    counts = np.array([case.actions for case in cases], np.int32)[case_of]
    chosen = jax.tree.map(
        lambda *x: jnp.asarray(np.array(x, np.float32)[case_of]), *[c.options for c in cases]
    )
    sizes, bandit, state, keys = _start(config, method, horizon, counts, seeds, chosen)

    def more(bandit, options, keys, state, trials):
        return agents.run(agents.METHODS[method], sizes, bandit, options, keys, state, trials)

    # The number of trials is traced, so only another number of rows compiles again.
    advance = jax.jit(jax.vmap(more, (0, 0, 0, 0, None)), donate_argnums=3)
    found: set[int] = set()
    done = 0
    while len(case_of):
        total = min(max(FIRST_CHUNK_TRIALS, 2 * done), config.max_trials)
        while done < total:  # in calls of about a second, so that Ctrl-C is answered
            call = min(CALL_TRIALS, total - done)
            state = jax.block_until_ready(advance(bandit, chosen, keys, state, call))
            done += call
        first_right = np.asarray(state.last_wrong) + 1.0
        settled = 2 * first_right <= done
        for case in map(int, np.unique(case_of)):
            mine = case_of == case
            if case not in found and (settled[mine].all() or done == config.max_trials):
                found.add(case)
                yield case, np.where(settled[mine], first_right[mine], np.nan)
        keep = np.flatnonzero(~np.isin(case_of, list(found)))
        if 2 * len(keep) <= len(case_of):  # so much less work is worth compiling again
            case_of = case_of[keep]
            bandit, chosen, state, keys = jax.tree.map(
                lambda leaf, keep=keep: leaf[keep], (bandit, chosen, state, keys)
            )


def curves(config: Any, method: str, seeds: Sequence[int]) -> agents.Snapshot:
    """The curves of Figure 3, with `curve_actions` actions and one exploration step.

    Returns:
      A `Snapshot` with leaves [records, seeds].
    """
    rows = np.full(len(seeds), config.curve_actions, np.int32)
    learner, options = agents.METHODS[method], _options(config)
    chosen = jax.tree.map(lambda x: jnp.full(len(seeds), x, jnp.float32), options)
    sizes, bandit, state, keys = _start(config, method, 1, rows, seeds, chosen)

    def of_seed(bandit, key, state):
        def record(state, _):
            seen = agents.snapshot(learner, sizes, bandit, state)
            period = config.curve_period_trials
            return agents.run(learner, sizes, bandit, options, key, state, period), seen

        records = 1 + config.curve_trials // config.curve_period_trials
        return jax.lax.scan(record, state, length=records)[1]

    return jax.device_get(jax.jit(jax.vmap(of_seed, out_axes=1))(bandit, keys, state))


def fits(config: Any, complexity: Mapping[Any, np.ndarray]) -> dict[str, Any]:
    """The table and the fitted exponents for summary.json, from [seeds] trials per setting."""
    table = [
        {
            **setting._asdict(),
            "mean_trials": None if np.isnan(values).any() else values.mean(),
            "median_trials": None if np.isnan(values).any() else np.median(values),
            "seeds_not_settled": int(np.isnan(values).sum()),
        }
        for setting, values in complexity.items()
    ]
    few, horizons = sorted(config.horizon_action_counts), sorted(config.horizons)
    exponents = []
    for method in sorted({setting.method for setting in complexity}):
        mine = {(s.actions, s.horizon): complexity[s] for s in complexity if s.method == method}
        points = [(actions, mine[actions, 1]) for actions in sorted(config.action_counts)]
        exponents.append(fit(method, "A^x, H=1", points))
        for horizon in horizons:
            points = [(actions, mine[actions, horizon]) for actions in few]
            exponents.append(fit(method, f"A^x, H={horizon}, few actions", points))
        for actions in few:
            # The size is the number of sequences of actions.
            points = [(actions**horizon, mine[actions, horizon]) for horizon in horizons]
            exponents.append(fit(method, f"(A^H)^x, A={actions}", points))
    return {"complexity": table, "exponents": exponents}


def fit(method: str, law: str, points: Sequence[tuple[int, np.ndarray]]) -> dict[str, Any]:
    """One row of the exponents, from the points (size, [seeds]) at which every seed settled."""
    kept = [(size, values) for size, values in points if not np.isnan(values).any()]
    row: dict[str, Any] = {"method": method, "law": law, "sizes": [size for size, _ in kept]}
    if len(kept) < 2:
        return row | {"exponent": None, "ci95": None}
    exponent, low, high = power_law(row["sizes"], [values.tolist() for _, values in kept])
    return row | {"exponent": exponent, "ci95": [low, high]}


def _options(config: Any) -> agents.Options:
    return agents.Options(
        config.epsilon,
        config.step_size,
        config.initial_exploration_q,
        config.initial_exploitation_q,
    )


def _start(
    config: Any,
    method: str,
    horizon: int,
    counts: np.ndarray,
    seeds: Sequence[int],
    options: agents.Options,
) -> tuple[Sizes, Bandit, agents.State, jax.Array]:
    """Tables and keys, one row for each case and seed; `counts` and `options` [rows]."""
    arms = counts**horizon if config.exploitation == "sequence" else counts
    sizes = Sizes(int(counts.max()), horizon, int(arms.max()))
    bandit = Bandit(jnp.asarray(counts), jnp.asarray(arms))
    state = jax.vmap(lambda chosen: agents.init(agents.METHODS[method], sizes, chosen))(options)
    numbers = np.tile(np.array(seeds), len(counts) // len(seeds))
    keys = jax.vmap(lambda n, a: jax.random.fold_in(jax.random.key(n), a))(numbers, counts)
    return sizes, bandit, state, keys
