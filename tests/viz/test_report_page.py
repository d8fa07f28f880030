"""The page's template: text cannot become markup."""

import json
import re

import pytest

from dream_jax.viz import report_page

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;"


def a_run(**changes):
    part = {
        "return_mean": 0.5,
        "return_ci95": None,
        "return_per_seed": [0.5],
        "optimal": None,
        "no_exploration": 0.25,
        "normalised_per_seed": [None],
    }
    run = {
        "name": EVIL,
        "benchmark": EVIL,
        "preset": "dream",
        "seeds": [0],
        "state": "finished",
        "splits": {"test": part},
        "totals": [("updates", "5")],
        "bounds": {},
        "curves": {},
        "settings": [{"field": EVIL, "here": EVIL, "preset": "x"}],
        "software": [("jax", EVIL)],
        "command": EVIL,
        "note": EVIL,
    }
    return run | changes


def test_text_is_escaped_everywhere():
    text = report_page.render([a_run()])
    assert "<script>alert" not in text and "onerror=alert(2)>" not in text
    assert text.count("<script") == 2 == text.count("</script>")
    data = re.search('<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert json.loads(data[1])["runs"][0]["name"] == EVIL


def test_nothing_outside_is_allowed():
    text = report_page.render([a_run()])
    assert "default-src 'none'" in text
    assert set(re.findall('(?:src|href)="([^"]*)"', text.split("<script")[0])) == {"data:,"}


def test_numbers_that_are_not_known_are_named():
    text = report_page.render([a_run()])
    assert '<td data-field="optimal">none</td>' in text
    assert '<td data-field="return_mean">0.500</td>' in text
    with pytest.raises(ValueError, match="JSON"):
        report_page.render([a_run(curves={"0": {"x": [float("nan")]}})])


def test_names_that_the_locale_could_not_decode_are_in_the_page(tmp_path):
    file = tmp_path / "page.html"
    name = "K\N{LATIN SMALL LETTER U WITH DIAERESIS}che"
    report_page.write_whole(file, name.encode().decode("ascii", "surrogateescape") + "\udcff")
    assert file.read_text(encoding="utf-8") == name + "\N{REPLACEMENT CHARACTER}"


def test_a_page_is_replaced_whole(tmp_path):
    file = tmp_path / "report.html"
    report_page.write(file, [a_run()])
    first = file.read_text(encoding="utf-8")
    assert report_page.MARK in first[:1000]
    with pytest.raises(ValueError):
        report_page.write(file, [a_run(curves=float("nan"))])
    assert file.read_text(encoding="utf-8") == first
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
