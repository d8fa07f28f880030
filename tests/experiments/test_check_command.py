"""`experiments.check`: findings, each with a verdict, and the exit status."""

import json

import jax
import jax.numpy as jnp
import pytest

from dream_jax.envs.adapters import findings
from experiments import check
from tests.envs.adapters import family_cases
from tests.envs.adapters.family_cases import HORIZON, Mixed

FAMILY = f"{family_cases.__name__}:"


class Counted(Mixed):
    """Not pure: every reset differs."""

    resets = 0

    def reset(self, key, problem, instruction):
        def count(_):
            Counted.resets += 1
            return jnp.int32(Counted.resets)

        state, shown = super().reset(key, problem, instruction)
        shape = jax.ShapeDtypeStruct((), jnp.int32)
        number = jax.pure_callback(count, shape, problem, vmap_method="sequential")
        return state._replace(wanted=number), shown


class Revealed(Mixed):
    def see(self, state):
        return {**super().see(state), "meter": jnp.full((2,), jnp.float32(state.problem))}


class Same(Mixed):
    def reset(self, key, problem, instruction):
        state, shown = super().reset(key, problem, instruction)
        return state._replace(problem=jnp.int32(0)), shown


def test_a_good_family_has_no_bad_finding(capsys):
    assert check.main([FAMILY + "Mixed", "--quick", "--steps=400", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["good"] and found["family"] == FAMILY + "Mixed"
    what = {each["what"] for each in found["findings"]}
    assert what >= {"shapes", "random steps", "purity", "episodes", "rewards", "splits", "replay"}
    assert not any(each["verdict"] == "bad" for each in found["findings"])


def test_a_bad_family_has_a_remedy_and_status_1(capsys):
    assert check.main([FAMILY + "BigDoor", "--quick", "--steps=200"]) == 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith("bad")]
    assert "'door' component 1 is 1500" in line and " -> " in line
    assert check.main([FAMILY + "NoSpec", "--quick"]) == 1
    assert "bad     protocol:" in capsys.readouterr().out
    assert check.main(["--quick"]) == 2


@pytest.mark.parametrize(
    "family, what, text",
    [
        (Counted, "reset", "two resets with the same key differ"),
        (Revealed, "leak", "the first observation tells all problems apart"),
        (Same, "problems", "look the same in"),
    ],
)
@pytest.mark.slow
def test_what_training_would_not_tell(family, what, text):
    found = [each for each in findings.of_family(family(HORIZON), 100) if each.what == what]
    assert found and text in found[0].text and found[0].verdict != "good" and found[0].remedy


@pytest.mark.slow
def test_it_says_whether_exploring_pays(capsys):
    flags = ["--steps=100", "--seconds=1", "--json"]
    assert check.main([FAMILY + "Mixed", *flags]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    assert "told the problem" in found[-1]["text"] and found[-1]["what"] == "worth exploring"
