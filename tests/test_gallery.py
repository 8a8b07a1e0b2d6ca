"""The committed gallery says what the studies claim, and a part of it is run again."""

import datetime
import json
from pathlib import Path

import pytest

from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, OK
from jaxscale.discovery import discover
from jaxscale.study import MET, NOT_MET, Found, run_study
from jaxscale.study.gallery import changes, index, kept, make, restored

STUDIES = discover("jaxscale.studies", "STUDY")
GALLERY = Path(__file__).parent.parent / "docs" / "gallery"
HERE = [name for name in STUDIES if kept(GALLERY, name)]
SHORT = 100.0  # seconds of a laptop run that the slow tests make again


@pytest.mark.parametrize("name", HERE)
def test_the_gallery_says_what_the_study_claims(name):
    record, study = kept(GALLERY, name), STUDIES[name]
    asked = [(c.name, c.says, c.low, c.high, c.kind, c.null) for c in study.claims]
    words = {"inf": float("inf"), "-inf": float("-inf")}
    ends = [[words.get(c[end], c[end]) for end in ("low", "high")] for c in record["claims"]]
    said = [(c["name"], c["says"], *range_of, c["kind"], c["null"]) for c, range_of in zip(record["claims"], ends)]
    assert said == asked, f"the claims changed: make the gallery again with `jaxscale gallery {name}`"
    assert study.verdicts(restored(record)) == {c["name"]: c["verdict"] for c in record["claims"]}
    assert MET not in [c["control"] for c in record["claims"]], "met where there is nothing to find"
    assert record["scale"] == "laptop" and record["commit"] != "unknown" and record["seconds"] > 0 and record["versions"]["jax"]
    figures = {path.suffix for path in (GALLERY / name).iterdir()}
    assert {".png", ".svg", ".md"} <= figures and (GALLERY / name / "claims.png").exists()


def test_the_front_page_is_what_the_gallery_holds(tmp_path):
    for name in HERE:
        (tmp_path / name).mkdir()
        (tmp_path / name / "claims.json").write_bytes((GALLERY / name / "claims.json").read_bytes())
    assert index(tmp_path, STUDIES) == (GALLERY / "index.md").read_text()


@pytest.mark.slow
def test_a_part_of_the_gallery_is_run_again():
    """Another study every day, of those that take a minute or two."""
    short = [name for name in HERE if kept(GALLERY, name)["seconds"] < SHORT]
    name = short[datetime.date.today().toordinal() % len(short)]
    report = run_study(STUDIES[name], "laptop", progress=False, controls=False)
    assert not (turned := changes(kept(GALLERY, name), report)), f"{name}: {turned}"


def test_changes_are_seen(tmp_path):
    """Of a verdict, and of a number by more than its interval; not of one inside."""
    study = STUDIES["in_context_regression"]
    record = make(study, tmp_path / "gallery", runs=tmp_path / "runs", scale="smoke", progress=False)
    assert record == json.loads((tmp_path / "gallery" / study.name / "claims.json").read_text())
    report = run_study(study, "smoke", out=tmp_path / "runs" / study.name, draw=False, controls=False, progress=False)
    assert changes(record, report) == [] and restored(record)["diagonal"].value == report.found["diagonal"].value
    one = report.found["diagonal"]
    report.found["diagonal"] = Found(one.value + 0.1 * one.error, one.error, freedom=one.freedom)
    assert changes(record, report) == []
    report.found["diagonal"] = Found(one.value + 40 * one.error, one.error, freedom=one.freedom)
    assert any("diagonal: " in change for change in changes(record, report))
    report.found["diagonal"] = Found.exact(2.0)
    assert report.verdicts["diagonal"] == NOT_MET and any(f"{NOT_MET} now" in change for change in changes(record, report))
    assert record["seconds"] > 0 and record["versions"]["jax"] and record["device"].startswith("cpu")


def test_verdicts_are_printed(capsys, tmp_path):
    assert main(["studies", "--verdicts", "--gallery", str(GALLERY)]) == OK
    out = capsys.readouterr().out
    assert all(name in out for name in STUDIES) and out.startswith("study ")
    assert main(["studies", "--verdicts", "--gallery", str(tmp_path / "none")]) == BAD_INPUT
    assert "jaxscale gallery" in capsys.readouterr().err
