"""Import nevergrad without its side effects, and mend what NumPy 2.4 broke in it."""

from __future__ import annotations

from typing import Any

import numpy as np

_state = np.random.get_state()
try:
    import nevergrad as ng
    from nevergrad.common.errors import TellNotAskedNotSupportedError
    from nevergrad.optimization import base, metamodel
    from nevergrad.parametrization.helpers import Normalizer
except ImportError as error:
    raise ImportError(
        "pyswarmopt.interop.nevergrad needs nevergrad: pip install nevergrad"
    ) from error
finally:
    np.random.set_state(_state)  # importing it draws from NumPy's global generator


def _as_float(value: Any) -> float:
    return float(np.asarray(value).item())


# Since NumPy 2.4 `float` refuses an array of one element, which nevergrad's metamodels (NGOpt's,
# say) hand to it.
metamodel.float = _as_float

__all__ = ["Normalizer", "TellNotAskedNotSupportedError", "base", "ng"]
