"""What sign navigation returns without exploration, from searches over random starts.

python -m experiments.sign_reading [--starts=400] [--seed=0] [--quality=fast]
    [--start_region=authors] [--benchmark=sign_words]

`Sign.reference_returns` has the mean that this command prints.
"""

import sys
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dream_jax.config import ConfigError
from dream_jax.envs.sign3d.sign import Sign, SignWords
from dream_jax.oracles import sign_search
from experiments.cli import process
from experiments.cli.command_line import CommandLine

WORLDS: dict[str, type[Sign]] = {world.name: world for world in (Sign, SignWords)}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if argv is None else argv
    return process.exit_status(lambda: run(given), "interrupted; nothing was written")


def run(argv: Sequence[str]) -> int:
    """Prints the mean. Raises ConfigError, one clear line."""
    line = CommandLine("experiments.sign_reading", f"\n{__doc__}")
    line.count("starts", 400, "random starts")
    line.count("seed", 0, "of the starts", least=0)
    line.text("quality", "fast", "of the pictures")
    line.text("start_region", "authors", "where the agent starts")
    line.text("benchmark", "sign", "or sign_words")
    values = line.read(argv)
    if values.benchmark not in WORLDS:
        raise ConfigError(f"--benchmark={values.benchmark!r}; valid: {', '.join(WORLDS)}")
    try:
        env = WORLDS[values.benchmark](quality=values.quality, start_region=values.start_region)
    except (ValueError, ImportError) as error:
        raise ConfigError(str(error)) from error
    process.set_up_jax()
    found = reads(env, values.starts, values.seed)
    worth = np.array([one.value.mean() for one in found])
    steps = np.array([one.steps for one in found])
    deviation = worth.std() / np.sqrt(len(worth))
    print(f"return without exploration {worth.mean():.4f} (standard error {deviation:.4f})")
    print(f"worth less than 1: {np.sum(worth < 1)} of {len(worth)} starts")
    counts = ", ".join(f"{k}: {np.sum(steps == k)}" for k in sorted(set(steps.tolist())))
    print(f"steps before the sign is read (-1: never in time): {counts}")
    return 0


def reads(env: Sign, starts: int, seed: int) -> list[sign_search.Read]:
    """A search from each of as many random starts."""
    keys = jax.random.split(jax.random.key(seed), starts)
    zero = jnp.zeros((), jnp.int32)  # problem and shape, which the start does not depend on
    reset = jax.jit(jax.vmap(lambda key: env.reset(key, zero, zero[None])[0]))
    states = jax.device_get(reset(keys))
    return [
        sign_search.search(env, jax.tree.map(lambda leaf, k=k: leaf[k], states))
        for k in range(starts)
    ]


if __name__ == "__main__":
    sys.exit(main())
