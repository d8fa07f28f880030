"""The flags that name a trained agent: `--checkpoint`, a run's folder, or `--pretrained`."""

from typing import Any

from dream_jax.config import ConfigError
from dream_jax.runs import pretrained
from experiments.cli.command_line import CommandLine


def define(line: CommandLine) -> None:
    line.text("checkpoint", None, "the folder of a run (its --out)")
    line.text("pretrained", "", f"instead, an agent that ships: {', '.join(pretrained.names())}")


def check(values: Any) -> None:
    """Raises ConfigError unless exactly one agent is named."""
    if values.checkpoint and values.pretrained:
        raise ConfigError("--checkpoint and --pretrained exclude each other; give one")
    if not values.checkpoint and not values.pretrained:
        raise ConfigError(
            "--checkpoint is missing: the folder of a run, for example runs/cooking; or give "
            "--pretrained=cooking"
        )
    if values.pretrained:
        pretrained.card(values.pretrained)  # refuses unknown names
