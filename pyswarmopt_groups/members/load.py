"""Opens members from a user's specs: paths, hub ids, runs, endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from pyswarmopt_groups.members.classifier import ClassifierMember, find_classifier
from pyswarmopt_groups.members.endpoint import EndpointMember, is_endpoint, url_and_model
from pyswarmopt_groups.members.local import LocalMember, SharedBase
from pyswarmopt_groups.members.protocol import Member
from pyswarmopt_llm.common.errors import InvalidOption, UserError
from pyswarmopt_llm.common.files.regular import user_path
from pyswarmopt_llm.common.interfaces import Patch
from pyswarmopt_llm.engine.transformers import load_engine
from pyswarmopt_llm.experts.adapter import load_factors
from pyswarmopt_llm.experts.compatibility import numbered, unique_names
from pyswarmopt_llm.mix import saved_kind
from pyswarmopt_llm.tokens import members as token_members
from pyswarmopt_llm.use.opening import check_unchanged, result_of


def open_members(
    specs: Sequence[str],
    base: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    threads: int | None = None,
) -> list[Member]:
    """Load all members; those of one base share it in memory.

    Args:
        specs: model or adapter directories, hub ids, ``embedded:NAME``, finished runs,
            directories of sequence classifiers, or ``URL#MODEL``.
        base: base of all adapters; None: each adapter's own. A run uses its own.
        dtype: dtype of the weights.
        device: device of the models.
        threads: CPU threads; None: PyTorch's choice.

    Raises:
        UserError: no member is given, one cannot be used, or two are the same.
    """
    if not specs:
        raise InvalidOption("members", None, "is missing; list models, adapters, runs or endpoints")
    loader = _Loader(dtype, device, threads)
    loading = [loader.find(spec, base) for spec in specs]
    members = [load(name) for load, name in zip(loading, _names(specs), strict=True)]
    seen: dict[str, str] = {}
    for member in members:
        twin = seen.setdefault(member.fingerprint, member.name)
        if twin != member.name:
            raise UserError(
                f"{member.name} is the same as {twin} and would count twice; remove one of them"
            )
    return members


@dataclass(frozen=True)
class _Loader:
    """Finds members by their specs and loads them on a machine; bases are loaded once."""

    dtype: str
    device: str
    threads: int | None
    bases: dict[str, SharedBase] = field(default_factory=dict)

    def find(self, spec: str, base: str | None) -> Callable[[str], Member]:
        """Check a spec without loading it; the returned function loads the member, given its name."""
        if is_endpoint(spec):
            url, model = url_and_model(spec)
            return partial(EndpointMember, url=url, model=model)
        path = user_path(spec)
        if (path / "run.json").is_file():
            best, adapter = result_of(path)
            if adapter is None:
                return self.find(best, None)
            return self.find(adapter, best)
        check_unchanged((base, spec) if base else (spec, None))
        if saved_kind(path) is not None:
            raise UserError(
                f"{spec} consists of several models and cannot be a member; list its models instead"
            )
        if (classifier := find_classifier(spec)) is not None:
            return partial(ClassifierMember, source=classifier, device=self.device)
        return partial(self._model, token_members.find_members([spec], base)[0])

    def _model(self, found: token_members.TokenMember, name: str) -> Member:
        key = found.base.fingerprint
        if key not in self.bases:
            engine = load_engine(found.base, self.dtype, self.device, self.threads)
            self.bases[key] = SharedBase(engine)
        patch = Patch()
        if found.adapter is not None:
            patch = Patch(low_rank=load_factors(found.adapter))
        return LocalMember(name, found.fingerprint, self.bases[key], patch)


def _names(specs: Sequence[str]) -> list[str]:
    """The last part of each path, or the model's name, numbered if not unique."""
    local = iter(unique_names([spec for spec in specs if not is_endpoint(spec)]))
    return numbered(
        [url_and_model(spec)[1] if is_endpoint(spec) else next(local) for spec in specs]
    )
