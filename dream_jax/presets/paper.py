"""The authors' networks and hyperparameters, read from their code, for the preset `dream_paper`.

docs/fidelity.md lists what still differs from their code.
"""

from dataclasses import replace

from dream_jax.config import Config

_DEFAULT = Config()

CONFIG = replace(
    _DEFAULT,
    networks=replace(
        _DEFAULT.networks,
        embedding="mlp",
        hidden_size=64,
        head_size=256,
        exploration_memory="lstm",
        decoder_memory="lstm",
        exploitation_memory="lstm",
        decoder_memory_size=128,
        time_input=False,
        layer_norm=False,
        film=False,
        encoder_init_scale=1.0,
    ),
    losses=replace(
        _DEFAULT.losses,
        bottleneck="clipped",
        bottleneck_weight=1.0,
        bottleneck_clip=10.0,
        exploration_step_penalty=0.1,
        normalise_information_gain=False,
        td_reaches_decoder=True,
    ),
    td=replace(_DEFAULT.td, trace_lambda=0.0, target_update_period_updates=1_250),
    acting=replace(
        _DEFAULT.acting, epsilon="linear", epsilon_min=0.01, epsilon_decay_steps=250_000
    ),
    optimizer=replace(_DEFAULT.optimizer, learning_rate=1e-4, max_gradient_norm=10.0),
    replay=replace(
        _DEFAULT.replay,
        capacity_trials=16_000,
        batch_trials=32,
        warmup_trials_exploitation=500,
        warmup_trials_exploration=8_000,
    ),
    training=replace(
        _DEFAULT.training,
        trials=40_000,
        # Eight trials at a time for speed; one update of each learner per four of its own steps, as
        # the authors.
        trials_per_iteration=8,
        updates_per_iteration=0,
        env_steps_per_update=4,
        evaluation_period_trials=400,
    ),
)

# What the authors set differently for pictures.
SIGN = replace(
    CONFIG,
    networks=replace(CONFIG.networks, embedding="conv", hidden_size=128),
    losses=replace(CONFIG.losses, exploration_step_penalty=0.0),
    replay=replace(CONFIG.replay, capacity_trials=10_000),
)


def of(benchmark: str) -> Config:
    """The authors' settings for a benchmark; for one they do not have, those of their grids."""
    return replace(SIGN if benchmark in ("sign", "sign_words") else CONFIG, benchmark=benchmark)
