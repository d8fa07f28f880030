"""A policy trained in JAX's sign world, played in the real Miniworld without further training."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from dream_jax.agents.dream_policy import DreamPolicy
from dream_jax.config import ConfigError
from dream_jax.drawing.view import view_of
from dream_jax.envs.sign3d import miniworld_adapter, sign_view
from dream_jax.runs.load import LoadedRun
from dream_jax.runs.trial_record import NO_INSTRUCTION
from dream_jax.training import evaluation as evaluate
from dream_jax.training import host_player as play
from dream_jax.viz import film, statistics

FILMED_TRIALS = 3  # of each seed: one of each colour


def run(loaded: LoadedRun, trials: int, out: Path | None, kind: str = "gif") -> dict[str, Any]:
    """Play trials that use every (colour, shape) equally often, the same ones for every seed.

    Writes films of some of them to `out`, as `kind`: "gif" or "mp4". Raises ConfigError if
    Miniworld cannot be used.
    """
    config, env, agent = loaded.config, loaded.env, loaded.agent
    if not isinstance(agent, DreamPolicy):
        raise ConfigError(f"agent={config.agent!r} cannot be played in Miniworld yet; valid: dream")
    if config.benchmark != "sign":
        raise ConfigError(f"the run was trained on {config.benchmark}, Miniworld's is sign")
    try:
        world = miniworld_adapter.MiniworldSign(0, config.env.start_region, config.env.horizon)
    except miniworld_adapter.MiniworldUnavailable as error:
        raise ConfigError(str(error)) from error
    episodes, redraw = config.trial.exploitation_episodes, config.trial.redraw_instruction
    chosen = evaluate.trial_set(env, "test", trials, episodes, cover=True, redraw=redraw)
    # The hidden instructions of the exploration episodes.
    hidden = np.random.default_rng(0).integers(2, size=(len(chosen.problem), 1))
    returns = np.zeros((len(loaded.seeds), len(chosen.problem)))
    lengths = np.zeros_like(returns)
    for i, seed in enumerate(loaded.seeds):
        params = jax.tree.map(lambda x, i=i: x[i], loaded.params)
        player = play.Player(agent, params, watch=world.view)
        for n, (problem, instructions) in enumerate(zip(*chosen, strict=True)):
            key = jax.random.fold_in(jax.random.key(seed), n)
            played = player.trial(world, key, int(problem), instructions, hidden[n])
            returns[i, n] = np.mean([episode.reward.sum() for episode in played.exploitation])
            lengths[i, n] = len(played.exploration.action)
            if out is not None and n % 2 == 0 and n < 2 * FILMED_TRIALS:
                name = f"miniworld_problem{problem}_seed{seed}.{kind}"
                _save_film(out / name, played, instructions[0], view_of(env))
    world.close()
    means = returns.mean(axis=1)
    return {
        "trials": len(chosen.problem),
        "return_mean": float(means.mean()),
        "return_ci95": statistics.ci95(means.tolist()),
        "return_per_seed": means.tolist(),
        "exploration_length_per_seed": lengths.mean(axis=1).tolist(),
    }


def _save_film(path: Path, played: play.PlayedTrial, instruction: np.ndarray, view: Any) -> None:
    """Exploration with the information gain of each step, then the first exploitation episode."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frames = []

    def show(episode: play.Played, gain: np.ndarray | None) -> None:
        count = len(episode.action)
        for t in range(count + 1):
            scene, pose = episode.watched[t]
            way = [(float(p.position[0]), float(p.position[1])) for _, p in episode.watched[:t]]
            value = episode.reward[:t].sum() if gain is None else gain[t - 1] if t else 0.0
            frames.append(
                film.Frame(
                    sign_view.beside(episode.observation[t], scene, pose, way),
                    exploring=gain is not None,
                    goal=view.instruction(instruction) if gain is None else NO_INSTRUCTION,
                    action=view.action_names[int(episode.action[t - 1])] if t else "",
                    step=t,
                    left=count - t,
                    value_name="return" if gain is None else "gain",
                    value=float(value),
                )
            )

    show(played.exploration, np.asarray(played.gain))
    show(played.exploitation[0], None)
    film.save(path, frames, width=480)
