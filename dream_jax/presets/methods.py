"""Presets: what each benchmark and each method sets differently from the defaults."""

from dream_jax.config import Config, ConfigError, from_dict, nearest, to_dict
from dream_jax.envs.adapters import own

# Actions that do nothing, or end the episode, are left out of random draws (not out of the action
# set): random exploration would otherwise end after 7 of 20 steps on average.
_BUS_INERT = [4, 6, 7, 8]
_COOKING_INERT = [4, 5, 6]

_BUS: dict[str, dict] = {
    "acting": {"excluded_random_actions": _BUS_INERT},
    "replay": {"warmup_trials_exploration": 6_400},
}
# What decoder and exploration learn from half of a batch is enough: exploitation takes longer.
_BUS_HALF = {**_BUS["replay"], "exploration_batch_fraction": 0.5}

# Tuned here, per benchmark; docs/results.md has the figures.
_TUNED: dict = {
    "optimizer": {
        "average_decay": 0.99,
        "weight_decay": 0.1,
        "hold_fraction": 0.6,
        "final_learning_rate_fraction": 0.1,
    },
}
_BY_BENCHMARK: dict[str, dict] = {
    "cooking": {
        "acting": {
            "excluded_random_actions": _COOKING_INERT,
            "random_suffix_fraction": 1.0,
            "time_shift_fraction": 0.5,
        },
        "networks": {"encoder_init_scale": 0.3},
        "optimizer": {"hold_fraction": 0.8},
        "td": {"trace_lambda": 0.95},
        "replay": {
            "capacity_trials": 32_768,
            "exploration_batch_fraction": 0.5,
            "warmup_trials_exploration": 10_240,
        },
        "losses": {"bottleneck_weight": 2e-6},
        "training": {
            "trials": 552_960,
            "trials_per_iteration": 512,
            "evaluation_period_trials": 10_240,
            "evaluation_trials": 567,  # every kitchen with every recipe
        },
    },
    "bus": {**_BUS, "losses": {"bottleneck_weight": 2e-6}, "training": {"trials": 51_200}},
    "map": {
        **_BUS,
        "losses": {"bottleneck_weight": 2e-6},
        "td": {"trace_lambda": 0.9},
        "replay": _BUS_HALF,
        "training": {"trials": 51_200},
    },
    "distracting_bus": {
        **_BUS,
        "losses": {"bottleneck_weight": 6e-6, "decoder_folds": 4},
        "replay": _BUS_HALF,
        "pearl_ub": {"prior": "split"},
        "training": {"trials": 61_440, "evaluation_trials": 523},
    },
    "sign": {
        # Walking on: a random episode reaches the right object five times as often (1 % -> 5 %).
        "acting": {"random_action_counts": [1, 1, 4, 0]},
        "networks": {"embedding": "patches", "exploitation_memory": "mingru"},
        "td": {"trace_lambda": 0.9},
        "optimizer": {"hold_fraction": 0.8},
        "replay": {"capacity_trials": 32_768, "warmup_trials_exploration": 1_024},
        "augmentation": {"shift_pixels": 0.5, "noise_std": 4.0},
        "training": {
            "trials": 81_920,
            "trials_per_iteration": 256,
            "updates_per_iteration": 16,
            "evaluation_period_trials": 2_560,
            "evaluation_trials": 120,
        },
    },
}

# The authors' networks and hyperparameters (their code; fidelity.md lists what differs).
_PAPER = {
    "networks": {
        "embedding": "mlp",
        "hidden_size": 64,
        "head_size": 256,
        "exploration_memory": "lstm",
        "decoder_memory": "lstm",
        "exploitation_memory": "lstm",
        "decoder_memory_size": 128,
        "time_input": False,
        "layer_norm": False,
        "film": False,
        "encoder_init_scale": 1.0,
    },
    "losses": {
        "bottleneck": "clipped",
        "bottleneck_weight": 1.0,
        "bottleneck_clip": 10.0,
        "exploration_step_penalty": 0.1,
        "normalise_information_gain": False,
        "td_reaches_decoder": True,
    },
    "td": {"trace_lambda": 0.0, "target_update_period_updates": 1_250},
    "acting": {"epsilon": "linear", "epsilon_min": 0.01, "epsilon_decay_steps": 250_000},
    "optimizer": {"learning_rate": 1e-4, "max_gradient_norm": 10.0},
    "replay": {
        "capacity_trials": 16_000,
        "batch_trials": 32,
        "warmup_trials_exploitation": 500,
        "warmup_trials_exploration": 8_000,
    },
    "training": {
        "trials": 40_000,
        "trials_per_iteration": 8,
        "updates_per_iteration": 0,
        "env_steps_per_update": 4,
        "evaluation_period_trials": 400,
    },
}

# What the authors set differently for pictures.
_PAPER_BY_BENCHMARK: dict[str, dict] = {
    "sign": {
        "networks": {"embedding": "conv", "hidden_size": 128},
        "losses": {"exploration_step_penalty": 0.0},
        "replay": {"capacity_trials": 10_000},
    },
}

_REWARDS_SHOWN = {"trial": {"rewards_in_exploration": True}}

_METHODS: dict[str, dict] = {
    "dream": {},
    "dream_paper": {},
    # Weight decay of the encoder would be a bottleneck by another name.
    "dream_no_bottleneck": {
        "losses": {"bottleneck_weight": 0.0},
        "optimizer": {"decay_encoder": False},
    },
    # A head per fold tells ids apart no better than one; TD errors reach the decoder or folds do.
    "dream_dynamics": {"agent": "dream_dynamics", "losses": {"decoder_folds": 1}},
    "dream_end_to_end": {
        "agent": "dream_end_to_end",
        "losses": {"decoder_folds": 1, "td_reaches_decoder": True},
    },
    "dream_with_rewards": _REWARDS_SHOWN,
    # As published, they see the rewards of exploration, though it is not trained on them.
    # The small start of its context would make E-RL2 a policy without memory at first.
    "e_rl2": {"agent": "e_rl2", **_REWARDS_SHOWN, "networks": {"encoder_init_scale": 1.0}},
    "import": {"agent": "import", **_REWARDS_SHOWN},
    "varibad": {"agent": "varibad", **_REWARDS_SHOWN},
    "random_exploration": {"agent": "random_exploration"},
    "optimal": {"agent": "optimal"},
    "no_exploration": {"agent": "no_exploration"},
    "pearl_ub": {"agent": "pearl_ub"},
}

PRESETS = tuple(_METHODS)

# Ends within seconds after compiling; learns nothing.
_SMOKE = {
    "replay": {
        "capacity_trials": 64,
        "batch_trials": 4,
        "warmup_trials_exploitation": 8,
        "warmup_trials_exploration": 16,
    },
    "training": {
        "trials": 64,
        "trials_per_iteration": 8,
        "evaluation_period_trials": 16,
        "evaluation_trials": 8,
        "final_evaluation_trials": 8,
        "evaluations_per_checkpoint": 2,
    },
}


def preset(benchmark: str, name: str) -> Config:
    """The config of a preset. Raises ConfigError for an unknown one.

    Of MODULE:CLASS, what `CLASS.settings` sets is on top, if there is such an attribute.
    """
    if name not in _METHODS:
        raise ConfigError(f"unknown preset {name!r}; {nearest(name, list(PRESETS))}")
    if name == "dream_paper":
        base = _merge(_PAPER, _PAPER_BY_BENCHMARK.get(benchmark, {}))
    else:
        base = _merge(_TUNED, _BY_BENCHMARK.get(benchmark, {}))
    if own.is_own(benchmark):
        base = _merge(base, _own_settings(benchmark))
    named = {"benchmark": benchmark, "preset": name}
    return from_dict(_merge(to_dict(Config()), named, base, _METHODS[name]))


def _own_settings(benchmark: str) -> dict:
    try:
        settings = getattr(own.load(benchmark), "settings", {})
    except ValueError as error:
        raise ConfigError(str(error)) from error
    groups = isinstance(settings, dict) and all(isinstance(x, dict) for x in settings.values())
    if not groups:
        raise ConfigError(f"{benchmark}: settings={settings!r} must be a dict of dicts of fields")
    try:
        from_dict(settings)
    except (ValueError, TypeError) as error:  # an array, say, where a number is wanted
        raise ConfigError(f"{benchmark}: settings: {error}") from error
    return settings


def smoke(config: Config) -> Config:
    """`config` at a tiny size and budget."""
    updates = {"updates_per_iteration": min(2, config.training.updates_per_iteration)}
    return from_dict(_merge(to_dict(config), _SMOKE, {"training": updates}))


def _merge(*layers: dict) -> dict:
    """Nested dicts, later ones over earlier ones."""
    merged: dict = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict):
                value = _merge(merged.get(key, {}), value)
            merged[key] = value
    return merged
