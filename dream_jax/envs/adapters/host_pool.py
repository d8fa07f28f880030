"""Processes that step many environments at once, and go on when one of them dies or hangs.

An episode is known by its ticket. Its history (problem, instruction, seed, actions) comes with each
request, so an episode that was lost is played again up to its newest action. One that cannot be
played again ends there, truncated, and a line says so.
"""

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from dream_jax.envs.adapters import host_worker
from dream_jax.envs.adapters.host_worker import Outcome, Request

START_LIMIT_S = 120.0  # a process imports the family first
MOST_LINES = 20  # about lost episodes; after that only their number counts
KEPT_EPISODES = 16_384


class _Episode(NamedTuple):
    worker: int
    steps: int
    over: bool
    outcome: Outcome


class _Worker:
    """A process and its connection."""

    def __init__(self, family: Any):
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        before = os.environ.get("JAX_PLATFORMS")
        os.environ["JAX_PLATFORMS"] = "cpu"  # the accelerator is not theirs
        try:
            self.process = context.Process(
                target=host_worker.serve, args=(other, family), daemon=True
            )
            self.process.start()
        finally:
            if before is None:
                del os.environ["JAX_PLATFORMS"]
            else:
                os.environ["JAX_PLATFORMS"] = before
        other.close()
        self.ready = False

    def send(self, requests: Sequence[Request], over: Sequence[int]) -> None:
        self.connection.send((list(requests), list(over)))

    def receive(self, limit_s: float) -> list[Outcome]:
        """Raises EOFError or OSError if the process died, TimeoutError if it hangs."""
        if not self.ready:  # it says so when it has imported the family
            self.ready = bool(self._next(START_LIMIT_S))
        return self._next(limit_s)

    def _next(self, limit_s: float) -> Any:
        if not self.connection.poll(limit_s):
            raise TimeoutError(f"no answer for {limit_s:g} s")
        return self.connection.recv()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


class HostPool:
    """Steps the episodes of a family in `count` processes. Calls are taken one at a time."""

    def __init__(self, family: Any, count: int, limit_s: float):
        self._family, self._limit_s = family, limit_s
        self._workers = [_Worker(family) for _ in range(count)]
        self._episodes: dict[int, _Episode] = {}
        self._over: list[list[int]] = [[] for _ in range(count)]
        self._lock = threading.Lock()
        self._next_ticket = 0
        self.lost = 0  # episodes cut short
        self.steps = 0  # taken
        self.busy_s = 0.0  # seconds inside `take`

    def new_tickets(self, count: int) -> list[int]:
        with self._lock:
            first = self._next_ticket
            self._next_ticket += count
        return list(range(first, first + count))

    def take(self, requests: Sequence[Request]) -> list[Outcome]:
        """The outcomes of one step of many episodes. An episode that is over stays as it was."""
        with self._lock:
            began = time.perf_counter()
            found: dict[int, Outcome] = {}
            due: list[list[Request]] = [[] for _ in self._workers]
            places: list[list[int]] = [[] for _ in self._workers]
            for place, request in enumerate(requests):
                episode = self._episodes.get(request.ticket)
                steps = len(request.actions)
                if episode and episode.over and episode.steps <= steps:
                    found[place] = episode.outcome._replace(reward=0.0)
                    continue
                known = episode is not None and episode.steps == steps - 1
                worker = episode.worker if episode else request.ticket % len(self._workers)
                replay = steps > 0 and not known
                due[worker].append(request._replace(replay=replay))
                places[worker].append(place)
            for worker, outcomes in enumerate(self._ask(due)):
                for place, request, outcome in zip(
                    places[worker], due[worker], outcomes, strict=True
                ):
                    found[place] = self._note(worker, request, outcome)
            self.steps += sum(map(len, due))
            self.busy_s += time.perf_counter() - began
            return [found[place] for place in range(len(requests))]

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _ask(self, due: list[list[Request]]) -> list[list[Outcome]]:
        """The outcomes of the requests to each worker, which work at the same time."""
        sent = []
        for k, requests in enumerate(due):
            over, self._over[k] = self._over[k], []
            try:
                if requests:
                    self._workers[k].send(requests, over)
                sent.append(True)
            except OSError:  # it has died meanwhile
                sent.append(False)
        answers: list[list[Outcome]] = []
        for k, requests in enumerate(due):
            if not requests:
                answers.append([])
                continue
            try:
                if not sent[k]:
                    raise EOFError
                answers.append(self._workers[k].receive(self._limit_s))
            except (EOFError, OSError) as error:
                answers.append(self._again(k, requests, _reason(error)))
        return answers

    def _again(self, k: int, requests: Sequence[Request], reason: str) -> list[Outcome]:
        """Play episodes of a dead worker anew, in a new process, one by one."""
        self._say(f"a host process {reason}; it starts anew and plays its episodes again")
        self._workers[k].end()
        self._workers[k] = _Worker(self._family)
        for ticket, episode in list(self._episodes.items()):
            if episode.worker == k and not episode.over:
                del self._episodes[ticket]  # its next step plays it again
        outcomes = []
        for request in requests:
            worker = self._workers[k]
            try:
                worker.send([request._replace(replay=bool(request.actions))], [])
                outcomes += worker.receive(self._limit_s)
            except (EOFError, OSError) as error:
                worker.end()
                self._workers[k] = _Worker(self._family)
                outcomes.append(Outcome((), 0.0, False, True, False, _reason(error)))
        return outcomes

    def _note(self, worker: int, request: Request, outcome: Outcome) -> Outcome:
        """Remember how an episode stands. One that failed ends, truncated, at what it showed."""
        steps = len(request.actions)
        if outcome.error:
            self.lost += 1
            self._say(
                f"problem {request.problem}, step {steps}: {outcome.error}; the episode ends there"
            )
            before = self._episodes.get(request.ticket)
            shown = before.outcome.observation if before else self._family.nothing()
            outcome = Outcome(shown, 0.0, False, True, False)
        over = outcome.terminated or outcome.truncated or steps >= self._family.horizon
        if over and not outcome.terminated:
            outcome = outcome._replace(truncated=True)
        # Exploration may go on after the goal of its hidden task, so such worlds are kept.
        ended = over and not (outcome.goal and steps < self._family.horizon)
        self._episodes[request.ticket] = _Episode(worker, steps, ended, outcome)
        if ended:
            self._over[worker].append(request.ticket)
        while len(self._episodes) > KEPT_EPISODES:
            oldest = next(iter(self._episodes))
            self._over[self._episodes.pop(oldest).worker].append(oldest)
        return outcome

    def _say(self, line: str) -> None:
        if self.lost < MOST_LINES:
            print(f"{self._family.name}: {line}", file=sys.stderr, flush=True)


def _reason(error: BaseException) -> str:
    return f"hangs ({error})" if isinstance(error, TimeoutError) else "died"
