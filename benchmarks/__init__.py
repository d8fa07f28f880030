"""Measurements as commands: `python -m benchmarks.NAME`."""

from dream_jax.hidden import say_what_is_hidden

say_what_is_hidden(__name__, __file__)
