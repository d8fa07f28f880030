"""The benchmark commands: what they print, and one clear line for what they refuse."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import command, memory, record_miniworld, render, sign_parity, soak

DATA = Path(__file__).parents[1] / "golden"
FRAMES, DYNAMICS = DATA / "sign_frames.npz", DATA / "sign_dynamics.npz"


@pytest.fixture
def parity(capsys):
    def run(*argv):
        status = command.run(sign_parity.main, [str(argument) for argument in argv])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def changed(path, folder, **arrays):
    """A copy of a recording with arrays replaced, or left out where None."""
    with np.load(path) as file:
        data = dict(file) | arrays
    data = {name: array for name, array in data.items() if array is not None}
    np.savez(folder / "changed.npz", **data)
    return folder / "changed.npz"


def test_parity_of_the_recordings_as_json(parity):
    status, out, err = parity(
        f"--frames={FRAMES}", f"--dynamics={DYNAMICS}", "--quality=fast", "--json"
    )
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["frames"] == 42 and found["episodes"] == 32
    assert found["dynamics_mismatches"] == 0
    for name in ("textured", "untextured"):
        assert 0 < found[name]["mean_error"] < found[name]["worst_frame_mean_error"] < 10
        assert found[name]["worst_error"] <= 255


def test_parity_of_one_file_as_text(parity):
    status, out, _ = parity(f"--dynamics={DYNAMICS}")
    assert status == 0
    assert "dynamics_mismatches: 0" in out.splitlines()


def test_frames_without_white_rooms_are_accepted(parity, tmp_path):
    with np.load(FRAMES) as file:
        few = {name: file[name][:3] for name in sign_parity.FRAME_FIELDS}
    np.savez(tmp_path / "few.npz", **few)
    status, out, _ = parity(f"--frames={tmp_path / 'few.npz'}", "--quality=fast", "--json")
    assert status == 0
    found = json.loads(out)
    assert found["frames"] == 3 and found["untextured"] is None
    assert found["textured"]["mean_error"] > 0


def test_pixel_errors_by_hand():
    recorded = np.zeros((2, 60, 80, 3), np.uint8)
    drawn = recorded.copy()
    drawn[1, 0, 0] = (0, 30, 255)
    recorded[1, 59, 79, 0] = 200
    found = sign_parity.errors(drawn, recorded)
    # 485 over 14,400 values of the second frame, none in the first; 255 is no overflow to 1.
    assert found["mean_error"] == pytest.approx(485 / 14_400 / 2)
    assert found["worst_frame_mean_error"] == pytest.approx(485 / 14_400)
    assert (found["worst_error"], found["worst_frame"]) == (255, 1)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("place", {"pos_after": (0, 0, 0)}),
        ("heading", {"dir_after": (2, 1)}),
        ("reward", {"reward": (1, 3)}),
        ("terminated", {"terminated": (4, 0)}),
        ("truncated", {"truncated": (5, 1)}),
        ("blocked", {"blocked": (6, 2)}),
    ],
)
def test_every_kind_of_mismatch_is_found(parity, tmp_path, field, change):
    ((name, index),) = change.items()
    with np.load(DYNAMICS) as file:
        values = file[name].copy()
    values[index] = ~values[index] if values.dtype == bool else values[index] + 1
    path = changed(DYNAMICS, tmp_path, **{name: values})
    status, out, _ = parity(f"--dynamics={path}", "--json")
    found = json.loads(out)
    assert status == 0
    assert found["dynamics_mismatches"] == 1
    assert {k: n for k, n in found["mismatches_by_field"].items() if n} == {field: 1}


def test_bad_input_is_one_line(parity, tmp_path):
    def refused(*argv):
        status, out, err = parity(*argv)
        assert (status, out) == (2, "")
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    assert "give --frames=FILE" in refused()
    assert "no such file" in refused("--frames=/nowhere.npz")
    assert "unknown argument '--frame=x'; nearest: --frames" in refused("--frame=x")
    (tmp_path / "text.npz").write_text("no archive")
    assert "not a readable .npz file" in refused(f"--frames={tmp_path / 'text.npz'}")
    shutil.copy(FRAMES, tmp_path / "cut.npz")
    with open(tmp_path / "cut.npz", "r+b") as file:
        file.truncate(5000)
    assert "not a readable .npz file" in refused(f"--frames={tmp_path / 'cut.npz'}")
    path = changed(FRAMES, tmp_path, obs=None, obj_dir=None)
    assert "missing arrays: obs, obj_dir" in refused(f"--frames={path}")
    path = changed(DYNAMICS, tmp_path, goal=None)
    assert "missing arrays: goal" in refused(f"--dynamics={path}")
    path = changed(FRAMES, tmp_path, agent_dir=np.zeros(7))
    assert "agent_dir has shape (7,)" in refused(f"--frames={path}")
    path = changed(FRAMES, tmp_path, color_index=np.full(42, 3))
    assert "color_index must be whole numbers from 0 to 2" in refused(f"--frames={path}")
    path = changed(FRAMES, tmp_path, agent_pos=np.full((42, 3), 20.0))
    assert "is not inside the room" in refused(f"--frames={path}")
    path = changed(FRAMES, tmp_path, agent_dir=np.full(42, np.nan))
    assert "agent_dir has values that are not finite" in refused(f"--frames={path}")
    path = changed(DYNAMICS, tmp_path, action=np.full((32, 20), 5))
    assert "action must be whole numbers from 0 to 3" in refused(f"--dynamics={path}")
    assert "unknown quality 'best'" in refused(f"--frames={FRAMES}", "--quality=best")


@pytest.mark.slow
def test_render_times_every_quality_that_was_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(render, "SECONDS_PER_REPEAT", 0.0)
    monkeypatch.setattr(render, "miniworld", lambda repeats: {"not_available": "no OpenGL"})
    argv = ["--qualities=fast", "--batches=1,3", "--repeats=2", "--json"]
    assert command.run(render.main, argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["miniworld"] == {"not_available": "no OpenGL"}
    for batch in ("batch_1", "batch_3"):
        figures = found["fast"][batch]
        assert 0 < figures["low"] <= figures["frames_per_s"] <= figures["high"]
        assert figures["repeats"] == 2


@pytest.mark.slow
def test_render_times_a_checkout_of_jaxenstein_beside_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "jaxenstein").mkdir()
    (tmp_path / "jaxenstein" / "__init__.py").write_text(STAND_IN)
    monkeypatch.setattr(render, "SECONDS_PER_REPEAT", 0.0)
    monkeypatch.setattr(render, "miniworld", lambda repeats: {"not_available": "no OpenGL"})
    argv = ["--qualities=fast", "--batches=1,65", "--repeats=2", f"--jaxenstein={tmp_path}"]
    try:
        assert command.run(render.main, [*argv, "--json"]) == 0
    finally:
        sys.modules.pop("jaxenstein", None)
    found = json.loads(capsys.readouterr().out)["jaxenstein"]
    assert found["picture"] == [4, 4, 3]
    assert all(found[batch]["frames_per_s"] > 0 for batch in ("batch_1", "batch_65"))


STAND_IN = """
import jax.numpy as jnp

class World:
    def reset(self, key):
        return jnp.zeros((4, 4, 3), jnp.uint8), jnp.zeros((), jnp.int32)

    def step(self, state, action):
        state = state + action
        return jnp.full((4, 4, 3), state, jnp.uint8), state, 0.0, False, {}

def make_jaxenstein_env(name):
    return World()
"""


@pytest.mark.parametrize(
    "flag",
    ["--qualities=best", "--batches=0", "--batches=many", "--repeats=0", "--jaxenstein=nowhere"],
)
def test_render_refuses_in_one_line(flag, capsys):
    assert command.run(render.main, [flag]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_fresh_recordings_of_miniworld_come_out_the_same(parity, tmp_path):
    """Needs OpenGL, so a process of its own; skipped where there is none."""
    argv = [f"--out={tmp_path}", "--frames=6", "--episodes=6", "--seed=3"]
    run = [sys.executable, "-m", "benchmarks.record_miniworld", *argv]
    done = subprocess.run(run, capture_output=True, text=True, cwd=DATA.parents[1], check=False)
    if done.returncode == 2:
        assert "OpenGL" in done.stderr or "not installed" in done.stderr
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    frames, dynamics = (f"--{n}={tmp_path / n}.npz" for n in ("frames", "dynamics"))
    status, out, _ = parity(frames, dynamics, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["dynamics_mismatches"] == 0
    assert found["untextured"]["mean_error"] < 0.1
    assert found["textured"]["mean_error"] < 0.8


def test_recording_refuses_in_one_line(capsys, tmp_path):
    def error(*argv):
        assert command.run(record_miniworld.main, [f"--out={tmp_path}", *argv]) == 2
        return capsys.readouterr().err

    assert "--frames=0 must be at least 1" in error("--frames=0")
    (tmp_path / "dynamics.npz").write_text("of an earlier recording")
    assert "dynamics.npz is there already; give another folder" in error()
    assert (tmp_path / "dynamics.npz").read_text() == "of an earlier recording"


@pytest.mark.parametrize(
    ("main", "argv", "message"),
    [
        (soak.main, ["--hours=-1"], "--hours=-1 must be above 0"),
        (soak.main, ["--benchmark=signs"], "unknown benchmark 'signs'"),
        (memory.main, ["--benchmarks=map,signs"], "unknown benchmark 'signs'"),
        (memory.main, ["--config=dreem"], "unknown preset 'dreem'"),
    ],
)
def test_bad_input_trains_nothing(main, argv, message, capsys):
    assert main(argv) == 2
    assert message in capsys.readouterr().err
