"""Figures of the paper: which runs they need, and what is made of them. Nothing is trained."""

import csv

import pytest

from dream_jax.runs import provenance
from experiments import reproduce
from experiments.cli import parallel_commands
from experiments.cli import process as common
from experiments.figures import claims, curves, estimates, records, studies, training_queue
from experiments.figures.groups import group
from experiments.figures.paper import LINE_STYLES, PANELS
from experiments.reproduce import Options
from tests.experiments import fake_runs


def options(tmp_path, figure=6, budget="full", smoke=False, workers=2):
    return Options((figure,), tmp_path, budget, smoke, workers)


def names(figure, budget):
    return {each.name for each in studies.of_figure(PANELS[figure], budget)}


def no_run_succeeds(monkeypatch):
    def run(commands, workers, watch):
        for one in commands:
            yield parallel_commands.Ended(one, 1, 0.5, "no such luck")

    monkeypatch.setattr(parallel_commands, "run", run)


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


def test_runs_of_a_figure(tmp_path):
    assert names(3, "full") == {"bandit-paper"}
    assert {"map-dream", "distracting_bus-pearl_ub"} <= names(6, "full")
    assert not any(name.startswith("bus-") for name in names(6, "full"))
    fewer = {name for name in names(7, "quick") if name.startswith("sign-")}
    assert fewer == {"sign-dream", "sign-optimal", "sign-no_exploration", "sign-pearl_ub"}
    full = [run.name for run in reproduce.runs(6, options(tmp_path))]
    assert [name for name in full if name.startswith("map-dream-")] == [
        f"map-dream-s{seed}" for seed in range(100, 105)
    ]
    quick = [run.name for run in reproduce.runs(6, options(tmp_path, budget="quick"))]
    assert "map-dream-s100" in quick  # the same run as in full, so it is trained once
    assert "map-e_rl2-quick-s100" in quick  # with fewer trials than in full
    one_head = ("dream_one_head", "dream_one_head_no_bottleneck")
    assert {f"distracting_bus-{name}-s100" for name in one_head} <= set(quick)
    assert len(quick) == len(PANELS[6]) * 8 + len(one_head)


def test_commands(tmp_path):
    run = fake_runs.listed("comparison/map-dream-s101")
    line = training_queue.command(run, tmp_path)
    assert line[1:3] == ["-m", "experiments.map"]
    assert {"--config=dream", "--seeds=1", "--first_seed=101", "--resume"} <= set(line)
    assert f"--out={tmp_path}/comparison/map-dream-s101" in line
    assert not any(part.startswith("--config.training") for part in line)
    longer = training_queue.command(fake_runs.listed("comparison/map-e_rl2-s100"), tmp_path)
    assert "--config.training.trials=122880" in longer
    smoke = training_queue.command(
        fake_runs.listed("comparison/map-e_rl2-s100"), tmp_path, smoke=True
    )
    assert smoke[-1] == "--smoke"
    assert not any(part.startswith("--config.") for part in smoke)


def test_other_seeds(tmp_path):
    other = options(tmp_path)._replace(first_seed=200)
    assert {run.first_seed for run in reproduce.runs(6, other)} == set(range(200, 205))


def test_what_takes_longest_is_begun_first(tmp_path, monkeypatch, capsys):
    order, at_once = [], []

    def run(commands, workers, watch):
        order.extend(one.log.stem for one in commands)
        at_once.append(workers)
        return iter(())

    monkeypatch.setattr(parallel_commands, "run", run)
    asked = ["--figure=all", f"--out={tmp_path}"]
    assert reproduce.main(asked) == 1
    assert at_once == [len(common.cores())]  # there is no accelerator here
    assert order[0] == "sign-dream-s100"
    listed = [run for n in (3, 6, 7) for run in reproduce.runs(n, reproduce.parse(asked))]
    known = records.read(records.DATA)
    expected = {run.name: estimates.seconds(run, known) for run in listed}
    times = [expected[name] for name in order]
    assert times == sorted(times, reverse=True)
    assert len(order) == len(set(order)) == 31
    said = capsys.readouterr().out
    assert "31 runs: 0 finished, 31 to train" in said
    assert "comparison/map-dream: about " in said
    assert f"{at_once[0]} at once" in said


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_of_other_settings_is_not_taken_for_one_of_these(
    tmp_path, monkeypatch, capsys, ended
):
    """Nor trained further, and before anything else is trained."""
    run = fake_runs.listed("comparison/map-dream-s100")
    folder = fake_runs.make(run, tmp_path, 1.0, finished=ended)
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"discount": 0.99', '"discount": 0.9'))
    monkeypatch.setattr(parallel_commands, "run", None)
    assert reproduce.main(["--figure=6", "--budget=full", f"--out={tmp_path}"]) == 2
    shown = capsys.readouterr().err
    assert "was trained with td.discount=0.9, not 0.99" in shown.splitlines()[-1]


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_figure_from_runs(tmp_path, capsys, monkeypatch):
    no_run_succeeds(monkeypatch)  # all that is missing
    measured = {
        "distracting_bus-dream": [1.0, 0.98, 0.99, 0.96, 1.0],
        "distracting_bus-dream_no_bottleneck": [0.5, 0.6, 0.4, 0.94, 0.2],
        "distracting_bus-e_rl2": [0.0, 0.1, 0.05],
        "map-dream": [1.0, 1.0, 1.0, 1.0, 0.9],
        "map-dream_no_bottleneck": [1.0, 1.0, 0.97, 0.96, 0.99],
        "map-e_rl2": [0.0, 0.0, 0.9, 0.0, 0.0],
        "map-import": [-4.0, 0.0, 0.0, 0.0, 0.0],
        "map-optimal": [1.0],
        "distracting_bus-optimal": [1.0],
        "map-pearl_ub": [0.4],
    }
    one_head = {"dream_one_head": [1.0] * 5, "dream_one_head_no_bottleneck": [0.9, -0.5, 1.0]}
    settings = {studies.find("comparison", name): shares for name, shares in measured.items()}
    for name, shares in one_head.items():
        settings[studies.find("bottleneck", f"distracting_bus-{name}")] = shares
    for setting, shares in settings.items():
        for run, share in zip(setting.runs(), shares, strict=False):
            fake_runs.make(run, tmp_path, share)
    assert reproduce.main(["--figure=6", "--budget=full", f"--out={tmp_path}"]) == 1
    said = capsys.readouterr()
    for missing in ("varibad-s104", "no_exploration-s100"):
        log = tmp_path / "comparison" / f"map-{missing}.log"
        assert (
            f"error: comparison/map-{missing}: exit status 1: no such luck; see {log}" in said.err
        )
    assert f"figure 6 is in {tmp_path}: figure6.png" in said.out
    rows = {(row["benchmark"], row["preset"]): row for row in read(tmp_path / "figure6.csv")}
    row = rows["map", "dream"]
    assert [float(row[key]) for key in ("mean", "iqm")] == pytest.approx([0.79, 0.8])
    assert float(row["ci95_low"]) < 0.79 <= float(row["ci95_high"]) <= 0.8
    assert rows["map", "optimal"]["ci95_low"] == rows["map", "optimal"]["sd"] == ""  # one value
    assert ("map", "varibad") not in rows
    assert len(read(tmp_path / "curves6.csv")) == 4 * sum(
        len(shares) for setting, shares in settings.items() if setting.preset not in LINE_STYLES
    )
    table = read(tmp_path / "table6.csv")
    verdicts = {(r["claim"], r["where"], r["budget"].split()[0]): r["verdict"] for r in table}
    bus, world = "distracting_bus (test)", "map (test)"
    assert verdicts["DREAM is optimal", bus, "1M"] == "holds"
    # One of five seeds fails; their mean, 0.98, would not.
    assert verdicts["DREAM is optimal", world, "end"] == "does not hold (4 of 5 seeds)"
    claim = "without the bottleneck DREAM is not optimal"
    assert verdicts[f"{claim} (four decoder heads, as in `dream`)", bus, "end"] == "holds"
    paper = "one decoder head, as in the paper"
    assert verdicts[f"{claim} ({paper})", bus, "end"] == "does not hold (2 of 3 seeds)"
    assert verdicts[f"DREAM is optimal ({paper})", bus, "end"] == "holds"
    assert verdicts["without the bottleneck DREAM is optimal too", world, "end"] == "holds"
    claim = "{} learns what can be had without exploring, and no more"
    assert verdicts[claim.format("E-RL2"), bus, "end"] == "holds on 3 of 5 seeds so far"
    assert verdicts[claim.format("E-RL2"), world, "end"] == "does not hold (4 of 5 seeds)"
    assert verdicts[claim.format("IMPORT"), world, "end"] == "does not hold (4 of 5 seeds)"
    assert verdicts[claim.format("VariBAD"), world, "end"] == "not measured"
    claim = "the best that PEARL could do (PEARL-UB) is not optimal"
    assert verdicts[claim, world, "end"] == "holds"
    assert (tmp_path / "figure6.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "figure6.svg").read_text().startswith("<?xml")


def groups_of(tmp_path, shares):
    """Groups of cooking's presets with these normalised returns."""
    found = {}
    for name, values in shares.items():
        setting = studies.find("comparison", f"cooking-{name}")
        known = {}
        for run, share in zip(setting.runs(), values, strict=False):
            known[run.path] = records.of_folder(fake_runs.make(run, tmp_path, share), run)
        found["cooking", name] = group(setting, setting.runs(), known)
    return found


def test_times_the_return_of_the_next_best(tmp_path):
    """Returns are 0.3 + 0.5 * share: 0.8 of DREAM against 0.3, or 0.4 of one seed."""
    others = {"e_rl2": [0.0] * 5, "import": [-1.0] * 5, "varibad": [0.0, 0.2]}
    found = groups_of(tmp_path, {"dream": [1.0] * 5, **others})

    def judged(claim, split="test"):
        """(verdict, measured) at 1M steps and at the end."""
        verdicts = claims.grid_verdicts([("cooking", split)], found)
        return [(v.verdict, v.measured) for v in verdicts if v.claim.startswith(claim)]

    more, cooking = "DREAM returns 90% more than E-RL2", "DREAM returns 3.8"
    assert judged(more) == [("holds", "2.29 times VariBAD")] * 2  # 0.8 >= 1.9 * 0.4
    # On the held-out kitchen the optimum is 2.4 times what can be had without exploring.
    assert judged(cooking, "test") == []
    assert judged(cooking, "train") == [("does not hold (0 of 5 seeds)", "2.29 times VariBAD")] * 2
    del found["cooking", "import"]
    # Without a run of one method the claim may be refuted, and cannot be shown to hold.
    text = "2.29 times VariBAD; no run of IMPORT"
    assert judged(cooking, "train") == [("does not hold (0 of 5 seeds)", text)] * 2
    assert judged(more) == [("not measured", "")] * 2


def test_a_claim_about_all_environments_needs_every_panel():
    def of(where, verdict):
        return claims.Verdict("more", where, "end", "5 of 5", "", "", verdict, "")

    def judged(*verdicts):
        every = [of(f"panel {k}", verdict) for k, verdict in enumerate(verdicts)]
        (found,) = claims.on_every_panel([*every, of("x", "holds")._replace(claim="other")], "more")
        return found.verdict, found.measured

    assert judged("holds", "holds") == ("holds", "")
    assert judged("holds", "not measured") == ("not measured", "")
    assert judged("holds", "holds on 2 of 5 seeds so far") == ("not measured", "")
    failed = judged("does not hold (4 of 5 seeds)", "not measured", "holds")
    assert failed == ("does not hold (1 of 3 panels)", "not on panel 0")


def bandit_summary(rl2, dream):
    def fit(method, values):
        return {"method": method, "law": "A^x, H=1", "exponent": values[0], "ci95": values[1:]}

    trials = {"rl2": (200, None), "dream": (10, 20)}
    rows = [
        {"method": method, "actions": actions, "horizon": 1, "mean_trials": mean}
        for method, means in trials.items()
        for actions, mean in zip((4, 8), means, strict=True)
    ]
    return rows, [fit("rl2", rl2), fit("dream", dream)], 10, "command"


def test_verdicts_on_the_bandit():
    clear = claims.bandit_verdicts(*bandit_summary((2.2, 2.0, 2.4), (1.0, 0.9, 1.1)))
    assert [verdict.verdict for verdict in clear] == ["holds", "holds"]
    assert clear[0].measured == "in 1 of 1 sizes"  # 8 actions did not settle
    blurred = claims.bandit_verdicts(*bandit_summary((1.5, 0.9, 2.4), (1.0, 0.9, 1.1)))
    assert blurred[1].verdict == "does not hold"


def test_time_left_is_estimated_from_the_runs_that_have_ended(capsys, tmp_path):
    one, other = (fake_runs.listed(f"comparison/map-dream-s{seed}") for seed in (100, 101))
    seconds = [0.0]
    log = tmp_path / "one.log"
    watch = training_queue._Watch({log: one}, {one: 100.0, other: 100.0}, 1, lambda: seconds[0])
    assert (watch.count, watch.left) == ("[0 of 2]", "about 3m20s left")
    watch.ended(one, 200.0)  # half as fast as expected
    assert (watch.count, watch.left) == ("[1 of 2]", "about 3m20s left")
    watch.look([log])
    assert capsys.readouterr().out == ""
    seconds[0] = 61.0
    log.write_text("compiling\nupdates 3/9 | 5s left\n\n")
    watch.look([log])
    said = capsys.readouterr().out
    assert said == "[1 of 2]  comparison/map-dream-s100: updates 3/9 | 5s left\n"


def test_curves_are_drawn_over_the_mean_steps_of_the_seeds():
    rows = [
        {"seed": seed, "env_steps": steps * scale, "test_return": value}
        for seed, scale, value in ((0, 1, 0.0), (1, 3, 1.0))
        for steps in (10, 20, 30)
    ]
    steps, returns = curves.curve(rows[:-1], "test_return")  # one has ended early
    assert steps.tolist() == [20.0, 40.0]
    assert returns.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_the_processor_is_recorded():
    assert "cpu" in provenance.versions()
