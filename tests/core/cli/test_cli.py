"""The command `pyswarmopt`: what it prints and writes, and how it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="the command needs typer and rich (extra: toy)")
pytest.importorskip("matplotlib", reason="pictures need matplotlib (extra: toy)")


import pyswarmopt as pso
from pyswarmopt.cli import main


def run(*argv: str) -> int:
    """The exit code of `pyswarmopt argv`."""
    with pytest.raises(SystemExit) as exit_info:
        main(argv)
    return int(exit_info.value.code or 0)


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> dict:
    assert run(*argv) == 0
    loaded: dict = json.loads(capsys.readouterr().out)
    return loaded


def test_run_is_minimize(capsys: pytest.CaptureFixture[str]) -> None:
    words = "run rastrigin --recipe fips --dim 3 --particles 12 --max-evals 600 --seed 5 --json"
    out = told(capsys, *words.split())
    rastrigin, options = pso.functions.rastrigin, {"max_evals": 600, "seed": 5}
    same = pso.minimize(rastrigin, rastrigin.bounds(3), "fips", population=12, **options)
    assert (out["x"], out["value"], out["evaluations"]) == (same.x.tolist(), same.fun, 600)
    assert (out["iterations"], out["animation"]) == (same.nit, None)
    assert out["optimum"] == 0.0 and out["stop"] == {"max_evals": 600}
    assert run(*words.split()[:-1]) == run("run", "-h") == 0
    assert f"{same.fun:.6g}" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["run sphere --animate a.gif", "lesson --no-open --out a.html"])
@pytest.mark.parametrize("link", [False, True])
def test_no_file_is_overwritten(words, link, tmp_path, here, capsys) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    out = tmp_path / words.split()[-1]
    if link:
        out.symlink_to(mine)
    else:
        mine.rename(out)
    assert run(*words.split()) == 2
    assert "exists" in capsys.readouterr().err and out.read_text() == "mine"


def test_compare_gives_medians_over_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    words = "compare sphere shifted:ackley --recipes constriction,default --dim 2 --seeds 6"
    assert run(*words.split(), "--max-evals", "200") == 0
    out = capsys.readouterr().out
    sphere = pso.functions.sphere
    found = pso.compare(
        sphere, sphere.bounds(2), ["constriction", "default"], 6, 0.0, max_evals=200
    )
    assert str(found) in out and "shifted:ackley, 2 dimensions, 200 evaluations" in out


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("run rastrign", "did you mean rastrigin?"),
        ("run rastrigin --recipe fip", "did you mean fips?"),
        ("run himmelblau --dim 3", "needs 2 dimensions, not 3"),
        ("run moved:sphere", "use shifted: or rotated:"),
        ("run sphere --dim 0", "--dim"),
        ("run sphere --animate a.avi", "ends in .gif"),
        ("run sphere --animate absent/a.gif", "create it first"),
        ("compare sphere --recipes fips,", "no recipe named"),
        ("compare sphere --recipes fip", "did you mean fips?"),
        ("lesson --out a.txt", "ends in .html"),
        ("lessn", "lesson"),
        ("run sphere --max-eval 3", "--max-evals"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    words: str, reason: str, tmp_path: Path, here, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and reason in error
    assert list(tmp_path.iterdir()) == []


def test_the_list_has_headings_names_the_default_and_shows_one(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["list"])
    out = capsys.readouterr().out
    assert out.index("FUNCTIONS") < out.index("rastrigin:") < out.index("RECIPES")
    assert out.index("RECIPES") < out.index("default:") < out.index("constriction:")
    for name in "constriction", "Bare-Bones", "sphere", "default":
        with pytest.raises(SystemExit, match="0"):
            main(["list", name])
        shown = capsys.readouterr().out
        assert shown.startswith(name.replace("-", "_").lower() + ":") and shown.count("\n") < 6
    with pytest.raises(SystemExit, match="2"):
        main(["list", "spere"])
    assert "did you mean sphere?" in capsys.readouterr().err
