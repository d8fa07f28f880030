"""What each method changes in a benchmark's settings, as functions from config to config."""

from collections.abc import Callable
from dataclasses import replace

from dream_jax.config import Config


def dream(config: Config) -> Config:
    """DREAM, and `dream_paper`, which differs in the benchmark's settings (paper.py)."""
    return config


def dream_no_bottleneck(config: Config) -> Config:
    """DREAM with lambda = 0. Weight decay on the encoder would be a bottleneck by another name."""
    return replace(
        config,
        losses=replace(config.losses, bottleneck_weight=0.0),
        optimizer=replace(config.optimizer, decay_encoder=False),
    )


def dream_one_head(config: Config) -> Config:
    """DREAM with the paper's decoder: one head, and encodings that start at the usual scale.

    It has no weight decay on the encoder, so that Eq. 2 alone is its bottleneck.
    """
    return replace(
        config,
        losses=replace(config.losses, decoder_folds=1),
        networks=replace(config.networks, encoder_init_scale=1.0),
        optimizer=replace(config.optimizer, decay_encoder=False),
    )


def dream_one_head_no_bottleneck(config: Config) -> Config:
    """`dream_one_head` with lambda = 0, as the paper tests it."""
    return dream_no_bottleneck(dream_one_head(config))


def dream_with_rewards(config: Config) -> Config:
    """DREAM whose exploration policy and decoder see rewards."""
    return replace(config, trial=replace(config.trial, rewards_in_exploration=True))


def dream_dynamics(config: Config) -> Config:
    """Exploration is paid for predicting the whole problem id.

    A head for each fold tells ids apart no better than one head, so there is one.
    """
    return replace(config, agent="dream_dynamics", losses=replace(config.losses, decoder_folds=1))


def dream_next_states(config: Config) -> Config:
    """Exploration is paid for predicting next states. The prediction has one head."""
    return replace(
        config, agent="dream_next_states", losses=replace(config.losses, decoder_folds=1)
    )


def dream_half_coupled(config: Config) -> Config:
    """Exploration is paid what exploitation is then worth. The encoder still teaches exploitation.

    TD errors must train the decoder for that, so it cannot have folds.
    """
    return replace(
        config,
        agent="dream_half_coupled",
        losses=replace(config.losses, decoder_folds=1, td_reaches_decoder=True),
    )


def dream_end_to_end(config: Config) -> Config:
    """`dream_half_coupled` without the encoder: exploitation learns from explorations alone.

    Its decoder starts at the usual scale. With DREAM's small start all explorations would look
    alike to exploitation at first.
    """
    return replace(
        dream_half_coupled(config),
        agent="dream_end_to_end",
        networks=replace(config.networks, encoder_init_scale=1.0),
    )


def e_rl2(config: Config) -> Config:
    """E-RL2, which sees the rewards of exploration, as published, but is not trained on them.

    Its output layer starts at the usual scale. With the small start of DREAM's encoder and decoder
    it would be a policy without memory at first.
    """
    return replace(
        dream_with_rewards(config),
        agent="e_rl2",
        networks=replace(config.networks, encoder_init_scale=1.0),
    )


def rl2(config: Config) -> Config:
    """RL^2: the return of exploration counts, so the instruction that it pays for is shown."""
    base = e_rl2(config)
    return replace(
        base,
        trial=replace(base.trial, instruction_in_exploration=True),
        end_to_end=replace(base.end_to_end, exploration_return=True),
    )


def import_(config: Config) -> Config:
    """IMPORT, which sees the rewards of exploration, as published."""
    return replace(dream_with_rewards(config), agent="import")


def varibad(config: Config) -> Config:
    """VariBAD, which sees the rewards of exploration, as published."""
    return replace(dream_with_rewards(config), agent="varibad")


def told(config: Config) -> Config:
    """A trained line above: DREAM that is told the problem, also at meta-test."""
    return replace(config, agent="told")


def never_explores(config: Config) -> Config:
    """A trained line below: DREAM that exploits without knowing anything of the problem."""
    return replace(config, agent="never_explores")


def pearl(config: Config) -> Config:
    """PEARL, which sees instruction and rewards of exploration, as published.

    Its posterior starts at the usual scale, or exploitation could not tell explorations apart.
    """
    base = dream_with_rewards(config)
    return replace(
        base,
        agent="pearl",
        trial=replace(base.trial, instruction_in_exploration=True),
        networks=replace(config.networks, encoder_init_scale=1.0),
    )


def random_exploration(config: Config) -> Config:
    """DREAM that explores at random: only exploitation, encoder and decoder learn."""
    return replace(config, acting=replace(config.acting, random_exploration=True))


def optimal(config: Config) -> Config:
    """Computed, not trained: the optimal return of an agent that knows the problem."""
    return replace(config, agent="optimal")


def no_exploration(config: Config) -> Config:
    """Computed, not trained: the Bayes-optimal return without exploration."""
    return replace(config, agent="no_exploration")


def pearl_ub(config: Config) -> Config:
    """Computed, not trained: Thompson sampling with the true posterior."""
    return replace(config, agent="pearl_ub")


# By the preset's name, in the order in which help and messages list them.
METHODS: dict[str, Callable[[Config], Config]] = {
    "dream": dream,
    "dream_paper": dream,
    "dream_no_bottleneck": dream_no_bottleneck,
    "dream_one_head": dream_one_head,
    "dream_one_head_no_bottleneck": dream_one_head_no_bottleneck,
    "dream_dynamics": dream_dynamics,
    "dream_next_states": dream_next_states,
    "dream_half_coupled": dream_half_coupled,
    "dream_end_to_end": dream_end_to_end,
    "dream_with_rewards": dream_with_rewards,
    "e_rl2": e_rl2,
    "rl2": rl2,
    "import": import_,
    "varibad": varibad,
    "pearl": pearl,
    "random_exploration": random_exploration,
    "told": told,
    "never_explores": never_explores,
    "optimal": optimal,
    "no_exploration": no_exploration,
    "pearl_ub": pearl_ub,
}
