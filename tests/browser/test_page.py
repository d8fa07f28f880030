"""The page of runs in a real Chromium: it opens from disk, plays, toggles, and fits."""

import json

import pytest

from dream_jax.drawing.view import view_of
from dream_jax.runs import page_data, page_trials, pretrained
from dream_jax.runs.insight import InsightProgram, choose
from dream_jax.viz import report_page
from experiments import coupling, evaluate, report
from tests.browser import chromium
from tests.runs.test_trained_agent import make


@pytest.fixture(scope="module")
def driver():
    driver = chromium.start()
    yield driver
    driver.quit()


def state(page):
    """Where the player is."""
    return page.run(
        """
        const stage = document.querySelector(".stage");
        return {
          badge: document.querySelector(".badge").textContent,
          at: Number(document.getElementById("step").value),
          last: Number(document.getElementById("step").max),
          did: document.querySelector(".did").textContent,
          picture: document.querySelector(".scene svg").innerHTML,
          actions: stage.dataset.actions,
          return: Number(stage.dataset.return),
        };
        """
    )


def check_opens(page):
    assert page.complaints() == []
    assert page.overflows() == []
    for name in ("player", "learning", "encodings", "visits"):
        assert page.run("return document.getElementById(arguments[0]).hidden", name) in (
            (False,) if name in ("player", "encodings", "visits") else (False, True)
        )


def check_plays(page, trial):
    """Buttons and keys step through exploration, then exploitation."""
    start = state(page)
    assert (start["badge"], start["at"], start["did"]) == ("EXPLORE", 0, "start")
    page.click("#next")
    page.press("\ue014")  # the right arrow
    after = state(page)
    assert after["at"] == 2 and after["did"] != "start"
    page.click("#back")
    page.press("\ue012")  # the left arrow
    assert state(page) == start
    steps = len(trial["exploration"]["actions"])
    page.click("#skip")
    assert (state(page)["badge"], state(page)["at"]) == ("EXPLOIT", steps + 1)
    page.press(" ")  # plays
    assert page.text("#play") == "Pause"
    page.press(" ")
    assert page.text("#play") == "Play"
    page.run(
        "const s = document.getElementById('step'); s.value = s.max;"
        "s.dispatchEvent(new Event('input'))"
    )
    end = state(page)
    own = trial["exploitation"]["exploration"][0]
    assert end["at"] == end["last"] == steps + 1 + len(own["actions"])
    assert end["actions"] == ",".join(map(str, own["actions"]))
    assert end["return"] == pytest.approx(sum(own["rewards"]), abs=1e-3)


def check_toggle(page, trial):
    """Where z is from changes the episode that is shown, at once."""
    seen = {}
    for key, source in enumerate(("exploration", "id", "other", "zero"), 1):
        page.press(str(key))
        page.run(
            "const s = document.getElementById('step'); s.value = s.max;"
            "s.dispatchEvent(new Event('input'))"
        )
        pressed = page.run("return document.querySelector(`[data-value='${arguments[0]}']`)"
                           ".getAttribute('aria-pressed')", source)  # fmt: skip
        assert pressed == "true"
        episode = trial["exploitation"][source][0]
        assert state(page)["actions"] == ",".join(map(str, episode["actions"]))
        assert state(page)["return"] == pytest.approx(sum(episode["rewards"]), abs=1e-3)
        seen[source] = state(page)["actions"]
    return seen


def data(page):
    return json.loads(page.text("#data"))["runs"]


def test_the_page_of_a_run(driver, finished_run):
    folder, _ = finished_run
    page = chromium.Page(driver, folder / "report.html")
    check_opens(page)
    (run,) = data(page)
    check_plays(page, run["trials"][0])
    check_toggle(page, run["trials"][0])
    # Lines are switched off and on; the axis and what is drawn change.
    count = "return document.querySelectorAll('#learning path[data-series]').length"
    lines = page.run(count)
    page.click("#learning .legend button")
    assert page.run(count) < lines
    page.click("#learning .legend button")
    page.click("#seeds")
    assert 0 < page.run(count) < lines  # the means alone
    page.click("[data-value=wall_s]")
    page.click("[data-value=loss]")
    assert "seconds" in page.text("#learning svg")
    assert page.run(count) == sum(name.startswith("loss_") for name in run["curves"]["0"])
    assert page.complaints() == []


@pytest.mark.parametrize("theme", ("light", "dark"))
@pytest.mark.parametrize("width", (400, 1000, 1600))
def test_nothing_overflows(driver, finished_run, width, theme):
    folder, _ = finished_run
    page = chromium.Page(driver, folder / "report.html", width, theme)
    check_opens(page)
    ground = page.run("return getComputedStyle(document.body).backgroundColor")
    assert (min(int(x) for x in ground[4:-1].split(",")) < 100) == (theme == "dark")
    for _ in range(3):
        page.click("#next")
    assert page.overflows() == []


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained.names())
def test_the_page_of_an_evaluation_has_its_numbers(driver, tmp_path, capsys, name):
    file = tmp_path / "page.html"
    assert evaluate.main([f"--pretrained={name}", f"--page={file}", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert file.stat().st_size < 5_000_000
    page = chromium.Page(driver, file, 400)
    check_opens(page)
    for split, part in result["splits"].items():
        for field in ("return_mean", "optimal", "no_exploration"):
            shown = page.text(f"tr[data-split={split}] [data-field={field}]")
            assert shown == f"{part[field]:.3f}"
        if "no_reading" in part:
            shown = page.text(f"tr[data-split={split}] [data-field=no_reading]")
            assert shown == f"{part['no_reading']:.3f}"
        for row in part["problems"]:
            where = f"tr[data-split={split}][data-problem='{row['problem']}'] [data-field=return]"
            assert page.text(where) == f"{row['return_mean']:.3f}"
    page = chromium.Page(driver, file)
    (run,) = data(page)
    check_plays(page, run["trials"][0])
    seen = check_toggle(page, run["trials"][0])
    assert seen["zero"] != seen["exploration"] or seen["other"] != seen["exploration"]
    name, group = next(iter(run["encodings"]["groups"].items()))
    known = group["explains"]
    assert (known is None) == (len(group["labels"]) == len(group["of"]))
    words = "" if known is None else f"{name}: alone it explains {100 * known:.0f}%"
    assert page.text("#encodings .explains").startswith(words or "The two directions show")
    # The agent is trained: what it reads from a training problem ends near its encoding.
    trained = [t["exploration"]["distance"] for t in run["trials"] if t["split"] == "train"]
    assert all(falling[-1] < 0.5 * falling[0] for falling in trained)


def test_runs_are_compared_side_by_side(driver, finished_run, tmp_path):
    folder, _ = finished_run
    file = tmp_path / "page.html"
    assert report.main([str(folder), str(folder), f"--out={file}"]) == 0
    page = chromium.Page(driver, file, 1600)
    check_opens(page)
    assert page.run("return document.querySelectorAll('.stage').length") == 2
    page.click("#next")
    did = page.run("return [...document.querySelectorAll('.did')].map((one) => one.textContent)")
    assert len(did) == 2 and did[0] == did[1] != "start"
    assert chromium.Page(driver, file, 400).overflows() == []


@pytest.fixture(scope="module")
def beside(finished_run, command, tmp_path_factory):
    """The page of DREAM beside E-RL2, on the same problems of bus."""
    folder = tmp_path_factory.mktemp("beside")
    done = command("bus", "--config=e_rl2", "--smoke", f"--out={folder / 'e_rl2'}")
    assert done.status == 0, done.stderr
    page = folder / "page.html"
    runs = [str(finished_run[0]), str(folder / "e_rl2")]
    assert report.main([*runs, f"--out={page}"]) == 0
    return page


@pytest.mark.slow
def test_dream_beside_e_rl2_on_the_same_problem(driver, beside):
    page = chromium.Page(driver, beside, 1600)
    check_opens(page)
    dream, e_rl2 = data(page)
    assert (dream["preset"], e_rl2["preset"]) == ("dream", "e_rl2")
    assert [(t["problem"], t["key"]) for t in dream["trials"]] == [
        (t["problem"], t["key"]) for t in e_rl2["trials"]
    ]
    every = "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent)"
    problem = dream["trials"][-1]["problem"]
    page.run(
        "const s = document.querySelector('#player select'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('change'))",
        str(problem),
    )
    page.click("#skip")
    goals, badges = page.run(every, ".stage .goal"), page.run(every, ".stage .badge")
    assert badges == ["EXPLOIT", "EXPLOIT"]
    assert goals[0] == goals[1] and goals[0].startswith("go to")
    # The toggle changes DREAM's episode alone; the other agent says that it has no z.
    did = "return [...document.querySelectorAll('.stage')].map((one) => one.dataset.actions)"
    trial = next(t for t in dream["trials"] if t["problem"] == problem)
    other = next(t for t in e_rl2["trials"] if t["problem"] == problem)
    page.press("4")  # z = 0
    page.click("#next")
    episodes = trial["exploitation"]["zero"][0], other["exploitation"]["exploration"][0]
    assert page.run(did) == [",".join(map(str, one["actions"])) for one in episodes]
    assert page.run(every, ".stage .no-z") == [
        "this agent has no z to choose: it acts on what it saw"
    ]
    names = page.run(every, "#learning .legend button")
    assert any("e_rl2" in name for name in names) and len(names) > 2
    assert page.complaints() == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ("light", "dark"))
@pytest.mark.parametrize("width", (400, 1000, 1600))
def test_no_comparison_overflows(driver, beside, width, theme):
    page = chromium.Page(driver, beside, width, theme)
    check_opens(page)
    page.click("#skip")
    assert page.overflows() == [] and page.complaints() == []


@pytest.fixture(scope="module")
def sign_page(tmp_path_factory):
    """The page of an untrained agent of sign, which is drawn in first person beside a plan."""
    agent = make("sign", **{"env.horizon": 5})
    insights = InsightProgram(agent.functions)(agent.params, choose(agent.env, 4, 1, True), 3)
    view = view_of(agent.env)
    about = page_data.About("sign", agent.config, [3], [], None, {}, {}, None)
    counts = page_trials.visits(agent.env, view, insights)
    visits = page_data.of_visits(view, [{"env_steps": 0, "counts": counts}])
    made = page_data.of_run(about) | page_data.of_trials(agent.env, insights)
    file = tmp_path_factory.mktemp("sign") / "page.html"
    report_page.write(file, [made | {"visits": visits}])
    return file


@pytest.mark.slow
@pytest.mark.parametrize("theme", ("light", "dark"))
@pytest.mark.parametrize("width", (400, 1000, 1600))
def test_the_page_of_sign(driver, sign_page, width, theme):
    assert sign_page.stat().st_size < 5_000_000
    page = chromium.Page(driver, sign_page, width, theme)
    check_opens(page)
    (run,) = data(page)
    check_plays(page, run["trials"][0])
    check_toggle(page, run["trials"][0])
    assert page.run("return document.querySelectorAll('.scene svg image').length") == 1
    assert page.overflows() == [] and page.complaints() == []


@pytest.mark.parametrize(("width", "theme"), [(400, "dark"), (1000, "light"), (1600, "light")])
def test_the_coupling_cycle(driver, tmp_path_factory, width, theme):
    file = tmp_path_factory.getbasetemp() / "coupling.html"
    if not file.exists():
        flags = ["--actions=4", "--trials=300", "--seeds=2"]
        assert coupling.main([f"--out={file}", *flags]) == 0
    page = chromium.Page(driver, file, width, theme)
    seeds = json.loads(page.text("#data"))["seeds"]
    dream = seeds[0]["methods"][1]
    assert page.text("#at") == "after trial 0 of 300"
    page.click("#next")
    page.press("\ue014")  # the right arrow
    assert page.text("#at") == "after trial 2 of 300"
    page.press("\ue012")
    page.click("#back")
    assert "Before the first trial" in page.text("[data-method=dream] .story")
    page.run(
        "const s = document.getElementById('trial'); s.value = s.max;"
        "s.dispatchEvent(new Event('input'))"
    )
    assert page.text("[data-method=dream] .verdict") == (
        f"Explores with a* since trial {dream['optimal_after']}."
    )
    right = page.text("[data-method=dream] [data-box=exploit] ~ text ~ text")
    assert right == f"{100 * dream['star_success'][-1]:.0f}%"
    assert page.overflows() == [] and page.complaints() == []
    page.run(
        "const s = document.querySelector('#seed select'); s.value = '1';"
        "s.dispatchEvent(new Event('change'))"
    )
    assert page.text("#at") == "after trial 0 of 300"
    page.press(" ")
    assert page.text("#play") == "Pause"
    page.press(" ")
    assert page.text("#play") == "Play"
    assert page.complaints() == []
