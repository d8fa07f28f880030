"""Training in PyTorch: collect, add, sample, update, as often as dream_jax does."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.torch_baseline import envs
from benchmarks.torch_baseline.agent import LEARNERS, Agent
from benchmarks.torch_baseline.replay import Replay
from benchmarks.torch_baseline.rollout import Collector
from benchmarks.torch_baseline.types import Trials
from dream_jax.config import ActingConfig, Config, OptimizerConfig


class Learner:
    """One group of parameters: clips by the global norm, then AdamW with a schedule."""

    def __init__(self, parameters: list[Tensor], c: OptimizerConfig, total: int, decay: float):
        self.parameters, self.config, self.total_updates = parameters, c, total
        self.updates = 0
        self.adam = torch.optim.AdamW(
            parameters, lr=c.learning_rate, weight_decay=decay, fused=True
        )

    def step(self) -> None:
        """One step with the parameters' gradients."""
        grads = [p.grad for p in self.parameters]
        norm = torch.nn.utils.get_total_norm(grads)
        torch._foreach_mul_(
            grads, self.config.max_gradient_norm / norm.clamp(min=self.config.max_gradient_norm)
        )
        self.adam.param_groups[0]["lr"] = self.learning_rate()
        self.adam.step()
        self.updates += 1

    def learning_rate(self) -> float:
        """Constant at first, then linear down to a fraction of itself at the last update."""
        c = self.config
        held = round(c.hold_fraction * self.total_updates)
        falling = max(round((1.0 - c.hold_fraction) * self.total_updates), 1)
        share = min(max(self.updates - held, 0), falling) / falling
        return c.learning_rate * (1.0 + share * (c.final_learning_rate_fraction - 1.0))


class Trainer:
    """One seed. `iterate` lets every parallel actor collect a trial, then makes the due updates."""

    def __init__(self, config: Config, seed: int = 0):
        torch.manual_seed(seed)
        self.config = config
        self.env = envs.make(config.benchmark, config.env.horizon)
        self.agent = Agent(config, self.env)
        self.collector = Collector(self.agent, self.env, seed)
        self.replay = Replay(config.replay.capacity_trials)
        self.actors = config.training.trials_per_iteration
        decays = {"exploitation": config.optimizer.weight_decay, "exploration": 0.0}
        self.learners = {
            name: Learner(
                [p for m in modules for p in m.parameters() if p.requires_grad],
                config.optimizer,
                total_updates(config),
                decays[name],
            )
            for name, modules in self.agent.learners().items()
        }
        self.parameters = [p for x in self.learners.values() for p in x.parameters]
        self.average = [p.detach().clone() for p in self.parameters]
        self.trials, self.steps = 0, dict.fromkeys(LEARNERS, 0)
        self.credit = dict.fromkeys(LEARNERS, 0.0)

    def collect(self) -> dict[str, int]:
        """Adds one trial of every actor to the replay. Returns environment steps by policy."""
        acting, number = self.config.acting, np.arange(self.actors)
        explore = epsilons(acting, self.steps["exploration"], self.actors)
        warming = self.trials < self.config.replay.warmup_trials_exploration
        if warming and acting.epsilon == "ladder":
            explore = np.ones(self.actors)
        exploit = epsilons(acting, self.steps["exploitation"], self.actors)[::-1]
        rounds = self.trials // self.actors
        acts_on_exploration = (number + rounds * (self.actors % 2)) % 2 == 0
        trials = self.collector.trials(explore, exploit, acts_on_exploration)
        self.replay.add(trials)
        self.trials += self.actors
        steps = {
            "exploitation": int(trials.exploitation.mask.sum()),
            "exploration": int(trials.exploration.mask.sum()),
        }
        for name in LEARNERS:
            self.steps[name] += steps[name]
        return steps

    def iterate(self) -> int:
        """Collects, then updates. Returns the number of updates made."""
        replay, training = self.config.replay, self.config.training
        steps = self.collect()
        warm = {
            "exploitation": self.trials >= replay.warmup_trials_exploitation,
            "exploration": self.trials >= replay.warmup_trials_exploration,
        }
        due = dict.fromkeys(LEARNERS, training.updates_per_iteration)
        if not training.updates_per_iteration:
            for name in LEARNERS:
                self.credit[name] += steps[name] * warm[name] / training.env_steps_per_update
                due[name] = int(self.credit[name])
                self.credit[name] -= due[name]
        due = {name: due[name] * warm[name] for name in LEARNERS}
        count = max(due.values())
        for i in range(count):
            self.update([name for name in LEARNERS if i < due[name]])
        return count

    def update(self, learners: Sequence[str] = LEARNERS) -> dict[str, Tensor]:
        """One update of these learners from one batch. Returns the parts of the loss by name."""
        batch = self.replay.sample(self.config.replay.batch_trials)
        noise = torch.randn(len(batch.problem), self.config.networks.z_size)
        return self.update_from(batch, noise, learners)

    def update_from(
        self, batch: Trials, noise: Tensor, learners: Sequence[str] = LEARNERS
    ) -> dict[str, Tensor]:
        """`update` with this batch and this noise [B, Z]."""
        for p in self.parameters:
            p.grad = None
        total, parts = self.agent.batch_losses(batch, noise, learners)
        total.backward()
        self.step(learners)
        return parts

    def step(self, learners: Sequence[str] = LEARNERS) -> None:
        """One optimiser step of these learners, target copies where due, and the averaged
        parameters."""
        for name in learners:
            learner = self.learners[name]
            learner.step()
            if learner.updates % self.config.td.target_update_period_updates == 0:
                self.agent.copy_target(name)
        decay = self.config.optimizer.average_decay
        if decay:
            torch._foreach_lerp_(self.average, [p.detach() for p in self.parameters], 1.0 - decay)


def epsilons(acting: ActingConfig, own_steps: int, count: int) -> np.ndarray:
    """[count]: epsilon of each parallel actor, a ladder or a schedule linear in the policy's own
    steps."""
    if acting.epsilon == "ladder":
        return np.linspace(acting.epsilon_min, acting.epsilon_max, count)
    share = min(own_steps / acting.epsilon_decay_steps, 1.0)
    return np.full(count, acting.epsilon_max + share * (acting.epsilon_min - acting.epsilon_max))


def total_updates(config: Config) -> int:
    """Updates of a whole run; an upper bound if updates follow environment steps."""
    training = config.training
    per_iteration = training.updates_per_iteration or (
        training.trials_per_iteration * config.env.horizon // training.env_steps_per_update
    )
    return training.trials // training.trials_per_iteration * per_iteration
