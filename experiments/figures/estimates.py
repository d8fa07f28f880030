"""How long a listed run takes on one core, from records where there are some."""

from dream_jax.agents import registry
from dream_jax.training.setup import total_updates
from experiments.figures.listed_runs import BANDIT, Listed, Setting
from experiments.figures.records import Record, Records

_START_S = 60.0  # imports and compilation
# Updates a second on one core of an AMD EPYC with AVX-512, for DREAM. Only the first estimate: a
# record of the same kind of run counts for more.
_UPDATES_PER_S = {
    **dict.fromkeys(("bus", "map"), 66.0),
    **dict.fromkeys(("distracting_bus", "cooking_large", "bus_tasks"), 46.0),
    **dict.fromkeys(("cooking", "cooking_sentences", "cooking_pictures"), 50.0),
    **dict.fromkeys(("sign", "sign_words"), 1.5),
}
_WHOLE_TRIAL = 2.0  # times the seconds of DREAM's update
_PAPER = 3.0  # times, with the authors' networks
_BANDIT_S = {"paper": 900.0, "starts": 600.0}


def seconds(run: Listed, known: Records) -> float:
    """An estimate of the wall-clock of a run on one core."""
    setting = run.setting
    same = [r for r in known.values() if r.finished and _alike(r, setting)]
    if setting.benchmark == BANDIT:
        share = run.setting.seeds_per_run / 30
        return _mean(same) if same else _BANDIT_S[setting.preset] * share
    agent = registry.find(setting.config().agent)
    if agent.analytic:
        return _mean(same) if same else _START_S
    updates = total_updates(setting.config())
    if same:
        rate = sum(r.about["updates"] for r in same) / sum(r.about["wall_s"] for r in same)
        return updates / rate
    factor = _WHOLE_TRIAL if agent.acts_on_whole_trial else 1.0
    factor *= _PAPER if setting.preset == "dream_paper" else 1.0
    return _START_S + factor * updates / _UPDATES_PER_S[setting.benchmark]


def hours(runs: list[Listed], known: Records) -> float:
    """The sum over runs, in hours of one core."""
    return sum(seconds(run, known) for run in runs) / 3600


def _alike(record: Record, setting: Setting) -> bool:
    """Whether a record says how long a run of this setting takes on a core."""
    about = record.about
    same = (about["benchmark"], about["preset"]) == (setting.benchmark, setting.preset)
    return same and "trained_with" not in about and about["machine"]["backend"] == "cpu"


def _mean(found: list[Record]) -> float:
    return sum(float(record.about["wall_s"]) for record in found) / len(found)
