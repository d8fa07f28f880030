"""Signals that stop a run after its chunk, and those that end the process."""

import os
import signal
import threading

import pytest

from dream_jax.runs.signals import StopSignal

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2]


@pytest.fixture
def no_end(monkeypatch):
    """What would end the process is noted instead."""
    ended = []
    stop = StopSignal.of_command()
    stop._second = lambda number, frame: ended.append(signal.Signals(number).name)
    return stop, ended


@pytest.mark.parametrize("number", ALL)
def test_the_first_signal_is_noted(number, no_end, capsys):
    stop, ended = no_end
    before = [signal.getsignal(each) for each in ALL]
    with stop:
        assert stop.requested is None
        os.kill(os.getpid(), number)
        assert stop.requested == number.name
    assert not ended
    assert capsys.readouterr().out == (
        f"{number.name}: stopping after this chunk, with a checkpoint\n"
    )
    assert [signal.getsignal(each) for each in ALL] == before


def test_warnings_of_a_scheduler_may_come_again_and_before_its_end(no_end, capsys):
    stop, ended = no_end
    with stop:
        for number in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM):
            signal.raise_signal(number)
        assert (stop.requested, ended) == ("SIGUSR1", [])
        signal.raise_signal(signal.SIGUSR2)
        assert not ended
        signal.raise_signal(signal.SIGINT)
        assert ended == ["SIGINT"]
    assert capsys.readouterr().out.count("\n") == 1


def test_a_thread_gets_no_handlers():
    seen = []

    def use():
        with StopSignal.of_command() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert seen == [None]
