"""Which of the decoder's heads a training problem belongs to."""

import numpy as np

from dream_jax.config import ConfigError
from dream_jax.types import Env


def problem_folds(env: Env, folds: int) -> np.ndarray:
    """[num_problems] the fold of each problem: training problems evenly, at random."""
    ids = env.problem_ids("train")
    if folds > len(ids):
        raise ConfigError(
            f"losses.decoder_folds={folds} is more than the {len(ids)} training problems"
        )
    fold = np.zeros(env.num_problems, np.int32)
    fold[np.random.default_rng(0).permutation(ids)] = np.arange(len(ids)) % folds
    return fold
