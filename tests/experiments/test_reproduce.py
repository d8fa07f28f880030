"""Figures of the paper: which runs they need, and what is made of them. Nothing is trained."""

import csv
import json

import pytest

from dream_jax.runs import provenance
from experiments import reproduce
from experiments.cli import flags as cli
from experiments.cli import parallel_commands as side_by_side
from experiments.cli import process as common
from experiments.figures import claims as reproduce_report
from experiments.reproduce import Options


def options(tmp_path, figure=6, budget="full", smoke=False, workers=2):
    return Options((figure,), tmp_path, budget, smoke, workers)


def no_run_succeeds(monkeypatch):
    def run(commands, workers):
        for one in commands:
            yield side_by_side.Ended(one, 1, 0.5, "no such luck")

    monkeypatch.setattr(side_by_side, "run", run)


@pytest.mark.parametrize(
    ("flag", "offending", "remedy"),
    [
        ("--figure=4", "--figure=4", "3, 6, 7, or all"),
        ("--budget=fast", "--budget=fast", "quick"),
        ("--figures=3", "'--figures=3'", "--figure"),
        ("--out=a_file", "--out=a_file", "give a folder"),
        ("--workers=0", "--workers=0", "at least 1"),
    ],
)
def test_bad_input_is_one_line(capsys, tmp_path, monkeypatch, flag, offending, remedy):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").write_text("precious")
    assert reproduce.main(["--figure=3", flag]) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    assert offending in text
    assert remedy in text
    assert list(tmp_path.iterdir()) == [tmp_path / "a_file"]


def test_commands(tmp_path):
    assert reproduce.jobs(3, "full") == [("bandit", "paper")]
    names = {benchmark for benchmark, _ in reproduce.jobs(7, "full")}
    assert names == {"cooking", "sign"}
    assert {("map", "dream"), ("distracting_bus", "pearl_ub")} <= set(reproduce.jobs(6, "full"))
    fewer = set(reproduce.jobs(7, "full")) - set(reproduce.jobs(7, "quick"))
    assert fewer == {("sign", m) for m in ("dream_no_bottleneck", "e_rl2", "import", "varibad")}
    line = reproduce.command("map", "dream", options(tmp_path))
    assert line[1:3] == ["-m", "experiments.map"]
    assert {"--config=dream", "--seeds=3", "--resume"} <= set(line)
    assert not any(part.startswith("--config.training") for part in line)
    quick = reproduce.command("map", "dream", options(tmp_path, budget="quick"))
    assert "--seeds=1" in quick
    # Four times 51,200 trials: over five times those that DREAM needs.
    assert "--config.training.trials=204800" in reproduce.command("map", "e_rl2", options(tmp_path))
    assert set(line) & set(quick) >= {"-m", "--resume"}
    assert len({part for part in [*line, *quick] if part.startswith("--out=")}) == 2
    assert "--seeds=1" in reproduce.command("map", "optimal", options(tmp_path))
    assert "--smoke" in reproduce.command("bandit", "paper", options(tmp_path, 3, smoke=True))


def test_runs_are_made_once(tmp_path, monkeypatch):
    calls = []

    def run(commands, workers):
        for one in commands:
            calls.append(one)
            assert one.line == reproduce.command("map", "dream", options(tmp_path))
            assert one.log == tmp_path / "full" / "map-dream.log"
            fake_run("map", "dream", options(tmp_path), [1.0])
            yield side_by_side.Ended(one, 0, 0.5, "written")

    monkeypatch.setattr(side_by_side, "run", run)
    for _ in range(2):
        assert reproduce.train_missing([("map", "dream")], options(tmp_path)) == {("map", "dream")}
    assert len(calls) == 1
    no_run_succeeds(monkeypatch)
    assert reproduce.train_missing([("map", "optimal")], options(tmp_path)) == set()


def test_what_takes_longest_is_begun_first(tmp_path, monkeypatch):
    order, at_once = [], []

    def run(commands, workers):
        order.extend(one.log.stem for one in commands)
        at_once.append(workers)
        return iter(())

    monkeypatch.setattr(side_by_side, "run", run)
    assert reproduce.main(["--figure=all", f"--out={tmp_path}"]) == 1
    assert at_once == [len(common.cores())]  # there is no accelerator here
    assert reproduce.default_workers("full") == 1
    assert all(name.startswith("sign-") for name in order[:4])
    assert order.index("cooking-varibad") < order.index("cooking-dream")
    assert order.index("cooking-dream") < order.index("map-varibad") < order.index("map-dream")
    assert len(order) == len(set(order)) == 29


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_of_other_settings_is_not_taken_for_one_of_these(
    tmp_path, monkeypatch, capsys, ended
):
    """Nor trained further, and before anything else is trained."""
    fake_run("map", "dream", options(tmp_path), [1.0])
    folder = reproduce.folder("map", "dream", options(tmp_path))
    path = folder / "config.json"
    path.write_text(path.read_text().replace(": 51200", ": 12800"))
    if not ended:
        (folder / "summary.json").unlink()
    monkeypatch.setattr(side_by_side, "run", None)
    assert reproduce.main(["--figure=6", "--budget=full", f"--out={tmp_path}"]) == 2
    shown = capsys.readouterr().err
    assert "was trained with training.trials=12800, not 51200" in shown.splitlines()[-1]


def fake_run(benchmark, name, options, shares):
    """A run on an environment where 0.3 is no exploration and 0.8 optimal."""
    folder = reproduce.folder(benchmark, name, options)
    arguments = cli.parse(benchmark, reproduce.command(benchmark, name, options)[3:])
    folder.mkdir(parents=True)
    record = provenance.record(arguments.config, arguments.seeds)
    (folder / "config.json").write_text(json.dumps(record))
    returns = [0.3 + 0.5 * share for share in shares]
    split = {
        "return_mean": sum(returns) / len(returns),
        "return_per_seed": returns,
        "normalised_per_seed": shares,
    }
    summary = {"splits": {"train": split, "test": split}, "env_steps": 100}
    (folder / "summary.json").write_text(json.dumps(summary))
    rows = [
        {"seed": seed, "env_steps": steps, "test_return": value * steps / 100}
        for steps in (50, 100)
        for seed, value in enumerate(returns)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_figure_from_runs(tmp_path, capsys, monkeypatch):
    no_run_succeeds(monkeypatch)  # all that is missing
    measured = {
        ("distracting_bus", "dream"): [1.0, 0.98, 0.99],
        ("distracting_bus", "dream_no_bottleneck"): [0.5, 0.6, 0.4],
        ("distracting_bus", "e_rl2"): [0.0, 0.1, 0.05],
        ("map", "dream"): [0.9, 0.5, 1.0],
        ("map", "dream_no_bottleneck"): [1.0, 1.0, 0.97],
        ("map", "e_rl2"): [0.0, 0.0, 0.9],
        ("map", "import"): [-4.0, 0.0, 0.0],
    }
    for benchmark in ("distracting_bus", "map"):
        measured[benchmark, "optimal"] = [1.0]
    for (benchmark, name), shares in measured.items():
        fake_run(benchmark, name, options(tmp_path), shares)
    assert reproduce.main(["--figure=6", "--budget=full", f"--out={tmp_path}"]) == 1
    said = capsys.readouterr().err
    for missing in ("varibad", "pearl_ub", "no_exploration"):
        log = tmp_path / "full" / f"map-{missing}.log"
        assert (
            f"error: experiments.map --config={missing}: exit status 1: no such luck; see {log}\n"
            in said
        )
    rows = {(r["benchmark"], r["preset"]): r for r in read(tmp_path / "figure6.csv")}
    assert set(rows) == set(measured)
    row = rows["distracting_bus", "dream_no_bottleneck"]  # 0.55, 0.6, 0.5
    assert [float(row[key]) for key in ("mean", "sd", "iqm")] == pytest.approx([0.55, 0.05, 0.55])
    assert float(row["ci95_low"]) == pytest.approx(0.5)
    curves = read(tmp_path / "curves6.csv")
    assert {(r["benchmark"], r["preset"]) for r in curves} == set(rows) - {
        (benchmark, "optimal") for benchmark in ("distracting_bus", "map")
    }
    mine = [r for r in curves if (r["benchmark"], r["preset"]) == ("distracting_bus", "e_rl2")]
    assert len(mine) == 2 * 3 and float(mine[-1]["test_return"]) == pytest.approx(0.325)
    verdicts = {r["claim"]: r["verdict"] for r in read(tmp_path / "table6.csv")}
    assert verdicts["DREAM is optimal on distracting_bus (test)"] == "holds"
    assert verdicts["DREAM is optimal on map (test)"] == "does not hold"
    assert verdicts["without the bottleneck it is not, on distracting_bus (test)"] == "holds"
    claim = "{} learns what can be had without exploring and no more, on map (test)"
    assert verdicts[claim.format("e_rl2")] == "does not hold"  # it does better
    assert verdicts[claim.format("import")] == "does not hold"  # it has learned nothing
    assert verdicts[claim.format("varibad")] == "not measured"
    assert (tmp_path / "figure6.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "figure6.svg").read_text().startswith("<?xml")


def bandit_summary(rl2, dream):
    def fit(method, values):
        return {"method": method, "law": "A^x, H=1", "exponent": values[0], "ci95": values[1:]}

    trials = {"rl2": (200, None), "dream": (10, 20)}
    rows = [
        {"method": method, "actions": actions, "horizon": 1, "mean_trials": mean}
        for method, means in trials.items()
        for actions, mean in zip((4, 8), means, strict=True)
    ]
    return {"complexity": rows, "exponents": [fit("rl2", rl2), fit("dream", dream)]}


def test_verdicts_on_the_bandit():
    clear = reproduce_report.bandit_verdicts(bandit_summary((2.2, 2.0, 2.4), (1.0, 0.9, 1.1)))
    assert [verdict.verdict for verdict in clear] == ["holds", "holds"]
    assert clear[0].measured == "in 1 of 1 settings"  # 8 actions did not settle
    blurred = reproduce_report.bandit_verdicts(bandit_summary((1.5, 0.9, 2.4), (1.0, 0.9, 1.1)))
    assert blurred[1].verdict == "does not hold"


def test_curves_are_drawn_over_the_mean_steps_of_the_seeds():
    rows = [
        {"seed": seed, "env_steps": steps * scale, "test_return": value}
        for seed, scale, value in ((0, 1, 0.0), (1, 3, 1.0))
        for steps in (10, 20, 30)
    ]
    steps, returns = reproduce_report.curve(rows[:-1], "test_return")  # one has ended early
    assert steps.tolist() == [20.0, 40.0]
    assert returns.tolist() == [[0.0, 0.0], [1.0, 1.0]]
