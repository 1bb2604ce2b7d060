"""llama.cpp's server; routes and fields as tools/server/README.md has them in November 2026.

Adapters are files that the server was started with, and each request says their scales: a candidate
is n floats, and no file moves. It gives log-probabilities of the next token only (its issues 27174
and 15189), so tasks are scored by letters or by written replies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pyswarmopt_llm.common.errors import UserError
from pyswarmopt_llm.common.files.http import Json, documented
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.batching import TokenPair
from pyswarmopt_llm.experts.adapter import AdapterInfo, load_factors
from pyswarmopt_llm.servers.engine import CandidateServer, in_order

# log-probabilities of how many tokens; all where a letter is not among the first
_FIRST, _ALL = 100, 2**24
_CLOSE = 1e-4  # relative error of a mixture in float32
_NEAR = 1e-2  # of norms in half precision
_PROBES = 4  # numbers for each weight
Scales = list[dict[str, float]]


class LlamaCpp(CandidateServer):
    """See `CandidateServer`; a candidate is the scales of the experts.

    Args:
        http: the connection.
        props: what ``/props`` answers.
        experts: the experts; the server has each of them as an adapter.

    Raises:
        UserError: the server lacks one.
    """

    likelihoods, written = False, "content"
    together = 1  # requests with other scales wait: its batches have one set of them

    def __init__(
        self, http: Json, props: Mapping[str, Any], experts: Sequence[AdapterInfo]
    ) -> None:
        self.http = http
        self.name = f"llama.cpp {props.get('build_info', '')}".rstrip() + f" at {http.url}"
        self.base = str(props.get("model_path", ""))
        self.window: int | None = props.get("default_generation_settings", {}).get("n_ctx")
        files = {number: Path(path) for number, path in self._adapters()}
        self._ids = [_number_of(info, files, self.name) for info in experts]
        self._idle = sorted(files.keys() - set(self._ids))
        changes = [load_factors(info) for info in experts]
        self._weights = sorted({name for change in changes for name in change})
        self._alone = torch.stack([probed(change, self._weights) for change in changes], dim=1)

    def running(self) -> tuple[object, list[tuple[int, str]]]:
        """See `CandidateServer.running`: the base's file, and the adapters, which go by number."""
        props = self.http.get("/props")
        with documented(self.name):
            return props.get("model_path"), self._adapters()

    def _adapters(self) -> list[tuple[int, str]]:
        adapters = self.http.get("/lora-adapters")
        with documented(self.name):
            return [(int(adapter["id"]), str(adapter["path"])) for adapter in adapters]

    def to_cut(self, text: str) -> dict[str, Any]:
        """See `CandidateServer.to_cut`."""
        return {"content": text, "add_special": False, "parse_special": True}

    def load(self, patch: Patch) -> Scales | None:
        """See `CandidateServer.load`: the scales of the experts, read from the patch."""
        if not patch.low_rank:
            return None
        mixed = probed(patch.low_rank, self._weights)
        weights = torch.linalg.lstsq(self._alone, mixed[:, None], driver="gelsd").solution[:, 0]
        error = (self._alone @ weights - mixed).norm()
        if patch.low_rank.keys() - set(self._weights) or error > _CLOSE * mixed.norm():
            raise UserError(
                "llama.cpp's server runs mixtures of the adapters that it was started with, and "
                "this candidate is none (trained, or of a truncated rank); use vLLM for it"
            )
        return self._scales(weights.tolist())

    def unload(self, candidate: Scales | None) -> None:
        """See `CandidateServer.unload`: nothing was loaded."""

    def score(self, candidate: Scales | None, pairs: Sequence[TokenPair]) -> list[list[Any]]:
        """See `CandidateServer.score`; continuations of one token only."""
        if any(len(continuation) > 1 for _, continuation in pairs):
            raise UserError(
                f"{self.name} gives log-probabilities of the next token only, not of texts such "
                "as these options; score by letters (`scoring` letter) or written replies, or use "
                "vLLM"
            )
        logprobs = self._top(candidate, (context for context, _ in pairs), _FIRST)
        lacking = [context for context, (token,) in pairs if token not in logprobs[context]]
        if lacking:
            logprobs |= self._top(candidate, lacking, _ALL)
        return [[logprobs[context].get(token, "nothing")] for context, (token,) in pairs]

    def _top(
        self, candidate: Scales | None, contexts: Iterable[tuple[int, ...]], n: int
    ) -> dict[tuple[int, ...], dict[int, Any]]:
        """For each context the log-probabilities of the n most likely next tokens, by their ids."""
        distinct = list(dict.fromkeys(contexts))
        # The end token is a letter's rival, too, but a row that begins with it would have no
        # probabilities.
        answers = self.complete(candidate, distinct, 1, n_probs=n, ignore_eos=True)
        with documented(self.name):
            tops = [row["completion_probabilities"][0]["top_logprobs"] for row in answers]
            return {
                context: {int(token["id"]): token["logprob"] for token in top}
                for context, top in zip(distinct, tops, strict=True)
            }

    def complete(
        self, candidate: Scales | None, prompts: Sequence[Sequence[int]], new: int, **options: Any
    ) -> list[Any]:
        """See `CandidateServer.complete`."""
        body = {
            "prompt": [list(ids) for ids in prompts],
            "n_predict": new,
            "temperature": 0.0,
            "repeat_penalty": 1.0,
            # by its documentation the cache makes results depend on earlier requests
            "cache_prompt": False,
            # An empty list would be the scales of the start, which are 1.
            "lora": self._scales([0.0] * len(self._ids)) if candidate is None else candidate,
            **options,
        }
        answer = self.http.post("/completion", body)
        with documented(self.name):
            return in_order(answer) if len(prompts) > 1 else [answer]

    def _scales(self, weights: Sequence[float]) -> Scales:
        numbered = dict.fromkeys(self._idle, 0.0) | dict(zip(self._ids, weights, strict=True))
        return [{"id": number, "scale": scale} for number, scale in numbered.items()]


def probed(change: Mapping[str, LowRank], weights: Sequence[str]) -> Tensor:
    """A few numbers u' dW v for each weight, float64: linear in dW, so that those of a mixture are
    the mixture of the experts'.
    """
    return torch.cat([_probe(change.get(name)) for name in weights])


def _probe(change: LowRank | None) -> Tensor:
    if change is None:
        return torch.zeros(_PROBES, dtype=torch.float64)
    b, a = change.b.double(), change.a.double()
    random = torch.Generator().manual_seed(0)
    u, v = (torch.randn(n, _PROBES, dtype=b.dtype, generator=random) for n in (len(b), a.shape[1]))
    return ((b.T @ u) * (a @ v)).sum(0)


def _number_of(info: AdapterInfo, files: Mapping[int, Path], name: str) -> int:
    """The server's number of an expert: by its weights where the file can be read, else by name.

    Raises:
        UserError: it is not there.
    """
    norms = _norms([(change.a, change.b) for change in load_factors(info).values()])
    for number, path in files.items():
        if path.is_file():
            other = _norms_of_file(path)
            if norms.shape == other.shape and torch.allclose(norms, other, rtol=_NEAR):
                return number
        elif info.name in (path.stem, path.parent.name):
            return number
    listed = ", ".join(map(str, files.values())) or "none"
    raise UserError(
        f"{name}: none of its adapters ({listed}) has the weights or the name of {info.name}; "
        "start it with each expert as GGUF (swarm-llm export), in a file or folder of its name"
    )


def _norms(factors: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The product of the Frobenius norms of each pair (a, b), sorted: the same for any order of
    modules and rows.
    """
    return (
        torch.tensor([float(a.float().norm() * b.float().norm()) for a, b in factors]).sort().values
    )


def _norms_of_file(path: Path) -> Tensor:
    import gguf

    try:
        reader = gguf.GGUFReader(path)
        alpha = float(reader.fields[gguf.Keys.Adapter.LORA_ALPHA].contents())
        factors = {
            t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type))
            for t in reader.tensors
        }
        pairs = [
            (factors[f"{name[:-1]}a"], b * (alpha / b.shape[1]))
            for name, b in factors.items()
            if name.endswith(".lora_b")
        ]
    except (ValueError, LookupError, OSError, NotImplementedError) as error:
        raise UserError(f"{path}: is no LoRA adapter as GGUF ({error}); export it again") from error
    return _norms(pairs)
