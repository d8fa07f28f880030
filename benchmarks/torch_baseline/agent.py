"""DREAM in PyTorch: all losses of a batch of trials in one pass over it."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.torch_baseline import losses
from benchmarks.torch_baseline.envs import GridWorld
from benchmarks.torch_baseline.nets import Decoder, Encoder, ExploitationPolicy, ExplorationPolicy
from benchmarks.torch_baseline.types import Episode, Trials, from_numpy
from dream_jax.config import Config

LEARNERS = ("exploitation", "exploration")


class Agent(nn.Module):
    """The four networks, and the target networks of the two policies.

    Raises ValueError for a config with settings that the baseline lacks.
    """

    def __init__(self, config: Config, env: GridWorld):
        super().__init__()
        _check_supported(config)
        self.config, self.num_actions = config, env.num_actions
        nets, folds = config.networks, config.losses.decoder_folds
        self.explore = ExplorationPolicy(nets, env.observation_sizes, env.num_actions)
        self.exploit = ExploitationPolicy(
            nets, env.observation_sizes, env.instruction_sizes, env.num_actions
        )
        self.decoder = Decoder(nets, env.observation_sizes, env.num_actions, folds)
        self.encoder = Encoder(nets, env.num_problems)
        self.target_explore = copy.deepcopy(self.explore).requires_grad_(False)
        self.target_exploit = copy.deepcopy(self.exploit).requires_grad_(False)
        own, others = fold_weights(env, folds)
        self.register_buffer("own_head", own, persistent=False)
        self.register_buffer("other_heads", others, persistent=False)

    def learners(self) -> dict[str, list[nn.Module]]:
        """Modules by the learner that trains them."""
        return {
            "exploitation": [self.exploit, self.encoder, self.decoder],
            "exploration": [self.explore],
        }

    def copy_target(self, learner: str) -> None:
        """Copies a learner's policy into its target network."""
        name = {"exploitation": "exploit", "exploration": "explore"}[learner]
        target, policy = getattr(self, f"target_{name}"), getattr(self, name)
        with torch.no_grad():
            torch._foreach_copy_(list(target.parameters()), list(policy.parameters()))

    def batch_losses(
        self, trials: Trials, noise: Tensor, learners: Sequence[str] = LEARNERS
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total loss [] of these learners, and its parts [] by name.

        `noise` [B, Z] is standard normal. Parts that only other learners need are not computed.
        """
        c = self.config.losses
        with torch.set_grad_enabled("exploitation" in learners):
            f = self.encoder(trials.problem)
            # The first trials of a batch also train the decoder and the exploration policy.
            count = self.config.exploration_batch_trials
            explored = Episode(*(x[:, :count] for x in trials.exploration))
            problem, batch = trials.problem[:count], torch.arange(count)
            heads = self.decoder(explored.observation, explored.action)
            distance = losses.distances(heads, f[:count])  # [F, T + 1, B]

        parts = {}
        total = torch.zeros(())
        if "exploitation" in learners:
            z = f + c.rho * noise
            if c.td_reaches_decoder:  # trials that acted on z = g(tau) train the decoder through z
                read = heads.mean(0)[explored.mask.sum(0), batch]
                z = torch.where(trials.acts_on_exploration[:, None], read, z)
            if c.bottleneck == "kl":
                bottleneck = losses.bottleneck_kl(f, c.rho)
            else:
                bottleneck = losses.bottleneck_clipped(f, c.bottleneck_clip)
            decoder = (self.other_heads[problem].T[:, None] * distance).sum(0)
            prefixes = torch.cat([torch.ones_like(explored.mask[:1]), explored.mask])
            td = self._exploitation_td(trials.exploitation, trials.instruction, z)
            parts["exploitation_td"] = losses.masked_mean(td.square(), trials.exploitation.mask)
            parts["bottleneck"] = bottleneck.mean()
            parts["decoder"] = losses.masked_mean(decoder, prefixes)
            total = (
                parts["exploitation_td"]
                + c.bottleneck_weight * parts["bottleneck"]
                + parts["decoder"]
            )
        if "exploration" in learners:
            own = distance[self.own_head[problem], :, batch].T  # [T + 1, B]
            scale = losses.spread(f, c.rho) if c.normalise_information_gain else 1.0
            gain = losses.information_gain(own, c.exploration_step_penalty, scale)
            td = self._exploration_td(explored, gain)
            parts["exploration_td"] = losses.masked_mean(td.square(), explored.mask)
            total = total + parts["exploration_td"]
        return total, parts

    def _exploitation_td(self, episode: Episode, instruction: Tensor, z: Tensor) -> Tensor:
        time = time_fraction(len(episode.action))
        q = self.exploit(episode.observation, instruction, z, time)
        with torch.no_grad():
            q_target = self.target_exploit(episode.observation, instruction, z, time)
        return self._td(q, q_target, episode, episode.reward)

    def _exploration_td(self, episode: Episode, gain: Tensor) -> Tensor:
        start = torch.full_like(episode.action[:1], self.num_actions)
        previous = torch.cat([start, episode.action])
        time = time_fraction(len(episode.action))
        q = self.explore(episode.observation, previous, time)
        with torch.no_grad():
            q_target = self.target_explore(episode.observation, previous, time)
        return self._td(q, q_target, episode, torch.where(episode.mask, gain, 0.0))

    def _td(self, q: Tensor, q_target: Tensor, episode: Episode, reward: Tensor) -> Tensor:
        c = self.config.td
        cut = episode.terminated
        if not c.bootstrap_on_truncation:
            cut = cut | episode.truncated
        discount = c.discount * (~cut).float()
        return losses.td_errors(
            q, q_target, episode.action, reward, discount, episode.mask, c.trace_lambda
        )


def time_fraction(horizon: int) -> Tensor:
    """[T + 1, 1]: fraction of the episode that is over before each step."""
    return (torch.arange(horizon + 1) / horizon)[:, None]


def fold_weights(env: GridWorld, folds: int) -> tuple[Tensor, Tensor]:
    """For each of P problems: the head that measures its information gain [P], and the weights with
    which the heads learn from it [P, F]. Training problems are spread evenly over the folds, at
    random."""
    own = np.zeros(env.num_problems, np.int64)
    ids = env.train_ids
    own[np.random.default_rng(0).permutation(ids)] = np.arange(len(ids)) % folds
    if folds == 1:
        return from_numpy(own), torch.ones(env.num_problems, 1)
    others = (np.arange(folds) != own[:, None]) / (folds - 1.0)
    return from_numpy(own), from_numpy(others).float()


def _check_supported(config: Config) -> None:
    trial = config.trial
    if (trial.exploration_episodes, trial.exploitation_episodes) != (1, 1):
        raise ValueError("the PyTorch baseline has one exploration and one exploitation episode")
    if trial.rewards_in_exploration or not trial.hidden_goal_ends_exploration:
        raise ValueError("the PyTorch baseline hides rewards, and a hidden goal ends exploration")
    if config.losses.td_reaches_decoder and config.replay.exploration_batch_fraction < 1:
        raise ValueError("the PyTorch baseline reads z from the trials that train the decoder")
    if not config.optimizer.decay_encoder:
        raise ValueError("the PyTorch baseline decays all of the exploitation learner, or nothing")
    if config.acting.random_exploration:
        raise ValueError("the PyTorch baseline learns to explore")
    if config.agent != "dream":
        raise ValueError(f"the PyTorch baseline has no agent {config.agent!r}")
