"""How many digits the values of a function have: printed numbers, single precision, or errors of
each point's own.

Differences of values are slopes only if well above the error (Moré & Wild 2012, ACM Trans. Math.
Softw. 38, "Estimating derivatives of noisy simulations").
"""

from __future__ import annotations

import math
from decimal import Decimal

from pyswarmopt.base.arrays import Floats
from pyswarmopt.base.record import StateRecord

TOLD = 5  # least number of values for a judgement
MOST_DIGITS = 12  # of printed numbers; those computed in double precision have 15 to 17
MOST_BITS = 40  # most bits of numbers in single precision, which has 24; double has 53


class Resolution(StateRecord):
    """Precision common to all values so far.

    Example:
        >>> import numpy as np
        >>> printed = Resolution()
        >>> printed.take_in(np.array([123.456, 1.23457, 17.25, 0.001, 3.0]))
        >>> printed.digits, printed.error(123.456), printed.error(2.0)
        (6, 0.0005, 5e-06)
        >>> computed = Resolution()
        >>> computed.take_in(np.sqrt([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
        >>> computed.error(2.0)
        0.0
    """

    told: int = 0  # number of values
    digits: int = 0  # most significant digits of a value
    places: int = 0  # most digits after the decimal point
    bits: int = 0  # most significant bits
    ripple: float = 0.0  # error that a descent has met, as a share of the values

    def take_in(self, values: Floats) -> None:
        """Learn from values, (n,)."""
        for value in values.tolist():
            if self.is_double:
                return
            if not (math.isfinite(value) and value):
                continue
            self.told += 1
            printed = Decimal(repr(value)).normalize().as_tuple()
            self.digits = max(self.digits, len(printed.digits))
            self.places = max(self.places, -int(printed.exponent))
            numerator = abs(value.as_integer_ratio()[0])
            odd = numerator // (numerator & -numerator)
            self.bits = max(self.bits, odd.bit_length())

    @property
    def is_double(self) -> bool:
        """Whether a value had more digits than any printed number would."""
        return self.digits > MOST_DIGITS and self.bits > MOST_BITS

    def error(self, value: float) -> float:
        """The largest error of a value near this one, beyond double's rounding."""
        return max(self._rounding(value), self.ripple * abs(value))

    def _rounding(self, value: float) -> float:
        if self.is_double or self.told < TOLD or not math.isfinite(value):
            return 0.0
        if self.digits > MOST_DIGITS:
            return abs(value) * 2.0**-self.bits
        if value:
            leading = math.floor(math.log10(abs(value)))
        else:
            leading = -self.places
        return 0.5 * 10.0 ** max(-self.places, leading + 1 - self.digits)
