"""One trial of a trained agent, as numpy arrays that draw themselves."""

import dataclasses
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax
import numpy as np

from dream_jax.data import pictures
from dream_jax.runs.agent_programs import Rolled
from dream_jax.types import Env, Episode
from dream_jax.viz import page, plots


class QValues(NamedTuple):
    """The Q-values that the agent acted on. T_n: steps of exploitation episode n."""

    exploration: np.ndarray  # [L, A]
    exploitation: list[np.ndarray]  # [T_n, A] each


@dataclasses.dataclass(frozen=True, eq=False)
class TrialRecord:
    """A greedy trial at meta-test. It holds the steps that were taken, without padding.

    L is the number of exploration steps, T_n that of exploitation episode n, A the number of
    actions. In a notebook a record shows itself as a film.
    """

    problem: int
    instructions: Any  # leaves [N, ...], most often [N, I]: of the exploitation episodes
    exploration: Episode  # leaves [L, ...], observation [L + 1, ...]
    exploitation: list[Episode]  # N episodes, leaves [T_n, ...], observation [T_n + 1, ...]
    z: np.ndarray | None  # [Z] the encoding that exploitation acted on; None: the agent has none
    # [L] what each exploration step told the agent. For DREAM this is the information gain of
    # Eq. 5 on a training problem. On other problems it is how far the step moved z.
    information_gain: np.ndarray
    information_name: str  # a short name of that quantity
    q_values: QValues
    exploration_states: list[Any]  # L + 1 states of the environment
    exploitation_states: list[list[Any]]  # T_n + 1 states of each episode
    returns: np.ndarray  # [N] undiscounted returns of the exploitation episodes
    env: Env = dataclasses.field(repr=False)

    def text(self) -> str:
        """Every step as text."""
        steps = [*self._exploration_steps()]
        for n in range(len(self.exploitation)):
            steps += self._exploitation_steps(n)
        return "\n\n".join(f"{caption}\n{self.env.render_text(state)}" for state, caption in steps)

    def gif(self, file: str | Path | IO[bytes]) -> None:
        """Write a GIF: exploration with its information gain, then the first exploitation."""
        steps = [*self._exploration_steps(), *self._exploitation_steps(0)]
        frames = [self.env.render_image(state) for state, _ in steps]
        plots.save_gif(file, frames, [caption for _, caption in steps])

    def __repr__(self) -> str:
        steps = len(self.exploration.action)
        returns = ", ".join(f"{value:+.2f}" for value in self.returns)
        return (
            f"TrialRecord(problem {self.problem}, instructions {self._instruction(slice(None))}, "
            f"{steps} exploration steps, return {returns})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the film of the trial."""
        return page.picture(page.written(self.gif), "image/gif", repr(self))

    def _instruction(self, index: Any) -> Any:
        """Some of the instructions, as plain lists."""
        return jax.tree.map(lambda x: x[index].tolist(), self.instructions)

    def _exploration_steps(self) -> list[tuple[Any, str]]:
        """(state, caption) before the first step and after each step."""
        steps = []
        for t, state in enumerate(self.exploration_states):
            told = f": {self.information_name} {self.information_gain[t - 1]:.3f}" if t else ""
            steps.append((state, f"exploration, step {t}{told}"))
        return steps

    def _exploitation_steps(self, n: int) -> list[tuple[Any, str]]:
        """The same of exploitation episode n."""
        instruction, reward = self._instruction(n), self.exploitation[n].reward
        steps = []
        for t, state in enumerate(self.exploitation_states[n]):
            so_far = f"return {reward[:t].sum():+.2f}"
            steps.append((state, f"exploitation, instruction {instruction}, step {t}: {so_far}"))
        return steps


def make_record(
    env: Env, problem: int, instructions: Any, rolled: Rolled, information_name: str
) -> TrialRecord:
    """The record of a trial on the host. instructions: leaves [N, ...]."""
    test = rolled.test
    steps = _steps(test.exploration)
    count = len(jax.tree.leaves(instructions)[0])
    episodes = [jax.tree.map(lambda x, n=n: x[n], test.exploitation) for n in range(count)]
    states = [jax.tree.map(lambda x, n=n: x[n], test.exploitation_states) for n in range(count)]
    return TrialRecord(
        problem=problem,
        instructions=jax.tree.map(np.asarray, instructions),
        exploration=_trimmed(test.exploration),
        exploitation=[_trimmed(episode) for episode in episodes],
        z=None if test.z is None else np.asarray(test.z),
        information_gain=np.asarray(rolled.information)[:steps],
        information_name=information_name,
        q_values=QValues(
            np.asarray(test.exploration_q)[:steps],
            [
                q[: _steps(e)]
                for q, e in zip(np.asarray(test.exploitation_q), episodes, strict=True)
            ],
        ),
        exploration_states=_listed(env, test.exploration_states, steps),
        exploitation_states=[
            _listed(env, s, _steps(e)) for s, e in zip(states, episodes, strict=True)
        ],
        returns=np.array([episode.reward[: _steps(episode)].sum() for episode in episodes]),
        env=env,
    )


def _steps(episode: Episode) -> int:
    return int(np.sum(episode.mask))


def _trimmed(episode: Episode) -> Episode:
    """The episode without its padding."""
    steps = _steps(episode)
    observation = jax.tree.map(lambda x: x[: steps + 1], episode.observation)
    rest = jax.tree.map(lambda x: x[:steps], episode._replace(observation=None))
    return rest._replace(observation=observation)


def _listed(env: Env, states: Any, steps: int) -> list[Any]:
    """The states before the first step and after each step."""
    each = [jax.tree.map(lambda x, t=t: x[t], states) for t in range(steps + 1)]
    return [pictures.with_keys(env, state) for state in each]
