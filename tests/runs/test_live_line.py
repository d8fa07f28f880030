"""The live line of a training command."""

import io
import time
import types

import pytest

from dream_jax.runs import live_line


class Terminal(io.StringIO):
    def isatty(self):
        return True


def event(trials, total=100, period=10):
    training = types.SimpleNamespace(trials=total, evaluation_period_trials=period)
    config = types.SimpleNamespace(training=training)
    return types.SimpleNamespace(run=types.SimpleNamespace(trials=trials, config=config))


def test_it_says_what_is_done_and_how_long_is_left():
    now, out = [100.0], Terminal()
    line = live_line.LiveLine(out, lambda: now[0])
    now[0] += 7
    assert line.text() == "compiling evaluation and training, 7s"
    line.log("compiled in 7.0s")
    now[0] += 10
    assert line.text() == f"[{'-' * 24}] training, 10s"
    line.evaluated(event(25, period=25))
    assert line.text() == f"[{'#' * 6}{'-' * 18}]  25%, about 30s left"
    line.evaluated(event(100, period=25))
    now[0] += 2
    assert line.text() == "the last evaluation, page and GIFs, 2s"
    assert "\r\x1b[Kcompiled in 7.0s\n" in out.getvalue()


def test_what_was_trained_before_does_not_count():
    now = [0.0]
    line = live_line.LiveLine(Terminal(), lambda: now[0])
    line.log("compiled in 1.0s")
    now[0] = 20.0
    line.evaluated(event(90))  # resumed at 80: 10 % took 20 s
    assert line.text().endswith(" 90%, about 20s left")


def test_it_is_removed_at_the_end(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    line = live_line.of_terminal(out)
    with pytest.raises(ValueError), line.shown():
        raise ValueError
    assert out.getvalue().endswith("\r\x1b[K")


def test_other_commands_say_what_they_do_and_since_when(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(live_line, "_PERIOD_S", 0.001)
    out = Terminal()
    with live_line.busy("compiling and evaluating", out):
        while "compiling and evaluating, 0s" not in out.getvalue():
            time.sleep(0.001)
    assert out.getvalue().endswith("\r\x1b[K")
    quiet = io.StringIO()
    with live_line.busy("compiling", quiet):
        pass
    assert quiet.getvalue() == ""


def test_files_and_pipes_have_none(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    assert live_line.of_terminal(io.StringIO()) is None
    monkeypatch.setenv("TERM", "dumb")
    assert live_line.of_terminal(Terminal()) is None
