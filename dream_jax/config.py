"""The configuration of a run: frozen dataclasses, to and from nested dicts, overrides.

Field names carry their units. `dream_jax.validation` checks values, `dream_jax.presets` holds the
settings of each benchmark and method.
"""

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal

SHORT_LIST = 24  # names; a message prints a list of at most this length in full


_LONGEST_WORD = 300  # of a message; a longer one is a value that nobody wants to read in full


class ConfigError(ValueError):
    """A bad setting. The message is one line that names the value and a valid one."""

    def __init__(self, message: str):
        long = rf"\S{{{_LONGEST_WORD},}}"
        super().__init__(re.sub(long, lambda word: f"{word[0][:40]}...{word[0][-40:]}", message))


@dataclasses.dataclass(frozen=True)
class EnvConfig:
    horizon: int = 20  # steps of an episode, at most
    quality: str = "fast"  # of the rendered pictures; sign only
    start_region: str = "authors"  # where the agent starts; sign only
    held_out: tuple[int, ...] = ()  # the kitchens of the test split, (): the paper's; cooking only
    # Training problems set apart as the split "validation", by which settings are chosen. Final
    # runs have none.
    validation_problems: int = 0


@dataclasses.dataclass(frozen=True)
class TrialConfig:
    exploration_episodes: int = 1
    exploitation_episodes: int = 1
    redraw_instruction: bool = True  # each exploitation episode draws a new instruction
    rewards_in_exploration: bool = False  # the exploration policy and the decoder see rewards
    # Agents that act on the whole trial see the instruction that exploration is rewarded by.
    instruction_in_exploration: bool = False
    hidden_goal_ends_exploration: bool = True  # as in the authors' environments


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    # Of integers: "sum", or the authors' "mlp" (32 each -> 256 -> 64). Of pictures: "patches", or
    # the authors' "conv".
    embedding: Literal["sum", "mlp", "patches", "conv"] = "sum"
    hidden_size: int = 64
    head_size: int = 128
    z_size: int = 64
    exploration_memory: Literal["lstm", "mingru"] = "mingru"
    decoder_memory: Literal["lstm", "mingru"] = "mingru"
    exploitation_memory: Literal["none", "lstm", "mingru"] = "none"
    decoder_memory_size: int = 64
    decoder_hidden_size: int = 128
    time_input: bool = True  # both policies see the fraction of the episode that has passed
    layer_norm: bool = True
    film: bool = True  # z also enters the exploitation policy multiplicatively
    encoder_init_scale: float = 0.1  # of the output layers of encoder and decoder


NEARLY_GREEDY = 0.1  # largest epsilon of the actors whose returns adapt lambda


@dataclasses.dataclass(frozen=True)
class LossConfig:
    rho: float = 0.1  # standard deviation of encoder and decoder
    bottleneck: Literal["kl", "clipped"] = "kl"  # "clipped": the authors' max(|f|^2, clip)
    bottleneck_weight: float = 2e-6  # lambda of Eq. 2, per nat for "kl"
    bottleneck_clip: float = 10.0
    # Makes lambda a dual variable. It starts at bottleneck_weight. It falls while exploitation with
    # z = f(mu) returns less than the target, as it does at first, and rises while it returns more.
    bottleneck_dual: bool = False
    # The undiscounted return that lambda must leave to actors with epsilon up to NEARLY_GREEDY. Set
    # it below the optimum: these actors do not reach the optimum, and lambda would fall for ever.
    bottleneck_target: float = 0.0
    bottleneck_dual_rate: float = 0.02  # largest change of log lambda in one iteration
    exploration_step_penalty: float = 0.0  # c of Eq. 5
    normalise_information_gain: bool = True  # by the spread of the encodings; the paper: False
    # Decoder heads. With more than one, the head that measures a problem's information gain is not
    # trained on that problem.
    decoder_folds: int = 1
    # Trials acted on z = g(tau) train the decoder through z with TD errors, as the authors do.
    td_reaches_decoder: bool = False


@dataclasses.dataclass(frozen=True)
class EndToEndConfig:
    """Settings of the agents that learn exploration and exploitation with one policy."""

    exploration_return: bool = False  # the return of exploration counts too, as in RL^2
    # Of the loss that draws the history's embedding to the problem id's.
    distance_weight: float = 1.0
    # The belief about the problem. "point" is the authors' variant: standard deviation 1e-6, no KL
    # term, TD errors reach the encoder.
    posterior: Literal["gaussian", "point"] = "gaussian"
    latent_size: int = 16  # of the belief
    kl_weight: float = 0.1  # per nat; 1 is the evidence lower bound itself
    reward_weight: float = 10.0  # 1 / (2 variance) of the reward decoder's Gaussian
    beliefs_per_trial: int = 8  # from each of them the decoders predict the whole trial


@dataclasses.dataclass(frozen=True)
class TdConfig:
    discount: float = 0.99
    trace_lambda: float = 0.8  # Watkins's Q(lambda); 0 is one-step double Q-learning
    target_update_period_updates: int = 50
    bootstrap_on_truncation: bool = False  # False: the time limit is part of the task


@dataclasses.dataclass(frozen=True)
class ActingConfig:
    random_exploration: bool = False  # explore uniformly at random; only exploitation learns
    epsilon: Literal["ladder", "linear"] = "ladder"  # one per parallel trial, or one schedule
    epsilon_min: float = 0.02
    epsilon_max: float = 1.0
    epsilon_decay_steps: int = 250_000  # of the policy's own environment steps, for "linear"
    random_suffix_fraction: float = 0.0  # of exploitation episodes: first greedy, then random
    time_shift_fraction: float = 0.0  # of exploitation episodes: act as if it were later
    random_action_counts: tuple[int, ...] = ()  # relative frequency of each action; (): equal
    excluded_random_actions: tuple[int, ...] = ()  # never drawn at random, only chosen greedily


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    learning_rate: float = 1e-3
    hold_fraction: float = 0.0  # of the run: full learning rate; linear decay follows
    final_learning_rate_fraction: float = 1.0  # of the learning rate, at the end of the run
    max_gradient_norm: float = 10.0
    weight_decay: float = 0.0  # AdamW's; the exploration policy has none
    decay_encoder: bool = True  # weight decay of the encoder is a penalty on z, like the bottleneck
    average_decay: float = 0.0  # of the averaged parameters that are evaluated; 0: the newest


@dataclasses.dataclass(frozen=True)
class ReplayConfig:
    capacity_trials: int = 16_384
    batch_trials: int = 32
    exploration_batch_fraction: float = 1.0  # of a batch, for decoder and exploration policy
    warmup_trials_exploitation: int = 512
    warmup_trials_exploration: int = 512


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Changes to the pictures of a training batch. Acting and the grid worlds use none."""

    shift_pixels: float = 0.0  # largest shift, drawn per picture and direction; at most 1
    noise_std: float = 0.0  # largest, in levels of 255; drawn per picture, growing to the right


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    trials: int = 76_800
    trials_per_iteration: int = 128
    updates_per_iteration: int = 32  # 0: by env_steps_per_update instead
    env_steps_per_update: int = 4  # of each policy's own steps, where updates_per_iteration is 0
    evaluation_period_trials: int = 2_560
    evaluation_trials: int = 250  # of each split; rounded to cover the problems evenly
    final_evaluation_trials: int = 1_000
    evaluations_per_checkpoint: int = 10
    checkpoints_kept: int = 2  # the newest; the best by validation, or training, stays besides
    trial_shards: int = 1  # devices that share each batch of trials


@dataclasses.dataclass(frozen=True)
class PearlUbConfig:
    """Assumptions about Thompson sampling, for the analytic preset `pearl_ub`."""

    hypothesis: Literal["fixed", "resampled"] = "fixed"  # for an episode, or until it is refuted
    exploitation: Literal["bayes_optimal", "sample"] = "bayes_optimal"  # given the posterior
    prior: Literal["family", "split"] = "family"  # uniform over all ids, or over the split's
    ties: Literal["random", "first", "last"] = "random"  # between a hypothesis's optimal actions


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything a run depends on besides its seeds.

    These defaults are shared by most presets. They are not the preset of a benchmark: make a config
    with `dream_jax.presets.get`.
    """

    benchmark: str = "cooking"  # a benchmark's name, or MODULE:CLASS of your own
    preset: str = "dream"  # only a name, for reports
    agent: str = "dream"  # a name in dream_jax.agents.registry, or MODULE:CLASS of your own
    env: EnvConfig = EnvConfig()
    trial: TrialConfig = TrialConfig()
    networks: NetworkConfig = NetworkConfig()
    losses: LossConfig = LossConfig()
    end_to_end: EndToEndConfig = EndToEndConfig()
    td: TdConfig = TdConfig()
    acting: ActingConfig = ActingConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    replay: ReplayConfig = ReplayConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    training: TrainingConfig = TrainingConfig()
    pearl_ub: PearlUbConfig = PearlUbConfig()

    @property
    def exploration_batch_trials(self) -> int:
        """Trials of a batch that also train the decoder and the exploration policy."""
        return max(1, round(self.replay.batch_trials * self.replay.exploration_batch_fraction))


def to_dict(config: Any) -> dict:
    return dataclasses.asdict(config)


def from_dict(values: dict, cls: type = Config, prefix: str = "") -> Any:
    """A config from nested dicts. A missing key keeps its default.

    Raises:
      ConfigError: an unknown key, or a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"{values!r} is not a config: it must be an object of fields")
    hints = typing.get_type_hints(cls)
    arguments = {}
    for key, value in values.items():
        if key not in hints:
            raise ConfigError(_unknown("config key", prefix + key, [prefix + k for k in hints]))
        kind = hints[key]
        if dataclasses.is_dataclass(kind):
            if not isinstance(value, dict):
                raise ConfigError(f"{prefix}{key}={value!r}: it is a group; set its fields")
            arguments[key] = from_dict(value, typing.cast(type, kind), f"{prefix}{key}.")
        else:
            arguments[key] = _convert(value, kind, prefix + key)
    return cls(**arguments)


def override(config: Any, assignments: Mapping[str, Any]) -> Any:
    """`config` with fields set by dotted path, for example {"td.discount": "0.9"}.

    Values may be text, as typed on a command line, or of the field's own type.

    Raises:
      ConfigError: an unknown path, a group of fields, or a value of the wrong type.
    """
    values = to_dict(config)
    if not isinstance(assignments, Mapping):
        raise ConfigError(f"overrides={assignments!r} is not a dict, like {{'td.discount': 0.9}}")
    for path, text in assignments.items():
        if not isinstance(path, str):
            raise ConfigError(f"overrides: {path!r} is no path of a setting, like 'td.discount'")
        node, fields = values, path.split(".")
        for depth, field in enumerate(fields):
            if not isinstance(node, dict) or field not in node:
                raise ConfigError(_unknown("config key", path, list(paths(to_dict(config)))))
            if depth == len(fields) - 1:
                if isinstance(node[field], dict):
                    inside = ", ".join(f"{path}.{name}" for name in node[field])
                    raise ConfigError(f"{path}={text!r}: it is a group; set one of {inside}")
                node[field] = text
            node = node[field]
    return from_dict(values, type(config))


def differences(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """{path: (old value, new value)} of the fields that differ."""
    before, after = paths(to_dict(old)), paths(to_dict(new))
    return {path: (before[path], after[path]) for path in before if before[path] != after[path]}


def nearest(word: str, valid: Sequence[str]) -> str:
    """The end of a message about an unknown name: "nearest: A, B, C", or "valid: ..." of few.

    A dotted path is also compared by its last part, which finds a field under the wrong group.
    """
    close = difflib.get_close_matches(word, valid, n=3, cutoff=0.5)
    tails = {name.split(".")[-1]: name for name in valid}
    if not close:
        tail = word.split(".")[-1]
        close = [tails[t] for t in difflib.get_close_matches(tail, list(tails), n=3, cutoff=0.5)]
    if not close and len(valid) > SHORT_LIST:
        close = difflib.get_close_matches(word, valid, n=3, cutoff=0.0)
    return f"nearest: {', '.join(close)}" if close else f"valid: {', '.join(valid)}"


def _unknown(kind: str, word: str, valid: Sequence[str]) -> str:
    return f"unknown {kind} {word!r}; {nearest(word, valid)}"


def paths(values: dict, prefix: str = "") -> dict[str, Any]:
    """{"td.discount": 0.99, ...} of nested dicts."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(paths(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _convert(value: Any, kind: Any, path: str) -> Any:
    """`value`, which may be text from a command line, as a `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{path}={value!r}: valid: {', '.join(map(str, arguments))}")
        return value
    if origin in (tuple, types.GenericAlias):
        if isinstance(value, str):
            value = [part for part in value.strip("()[]").split(",") if part.strip()]
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{path}={value!r} is not a list; for example 1,2")
        return tuple(_convert(part, arguments[0], path) for part in value)
    examples = {bool: "true or false", int: "a whole number like 3", float: "a number like 0.5"}
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if kind is int:
            number = float(value)
            if isinstance(value, bool) or number != int(number):
                raise ValueError
            return int(number)
        if kind is float:
            if isinstance(value, bool) or float(value) != float(value):
                raise ValueError
            return float(value)
    except (KeyError, ValueError, TypeError, OverflowError) as error:
        raise ConfigError(f"{path}={value!r} is not {examples[kind]}") from error
    if not isinstance(value, str):
        raise ConfigError(f"{path}={value!r} is not text; put it in quotes")
    return value
