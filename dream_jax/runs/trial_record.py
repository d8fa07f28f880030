"""One trial of a trained agent, as numpy arrays that draw themselves."""

import dataclasses
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax
import numpy as np

from dream_jax.config import ConfigError
from dream_jax.data import pictures
from dream_jax.drawing.view import WorldView, view_of
from dream_jax.runs.agent_programs import Rolled
from dream_jax.types import Env, Episode
from dream_jax.viz import film, page

NO_INSTRUCTION = "no instruction yet: find out what differs here"


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
    longest_exploration: int  # the most steps that exploration could have taken
    env: Env = dataclasses.field(repr=False)

    def text(self) -> str:
        """Every step as text."""
        states = [*self.exploration_states]
        for n in range(len(self.exploitation)):
            states += self.exploitation_states[n]
        captions = [film.caption(frame) for frame in self.frames(*range(len(self.exploitation)))]
        return "\n\n".join(
            f"{caption}\n{self.env.render_text(state)}"
            for state, caption in zip(states, captions, strict=True)
        )

    def gif(self, file: str | Path | IO[bytes]) -> None:
        """Write a GIF: exploration with its information gain, then the first exploitation."""
        film.save(file, self.frames(0))

    def mp4(self, file: str | Path) -> None:
        """The same as an MP4, FILE.mp4. Raises OSError where there is no ffmpeg for it."""
        if Path(file).suffix != ".mp4":
            raise ConfigError(f"{file} must end in .mp4, for example trial.mp4")
        film.save(file, self.frames(0))

    def frames(self, *episodes: int) -> list[film.Frame]:
        """Exploration, then these exploitation episodes: before the first step and after each."""
        view = view_of(self.env)
        frames = self._exploration_frames(view)
        for n in episodes:
            frames += self._exploitation_frames(view, n)
        return frames

    def __repr__(self) -> str:
        steps = len(self.exploration.action)
        returns = ", ".join(f"{value:+.2f}" for value in self.returns)
        told = jax.tree.map(lambda x: x.tolist(), self.instructions)
        return (
            f"TrialRecord(problem {self.problem}, instructions {told}, "
            f"{steps} exploration steps, return {returns})"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the film of the trial."""
        return page.picture(page.written(self.gif), "image/gif", repr(self))

    def _exploration_frames(self, view: WorldView) -> list[film.Frame]:
        frames, states = [], self.exploration_states
        for t, state in enumerate(states):
            action = view.action_names[int(self.exploration.action[t - 1])] if t else ""
            told = float(self.information_gain[t - 1]) if t else 0.0
            frames.append(
                film.Frame(
                    view.draw(state, states[:t], told=False),
                    exploring=True,
                    goal=NO_INSTRUCTION,
                    action=action,
                    step=t,
                    left=self.longest_exploration - t,
                    value_name=self.information_name,
                    value=told,
                )
            )
        return frames

    def _exploitation_frames(self, view: WorldView, n: int) -> list[film.Frame]:
        frames, states = [], self.exploitation_states[n]
        episode, goal = self.exploitation[n], view.instruction(self._instruction(n))
        for t, state in enumerate(states):
            before = [*self.exploration_states, *states[:t]]
            frames.append(
                film.Frame(
                    view.draw(state, before, told=True),
                    exploring=False,
                    goal=goal,
                    action=view.action_names[int(episode.action[t - 1])] if t else "",
                    step=t,
                    left=self.env.horizon - t,
                    value_name="return",
                    value=float(episode.reward[:t].sum()),
                )
            )
        return frames

    def _instruction(self, n: int) -> Any:
        """Of episode n, [I] or a tree of arrays."""
        return jax.tree.map(lambda x: x[n], self.instructions)


def make_record(
    env: Env, problem: int, instructions: Any, rolled: Rolled, information_name: str
) -> TrialRecord:
    """The record of a trial on the host. instructions: leaves [N, ...]."""
    test = rolled.test
    taken = steps(test.exploration)
    count = len(jax.tree.leaves(instructions)[0])
    episodes = [jax.tree.map(lambda x, n=n: x[n], test.exploitation) for n in range(count)]
    states = [jax.tree.map(lambda x, n=n: x[n], test.exploitation_states) for n in range(count)]
    return TrialRecord(
        problem=problem,
        instructions=jax.tree.map(np.asarray, instructions),
        exploration=trimmed(test.exploration),
        exploitation=[trimmed(episode) for episode in episodes],
        z=None if test.z is None else np.asarray(test.z),
        information_gain=np.asarray(rolled.information)[:taken],
        information_name=information_name,
        q_values=QValues(
            np.asarray(test.exploration_q)[:taken],
            [q[: steps(e)] for q, e in zip(np.asarray(test.exploitation_q), episodes, strict=True)],
        ),
        exploration_states=listed(env, test.exploration_states, taken),
        exploitation_states=[
            listed(env, s, steps(e)) for s, e in zip(states, episodes, strict=True)
        ],
        returns=np.array([episode.reward[: steps(episode)].sum() for episode in episodes]),
        longest_exploration=len(test.exploration.mask),
        env=env,
    )


def steps(episode: Episode) -> int:
    """How many steps of an episode were taken."""
    return int(np.sum(episode.mask))


def trimmed(episode: Episode) -> Episode:
    """The episode without its padding."""
    taken = steps(episode)
    observation = jax.tree.map(lambda x: x[: taken + 1], episode.observation)
    rest = jax.tree.map(lambda x: x[:taken], episode._replace(observation=None))
    return rest._replace(observation=observation)


def listed(env: Env, states: Any, taken: int) -> list[Any]:
    """The states before the first step and after each step, with their keys."""
    each = [jax.tree.map(lambda x, t=t: x[t], states) for t in range(taken + 1)]
    return [pictures.with_keys(env, state) for state in each]
