"""The notebooks of the examples run from the first cell to the last, and are saved with their
pictures.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks are run with nbclient (extra: test)")
nbclient = pytest.importorskip("nbclient", reason="notebooks are run with nbclient (extra: test)")
pytest.importorskip("ipykernel", reason="notebooks need a kernel (extra: test)")
pytest.importorskip("matplotlib", reason="the notebooks draw (extra: toy)")

ROOT = Path(__file__).parents[3]
TOOL = runpy.run_path(str(ROOT / "docs" / "tools" / "notebooks.py"))
NOTEBOOKS = TOOL["NOTEBOOKS"]


def shown(notebook: Any) -> list[int]:
    """Of each code cell how many pictures it must show."""
    return [cell.source.count("plt.show()") for cell in notebook.cells if cell.cell_type == "code"]


def counts(notebook: Any) -> list[int]:
    """Of each code cell how many pictures it has."""
    return [len(found) for found in TOOL["pictures"](notebook)]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_shows_every_picture(path: Path, tmp_path: Path) -> None:
    notebook = TOOL["executed"](path, tmp_path)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert counts(notebook) == shown(notebook)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_saved_with_its_pictures_and_nothing_of_the_machine(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert counts(notebook) == shown(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(cell.metadata for cell in code)  # such as when it ran
    outputs = [output for cell in code for output in cell.outputs]
    assert not any(
        output.get("name") == "stderr" or output.output_type == "error" for output in outputs
    )
    texts = "".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs
    )
    assert not re.search(r"/(home|root|tmp|usr|work|Users)\b", texts)
    assert path.stat().st_size < 300_000
