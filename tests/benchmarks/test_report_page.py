"""`python -m benchmarks.report_page`."""

import re

import jax
import pytest

from benchmarks import report_page


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--agent=mpa"], "unknown agent pretrained:mpa; nearest: map"),
        (["--run=mpa"], "unknown benchmark 'mpa'; nearest: map"),
        (["cooking"], "unknown argument 'cooking'"),
    ],
)
def test_bad_input_is_one_clear_line(flags, message, capsys):
    assert report_page.main(flags) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.slow
def test_every_part_is_timed(capsys):
    before = jax.config.jax_enable_compilation_cache
    try:
        assert report_page.main(["--agent=map"]) == 0
    finally:
        jax.config.update("jax_enable_compilation_cache", before)
    out = capsys.readouterr().out
    assert "20 trials" in out and len(re.findall(r"\d s$", out, re.M)) == 7


@pytest.mark.slow
def test_the_page_of_a_run_is_timed(capsys):
    assert report_page.main(["--run=bus", "--trials=2560"]) == 0
    found = dict(re.findall(r"^(.+?) +([\d.]+) s", capsys.readouterr().out, re.M))
    assert float(found["the whole run"]) > float(found["page and GIF at end"]) > 0
