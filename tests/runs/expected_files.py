"""What a run leaves in its folder."""

import json

import numpy as np
import pytest

ROW = {
    "seed",
    "env_steps",
    "trials",
    "updates",
    "wall_s",
    "compile_s",
    "train_return",
    "test_return",
    "train_return_encoder",
    "exploration_length",
    "exploration_return",
}
SUMMARY = {
    "benchmark",
    "config",
    "seeds",
    "splits",
    "time_to_95_s",
    "env_steps_to_95",
    "updates_to_95",
    "return_at_env_steps",
    "wall_s",
    "compile_s",
    "env_steps",
    "trials",
    "updates",
}
SPLIT = {
    "return_mean",
    "return_ci95",
    "return_per_seed",
    "optimal",
    "no_exploration",
    "normalised_per_seed",
}


def check_summary(out, benchmark, preset, seeds):
    summary = json.loads((out / "summary.json").read_text())
    assert set(summary) - {"verdict"} == SUMMARY
    assert (summary["benchmark"], summary["config"]) == (benchmark, preset)
    assert summary["seeds"] == list(range(seeds))
    for name in ("time_to_95_s", "env_steps_to_95", "updates_to_95"):
        assert len(summary[name]) == seeds
    budgets = summary["return_at_env_steps"]
    assert list(budgets) == ["250000", "500000", "1000000", "2000000", "5000000"]
    assert all(len(returns) == seeds for returns in budgets.values())
    assert summary["wall_s"] > 0
    assert list(summary["splits"]) == ["train", "test"]
    for split in summary["splits"].values():
        assert set(split) == SPLIT
        returns, low, high = split["return_per_seed"], split["no_exploration"], split["optimal"]
        assert len(returns) == seeds
        assert low < high
        assert max(returns) <= high + 1e-6
        assert split["return_mean"] == pytest.approx(np.mean(returns))
        if seeds == 1:
            assert split["return_ci95"] is None
        else:
            left, right = split["return_ci95"]
            assert left <= split["return_mean"] <= right
        expected = [(value - low) / (high - low) for value in returns]
        assert split["normalised_per_seed"] == pytest.approx(expected)
    return summary
