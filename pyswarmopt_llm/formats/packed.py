"""Rounded weights as a file holds them, in memory or beside an adapter: weights that were rounded together
cannot be found again from the adapter alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.interfaces import Computed
from pyswarmopt_llm.experts.safetensors_file import opened
from pyswarmopt_llm.formats.gguf_types import packed, unpacked, width_of

FILE = "rounded.safetensors"
ABOUT = "rounded"  # key of the metadata


class PackedWeights(Computed[Tensor]):
    """Weights that are unpacked on access: name -> (rows, width) float32.

    Args:
        codes: name -> its bytes, (rows, bytes of a row) uint8.
        types: name -> its type.
    """

    def __init__(self, codes: Mapping[str, Tensor], types: Mapping[str, str]) -> None:
        self._codes = codes
        self._types = types
        wide = {name: (len(c), width_of(c.shape[1], types[name])) for name, c in codes.items()}
        super().__init__(wide, lambda name: unpacked(codes[name], types[name]))

    @classmethod
    def of(cls, weights: Iterable[tuple[str, str, Tensor]]) -> PackedWeights:
        """Pack weights: name, type and values, (rows, width) float32, of each."""
        codes = {}
        types = {}
        for name, kind, values in weights:
            codes[name] = packed(values, kind)
            types[name] = kind
        return cls(codes, types)

    def save(self, folder: Path, form: str) -> None:
        """Write them beside an adapter.

        Args:
            folder: the adapter's.
            form: name of the format.
        """
        about = json.dumps({"format": form, "types": self._types})
        file = folder / FILE
        save_file(dict(self._codes), file, {ABOUT: about})  # several keys have no order
        file.chmod(folder.stat().st_mode & 0o666)  # the library gives it to its owner alone


def read_packed(folder: Path, form: str) -> Mapping[str, Tensor]:
    """The rounded weights of an adapter in a format; none if it has none in this format.

    Raises:
        UserError: the file is damaged.
    """
    file = folder / FILE
    if not file.is_file():
        return {}
    with opened(file) as stored:
        text = (stored.metadata() or {}).get(ABOUT)
        if text is None:
            raise UserError(f"{file} does not say its format; export or search again")
        about = json.loads(text)
        if about["format"] != form:
            return {}
        codes = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    return PackedWeights(codes, about["types"])
