"""Whether each adapter is applied, whole, at its own scale and the same again, in both dtypes.

An adapter that is loaded and ignored gives no error anywhere (lm-eval issue 2432, unsloth issues
869 and 2142), and that weight 1 has to give an adapter back is how PEFT issue 3761 finds wrong
sums.
"""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.nn.utils.rnn import pad_sequence

from pyswarmopt_llm.common.errors import UserError, first_line
from pyswarmopt_llm.common.hardware import out_of_memory, pick_device
from pyswarmopt_llm.common.interfaces import LowRank, Patch
from pyswarmopt_llm.engine.chat import PromptTokenizer
from pyswarmopt_llm.engine.mixing import PatchedWeights
from pyswarmopt_llm.engine.passes import undefined
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import ADAPTER_FILES, AdapterInfo, load_factors
from pyswarmopt_llm.experts.base import INT8, BaseModel, load_model, resolve_base, skeleton
from pyswarmopt_llm.experts.compatibility import (
    ignored_in_words,
    in_words,
    inspect_experts,
    inspect_weights,
)
from pyswarmopt_llm.experts.files import local_directory, refuse_unmatched
from pyswarmopt_llm.experts.pretrained import quiet_bitsandbytes
from pyswarmopt_llm.experts.safetensors_file import StoredTensors
from pyswarmopt_llm.experts.truncate import squared_norm

LEAST_KEPT = 0.5  # of an adapter's effect, in bfloat16
PROMPTS = (
    "What is the capital of France?",
    "Write one sentence about the sea.",
    "Is this sentence friendly or rude? Thank you for your help.",
    "Name three colours.",
)
ROWS = 4096  # of the output over the vocabulary, at a time
ROUNDING = 3e-5  # of float32, relative to the largest log-probability
ROUNDED = (
    "rounding the base to 4 bits changes its weights {:.2g} times as much as the adapter does "
    "(|W - dequant(W4)| / |change|)"
)
REPORT = "report it with its adapter_config.json, and mix it nowhere until then"


@dataclass(frozen=True)
class AdapterCheck:
    """One adapter.

    Attributes:
        adapter: its name.
        path: as given.
        problems: what is wrong, each with what to do; empty: nothing.
        warnings: what is odd about it, as `inspect` says it.
        numbers: None: it could not be loaded.
    """

    adapter: str
    path: str
    problems: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    numbers: Numbers | None = None

    @property
    def ok(self) -> bool:
        """Whether it does what its files say; there may be warnings."""
        return not self.problems

    def __str__(self) -> str:
        if self.problems:
            return f"{self.adapter}: {'; also, '.join(self.problems)}"
        verdict = f"warning: {'; also, '.join(self.warnings)}" if self.warnings else "ok"
        rounding = self.numbers.quantisation if self.numbers else None
        note = "" if rounding is None else f"; {ROUNDED.format(rounding)}"
        return f"{self.adapter}: {verdict}{note}"


@dataclass(frozen=True)
class CheckReport:
    """The result of `check`.

    Attributes:
        base: as given.
        adapters: one per adapter, in the order given.

    Example:
        >>> report = check(["adapters/math"], "my/base")  # doctest: +SKIP
        >>> report.ok, [adapter.adapter for adapter in report.adapters]  # doctest: +SKIP
        (True, ['math'])
    """

    base: str
    adapters: tuple[AdapterCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with any of them."""
        return all(adapter.ok for adapter in self.adapters)


def check(
    adapters: Sequence[str | Path], base: str, device: str = "auto", threads: int | None = None
) -> CheckReport:
    """Load each adapter in every way that has to give the same, and compare log-probabilities.

    Beside an adapter memory holds the base as it is stored, and one layer of it in float32.

    Args:
        adapters: PEFT adapter directories or hub ids.
        base: that they are adapters of: directory, hub id or ``embedded:smollm2-135m``.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads; default: PyTorch's choice.

    Returns:
        What is wrong with each adapter, and what was measured of it.

    Raises:
        UserError: an adapter is not there, or the base cannot be used. What is wrong with an
            adapter itself is in the report.

    Example:
        >>> for adapter in check(["adapters/math", "adapters/science"], "my/base").adapters:  # doctest: +SKIP
        ...     print(adapter)
        math: ok
        science: ok
    """
    if not adapters:
        raise UserError("no adapters given; name their directories")
    refuse_unmatched(adapters)
    for path in adapters:
        local_directory(path, ADAPTER_FILES)
    resolved = resolve_base(base)
    if resolved.packing == INT8:
        raise UserError(
            f"{base}: its layers round their inputs to 8 bits, which makes differences that are no "
            "adapter's; check on the original checkpoint, or on nf4:BASE"
        )
    if threads is not None:
        torch.set_num_threads(threads)
    report = inspect_weights(inspect_experts(adapters, resolved), base)
    errors = {problem.expert: problem.text for problem in reversed(report.errors("delta"))}
    readable = {info.name: info for info in report.experts if info.name not in errors}
    measured = measure(resolved, [*readable.values()], device, threads) if readable else {}
    modules = skeleton(resolved)
    checks = []
    for name, path in zip(report.names, adapters, strict=True):
        odd = tuple(problem.text for problem in report.warnings if problem.expert == name)
        numbers = measured.get(name) or errors[name]
        if isinstance(numbers, str):
            checks.append(AdapterCheck(name, str(path), (numbers,), odd))
            continue
        selected = readable[name].config.selected(modules.linear, modules.output)
        problems = (*_coverage(readable[name], selected), *_results(numbers))
        checks.append(AdapterCheck(name, str(path), problems, odd, numbers))
    return CheckReport(base, tuple(checks))


def _coverage(info: AdapterInfo, selected: frozenset[str]) -> Iterator[str]:
    """Tensors that are not used, and modules that the config selects and the file lacks."""
    if info.ignored:
        yield f"{ignored_in_words(info)}; select them there, or export it again"
    if lacks := sorted(selected - info.modules.keys()):
        yield (
            f"its adapter_config.json selects {in_words(lacks)}, which its file lacks: the base's "
            "stay there; export it again, or select only what was trained"
        )


def _results(numbers: Numbers) -> Iterator[str]:
    """The verdict on the measured differences; NaN is never within a bound."""
    if max(numbers.peft_change, numbers.change) <= numbers.rounding:
        yield "changes nothing, in PEFT neither; train it, or export it again"
        return
    if numbers.change <= numbers.rounding:
        yield (
            "is not applied: PEFT's loading changes log-probabilities by "
            f"{numbers.peft_change:.2g}, ours not; {REPORT}"
        )
        return
    if not numbers.from_peft <= numbers.rounding:
        yield (
            "weight 1 is not the adapter that PEFT loads: log-probabilities differ by "
            f"{numbers.from_peft:.2g}, where it changes the base's by "
            f"{numbers.peft_change:.2g}; {REPORT}"
        )
    if not numbers.zero_from_base <= 0:
        yield (
            "weight 0 is not the base: log-probabilities differ by "
            f"{numbers.zero_from_base:.2g}; {REPORT}"
        )
    if not numbers.again <= 0:
        yield (
            "loaded again it gives another result: log-probabilities differ by "
            f"{numbers.again:.2g}; see that nothing writes its files"
        )
    if not numbers.bfloat16_kept >= LEAST_KEPT:
        yield (
            f"in bfloat16 {max(numbers.bfloat16_kept, 0.0):.0%} of its effect is left, the rest is "
            "lost in rounding the weights; use it in float32"
        )


def quantisation_error(model: Any, base: BaseModel, changes: Mapping[str, LowRank]) -> float | None:
    """``|W - dequant(W4)| / |B A|``, Frobenius norms over the 4-bit layers that are changed.

    Where it is large, the adapter is right on these codes only: merged into the plain weights, or
    the sum rounded to codes again, it is another model.

    Codes of a base that was packed before have no W: then it is `expected_error`. None: no 4-bit
    layer is changed.

    Args:
        model: with layers of bitsandbytes.
        base: that it is loaded from.
        changes: of an adapter, by parameter.
    """
    from bitsandbytes.functional import dequantize_4bit

    plain = StoredTensors(base.weight_files) if base.scheme else {}
    lost = changed = 0.0
    for name, change in changes.items():
        weight = model.get_parameter(name)
        if (state := getattr(weight, "quant_state", None)) is None:
            continue
        if name in plain:
            rounded = dequantize_4bit(weight.data, state).to("cpu", torch.float32)
            lost += float((plain[name].float() - rounded).square().sum(dtype=torch.float64))
        else:
            lost += expected_error(weight.data, state)
        changed += float(squared_norm(change.b, change.a))
    return math.sqrt(lost / changed) if changed else None


def expected_error(codes: Tensor, state: Any) -> float:
    """The squared Frobenius norm that rounding to these codes is expected to have left out.

    A weight is taken to be uniform between the middles to the neighbours of its level (Bennett
    1948): an error of variance (upper^3 + lower^3) / (3 (upper + lower)), times absmax^2.

    Args:
        codes: two to a byte, the first one in its upper half.
        state: of bitsandbytes, with levels, block size and absmax of each block.
    """
    from bitsandbytes.functional import dequantize_blockwise

    absmax = state.absmax
    if state.nested:
        absmax = dequantize_blockwise(absmax, state.state2) + state.offset
    levels, order = state.code.double().cpu().sort()
    gaps = levels.diff() / 2
    upper, lower = torch.cat([gaps, gaps[-1:] * 0]), torch.cat([gaps[:1] * 0, gaps])
    variance = torch.empty_like(levels)
    variance[order] = (upper**3 + lower**3) / (3 * (upper + lower))
    bytes_ = codes.flatten().cpu()
    error = variance[torch.stack([bytes_ >> 4, bytes_ & 15], dim=1).flatten().long()]
    blocks = error[: math.prod(state.shape)].split(state.blocksize)
    sums = torch.stack([block.sum() for block in blocks])
    return float((sums * absmax.flatten().cpu().double().square()).sum())


class LayerByLayer:
    """A plain base with a patch, merged into each layer as it runs.

    Sums that merging rounds can be compared in float32 alone; all of a base of 7B would need 28 GB.
    Memory holds the base as it is stored, and one layer in float32. Of the vocabulary's weights
    that are not changed the input has the rows of the prompts, the output `ROWS` at a time.

    Args:
        base: with plain weights.
        device: ``auto``, ``cpu``, ``cuda``, ...
        dtype: in which a layer computes, and to which its merged weights are rounded.

    Attributes:
        name: of the base, for error messages.
        model: of transformers, in the dtype of its files between passes.
    """

    def __init__(self, base: BaseModel, device: str, dtype: torch.dtype) -> None:
        self.model, tokenizer = load_stored(base, pick_device(device))
        self.name, self.dtype = base.spec, dtype
        self._prompts = PromptTokenizer(tokenizer, None)
        self._changes: Mapping[str, LowRank] = {}
        self._kept: list[tuple[Tensor, Tensor]] = []
        self.chat = self._prompts.chat
        output = self.model.get_output_embeddings()
        self._output = output if type(output) is torch.nn.Linear else None
        if self._output is not None:
            self._output.forward = partial(by_rows, self._output, dtype)  # type: ignore[method-assign]
        for name, module, recurse in _parts(self.model):
            module.register_forward_pre_hook(partial(self._enter, name, recurse))
            module.register_forward_hook(self._leave, always_call=True)

    def load(self, patch: Patch) -> None:
        """Make the model ``base + patch``; see `Mixing.load`."""
        self._changes = patch.low_rank

    @torch.inference_mode()
    def next_token_logprobs(self, prompts: Sequence[str]) -> Tensor:
        """See `TransformersEngine.next_token_logprobs`."""
        rows = [torch.tensor(self._prompts.encode_prompt(prompt)) for prompt in prompts]
        # what is to the right of a prompt is not seen from it
        ids = pad_sequence(rows, batch_first=True).to(self.model.device)
        seen = torch.ones_like(ids)
        logits = self.model(input_ids=ids, attention_mask=seen, use_cache=False).logits
        last = torch.stack([logits[n, len(row) - 1] for n, row in enumerate(rows)])
        return last.float().log_softmax(-1).cpu()

    def _enter(self, name: str, recurse: bool, module: Any, inputs: object) -> None:
        """Put one part into the dtype of computation, with its changes."""
        own = {
            weight.removeprefix(f"{name}."): change
            for weight, change in self._changes.items()
            if weight.startswith(f"{name}.")
        }
        if not own and self._of_vocabulary(module):
            return
        stored = {}
        for key, parameter in module.named_parameters(recurse=recurse):
            self._kept.append((parameter, parameter.data))
            stored[key] = parameter.data
            parameter.data = parameter.data.to(self.dtype, copy=key in own)
        if own:
            PatchedWeights(module, stored).load(Patch(low_rank=own))

    def _leave(self, module: Any, inputs: object, output: Any) -> Any:
        for parameter, stored in self._kept:
            parameter.data = stored
        self._kept.clear()
        if output is None or not self._of_vocabulary(module):  # None: it failed
            return output
        return output.to(self.dtype)

    def _of_vocabulary(self, module: Any) -> bool:
        """Whether its output can be in the dtype of computation without its weights."""
        return module is self._output or type(module) is torch.nn.Embedding


def by_rows(layer: torch.nn.Linear, dtype: torch.dtype, inputs: Tensor) -> Tensor:
    """The layer's output in a dtype, to which so many rows of its weights are taken at a time.

    Example:
        >>> layer = torch.nn.Linear(2, 3, bias=False, dtype=torch.bfloat16)
        >>> by_rows(layer, torch.float32, torch.zeros(1, 2))
        tensor([[0., 0., 0.]], grad_fn=<CatBackward0>)
    """
    inputs = inputs.to(dtype)
    parts = [linear(inputs, rows.to(dtype)) for rows in layer.weight.split(ROWS)]
    output = torch.cat(parts, dim=-1)
    return output if layer.bias is None else output + layer.bias.to(dtype)


def _parts(model: Any) -> Iterator[tuple[str, Any, bool]]:
    """Name, module, and whether it is a layer as a whole; else it stands for its own weights."""
    layers: list[str] = []
    for name, module in model.named_modules():
        if name.startswith(tuple(f"{layer}." for layer in layers)):
            continue
        parent = model.get_submodule(name.rpartition(".")[0])
        if isinstance(parent, torch.nn.ModuleList):
            layers.append(name)
            yield name, module, True
        elif any(True for _ in module.parameters(recurse=False)):
            yield name, module, False


@dataclass(frozen=True)
class Numbers:
    """The largest differences of any log-probability, in nats, in float32.

    Attributes:
        rounding: up to here two results count as equal.
        change: weight 1 from the base.
        peft_change: the adapter as PEFT loads it from the base.
        from_peft: weight 1 from the adapter as PEFT loads it.
        zero_from_base: weight 0 from the base.
        again: weight 1 from weight 1 loaded a second time.
        bfloat16_kept: share of the change that is left in bfloat16, by projection; NaN where
            there was none.
        quantisation: norm of what 4 bits leave out of the weights that it changes, relative to its
            change (|W - dequant(W4)| / |B A|); None for a base that is not in 4 bits.
    """

    rounding: float
    change: float
    peft_change: float
    from_peft: float
    zero_from_base: float
    again: float
    bfloat16_kept: float = float("nan")
    quantisation: float | None = None


def measure(
    base: BaseModel, adapters: Sequence[AdapterInfo], device: str, threads: int | None
) -> dict[str, Numbers | str]:
    """The numbers of each adapter, by its name, or why there are none."""
    measured: dict[str, Numbers | str] = {}
    effects: dict[str, Tensor] = {}
    meter = Meter(base, torch.float32, device, threads)
    for info in adapters:
        try:
            measured[info.name], effects[info.name] = meter.compare(info)
        except UserError as error:
            measured[info.name] = str(error)
    del meter  # before the base is loaded a second time
    gc.collect()  # PEFT leaves circles
    meter = Meter(base, torch.bfloat16, device, threads)
    for info in adapters:
        numbers = measured[info.name]
        if isinstance(numbers, str):
            continue
        try:
            kept, ratio = meter.kept(info, effects[info.name]), meter.quantisation(base, info)
            measured[info.name] = replace(numbers, bfloat16_kept=kept, quantisation=ratio)
        except UserError as error:
            measured[info.name] = str(error)
    return measured


class Meter:
    """A base that computes in one dtype, before the prompts.

    Packed weights stay packed, others as they are stored.

    Args:
        base: to load.
        dtype: of what is computed.
        device: ``auto``, ``cpu``, ``cuda``, ...
        threads: CPU threads.

    Raises:
        UserError: the base's log-probabilities are not numbers.
    """

    def __init__(
        self, base: BaseModel, dtype: torch.dtype, device: str, threads: int | None
    ) -> None:
        spelled = str(dtype).removeprefix("torch.")
        self._engine = (
            load_engine(base, spelled, device, threads)
            if base.packing
            else LayerByLayer(base, device, dtype)
        )
        self._prompts = [self._engine.chat(prompt) for prompt in PROMPTS]
        self._bare = self.of({})

    def of(self, changes: Mapping[str, LowRank]) -> Tensor:
        """Log-probabilities of the next token after the prompts, (prompts, V) float32.

        Args:
            changes: of the base, by parameter.

        Raises:
            UserError: they are not numbers.
        """
        self._engine.load(Patch(low_rank=changes))
        values = self._engine.next_token_logprobs(self._prompts)
        if not bool(values.isfinite().any(-1).all()) or bool(values.isnan().any()):
            added = " with what is added to it" if changes else ""
            raise undefined(f"{self._engine.name}{added}", self._engine.dtype)
        return values

    def kept(self, info: AdapterInfo, whole: Tensor) -> float:
        """The share of an adapter's whole effect that is left in this dtype: its projection.

        Raises:
            UserError: results are not numbers.
        """
        effect = self.of(load_factors(info)) - self._bare
        return float((effect * whole).sum() / (whole * whole).sum())

    def quantisation(self, base: BaseModel, info: AdapterInfo) -> float | None:
        """See `Numbers`."""
        if not base.packing:
            return None
        from pyswarmopt_llm.tools.check import quantisation_error

        return quantisation_error(self._engine.model, base, load_factors(info))

    def compare(self, info: AdapterInfo) -> tuple[Numbers, Tensor]:
        """The numbers of an adapter in this dtype, and what it adds to the log-probabilities.

        Raises:
            UserError: PEFT does not load it, or results are not finite.
        """
        changes = load_factors(info)
        nothing = {name: LowRank(b=change.b * 0, a=change.a) for name, change in changes.items()}
        once, zero = self.of(changes), self.of(nothing)
        again, peft = self.of(load_factors(info)), self._by_peft(info.path)
        numbers = Numbers(
            rounding=ROUNDING * max(1.0, float(self._bare.abs().max())),
            change=apart(once, self._bare),
            peft_change=apart(peft, self._bare),
            from_peft=apart(once, peft),
            zero_from_base=apart(zero, self._bare),
            again=apart(again, once),
        )
        return numbers, once - self._bare

    def _by_peft(self, folder: Path) -> Tensor:
        """Log-probabilities with an adapter as PEFT loads it from a folder.

        Raises:
            UserError: PEFT does not load it.
        """
        self._engine.load(Patch())
        model = self._engine.model
        try:
            load_by_peft(model, folder)
            return self._engine.next_token_logprobs(self._prompts)
        finally:
            _unwrap(model)


def apart(first: Tensor, second: Tensor) -> float:
    """The largest difference.

    Example:
        >>> import torch
        >>> apart(torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.25]))
        0.5
    """
    return float((first - second).abs().max())


def _unwrap(model: Any) -> None:
    """Put the layers of a model back that PEFT wrapped, also if it failed in the middle."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = [name for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name in wrapped:
        model.set_submodule(name, model.get_submodule(name).get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config


def load_stored(base: BaseModel, device: torch.device | str = "cpu") -> tuple[Any, Any]:
    """`load_model` in the dtype of the base's largest weight."""
    stored = StoredTensors(base.weight_files)
    largest = max(stored, key=lambda name: math.prod(stored.shapes[name]))
    return load_model(base, stored.dtype(largest), device)


def load_by_peft(model: Any, folder: Path) -> None:
    """Wrap the layers of a model as PEFT does for an adapter.

    Raises:
        UserError: PEFT does not load it.
    """
    quiet_bitsandbytes()  # peft imports it if it is installed
    import peft

    try:
        # It draws what a file lacks, and warns of it.
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings(action="ignore"):
            peft.PeftModel.from_pretrained(model, folder, torch_device=str(model.device)).eval()
    except Exception as error:  # whatever a configuration leads to
        if out_of_memory(error):
            raise
        raise UserError(f"PEFT does not load it ({first_line(error)}); export it again") from error
