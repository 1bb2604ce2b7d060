"""llama.cpp by its Python binding: quantises files, and scores texts as an engine does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from pyswarmopt_llm.common.extras import missing_extra

needs_llama_cpp = pytest.mark.skipif(
    missing_extra("llama_cpp") is not None,
    reason='llama.cpp is not installed (the extra "llama-cpp" compiles it)',
)


def quantised_by_the_tool(source: Path, out: Path, name: str) -> dict[str, Any]:
    """Tensor -> what llama.cpp's quantisation wrote for it."""
    llama_cpp = pytest.importorskip("llama_cpp")
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.nthread = 1
    parameters.ftype = gguf.LlamaFileType[f"MOSTLY_{name.upper()}"]
    paths = (str(path).encode() for path in (source, out))
    assert llama_cpp.llama_model_quantize(*paths, parameters) == 0
    return {tensor.name: tensor for tensor in gguf.GGUFReader(out).tensors}


class Server:
    """The model of a GGUF file, with an engine's `loglikelihood`."""

    def __init__(self, file: Path) -> None:
        llama_cpp = pytest.importorskip("llama_cpp")
        how = {"n_ctx": 512, "n_threads": 1, "n_threads_batch": 1, "logits_all": True}
        self._model = llama_cpp.Llama(str(file), verbose=False, **how)

    def loglikelihood(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log of P(continuation | context) for each pair."""
        return [self._of(*pair) for pair in pairs]

    def _of(self, context: str, continuation: str) -> float:
        before = self._tokens(context)
        ids = self._tokens(context + continuation)
        assert ids[: len(before)] == before
        self._model.reset()
        self._model.eval(ids)
        logits = np.array(self._model.scores[len(before) - 1 : len(ids) - 1], np.float64)
        probabilities = np.exp(logits - logits.max(1, keepdims=True))
        probabilities /= probabilities.sum(1, keepdims=True)
        chosen = probabilities[np.arange(len(logits)), ids[len(before) :]]
        return float(np.log(chosen).sum())

    def _tokens(self, text: str) -> list[int]:
        return list(self._model.tokenize(text.encode(), add_bos=False, special=True))
