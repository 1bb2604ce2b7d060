"""Run the notebooks of the examples and save them with what they show: python
docs/tools/notebooks.py
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.client import KernelManager
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "examples" / "notebooks").glob("*.ipynb"))


def executed(path: Path, folder: Path) -> Any:
    """A notebook after all of its cells have run in `folder`, with their outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    notebook = nbformat.read(path, as_version=4)
    about = dict(notebook.metadata)
    # The kernel of this very Python, whatever others are installed, and this checkout.
    manager = KernelManager(kernel_name="python3")
    manager.kernel_spec.argv[0] = sys.executable
    manager.kernel_spec.env = {
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    where = {"metadata": {"path": str(folder)}}
    options = {"resources": where, "record_timing": False, "coalesce_streams": True}
    NotebookClient(notebook, km=manager, timeout=600, startup_timeout=600, **options).execute()
    notebook.metadata = nbformat.from_dict(about)  # the kernel adds the version of its Python
    return notebook


def tidy(notebook: Any) -> Any:
    """An executed notebook as it is saved: small pictures, and nothing from stderr, which tells of
    one machine.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _smaller(output.data["image/png"])
    return notebook


def _smaller(png: str) -> str:
    """A picture with 128 colours, a third of the size; both in base64."""
    with Image.open(io.BytesIO(base64.b64decode(png))) as image, io.BytesIO() as out:
        image.convert("RGB").quantize(128).save(out, "PNG", optimize=True)
        return base64.b64encode(out.getvalue()).decode()


def pictures(notebook: Any) -> list[list[str]]:
    """The pictures of each code cell: PNG, in base64."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [
        [one.data["image/png"] for one in cell.outputs if "image/png" in one.get("data", {})]
        for cell in cells
    ]


def main() -> None:
    """Save all of them."""
    os.environ["OMP_NUM_THREADS"] = "1"  # the same sums on every machine of a kind
    for path in NOTEBOOKS:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(tidy(executed(path, Path(folder))), path)


if __name__ == "__main__":
    main()
