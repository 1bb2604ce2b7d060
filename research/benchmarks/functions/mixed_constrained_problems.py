"""Engineering designs with whole numbers and constraints, and the best values known for them.

The first half was there to choose on, the other half was named beforehand and nothing is chosen on
it. Sources: the beam is a user's; vessel, spring and stepped cantilever from Sandgren 1990 (J. Mech.
Design 112), Deb & Goyal 1996 (Comput. Sci. Informatics 26) and Thanedar & Vanderplaats 1995 (J.
Struct. Eng. 121); synthesis problems from Floudas 1995 (Nonlinear and Mixed-Integer Optimization) and
Yuan et al. 1988; process design from Himmelblau 1972; concrete beam from Amir & Hasegawa 1989 (J.
Struct. Eng. 115); reliability from Hikita et al. 1992 (IEEE Trans. Reliability 41) and Dhingra 1992;
side impact from Gu et al. 2001; the disc clutch from Osyczka 2002. Where discrete sizes stand in a
list, the whole number is their index. `best` is the least value that a source has or that any of
our long runs and SciPy's found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, pi, prod

import numpy as np
from constrained_problems import (
    Floats,
    Problem,
    _beam_rules,
    _reducer,
    _reducer_rules,
    _vessel,
    _vessel_rules,
)

WIRES = (
    0.009, 0.0095, 0.0104, 0.0118, 0.0128, 0.0132, 0.014, 0.015, 0.0162, 0.0173, 0.018, 0.020, 0.023,
    0.025, 0.028, 0.032, 0.035, 0.041, 0.047, 0.054, 0.063, 0.072, 0.080, 0.092, 0.105, 0.120, 0.135,
    0.148, 0.162, 0.177, 0.192, 0.207, 0.225, 0.244, 0.263, 0.283, 0.307, 0.331, 0.362, 0.394, 0.4375,
    0.500,
)  # fmt: skip
STEEL = (
    6.0, 6.16, 6.32, 6.6, 7.0, 7.11, 7.2, 7.8, 7.9, 8.0, 8.4, 8.69, 9.0, 9.3, 9.48, 10.0, 10.27, 11.06,
    12.0, 13.0, 14.0, 15.0,
)  # fmt: skip
WIDTHS, HEIGHTS = (2.4, 2.6, 2.8, 3.1), (45.0, 50.0, 55.0, 60.0)


def _coil(x: Floats) -> float:
    return float(pi**2 * x[2] * WIRES[int(x[1])] ** 2 * (x[0] + 2) / 4)


def _coil_rules(x: Floats) -> list[float]:
    turns, d, coil = x[0], WIRES[int(x[1])], x[2]
    load, shear, preload, most = 1000.0, 11.5e6, 300.0, 189e3
    index = coil / d
    factor = (4 * index - 1) / (4 * index - 4) + 0.615 / index if index > 1 else 1e3
    rate = shear * d**4 / (8 * turns * coil**3)
    free = load / rate + 1.05 * (turns + 2) * d
    return [
        8 * factor * load * coil / (pi * d**3) / most - 1, free / 14 - 1, 0.2 / d - 1, coil / 3 - 1,
        3 / index - 1, preload / rate / 6 - 1, 1.25 - (load - preload) / rate,
        preload / rate + (load - preload) / rate + 1.05 * (turns + 2) * d - free,
    ]  # fmt: skip


def _cantilever_sizes(x: Floats) -> tuple[list[float], list[float]]:
    widths = [x[0], WIDTHS[int(x[2])], WIDTHS[int(x[4])], x[6], x[8]]
    heights = [x[1], HEIGHTS[int(x[3])], HEIGHTS[int(x[5])], x[7], x[9]]
    return widths, heights


def _cantilever(x: Floats) -> float:
    return float(sum(100 * b * h for b, h in zip(*_cantilever_sizes(x), strict=True)))


def _cantilever_rules(x: Floats) -> list[float]:
    """Tip load 50 kN, five steps of 100 cm from the wall on."""
    sizes = list(zip(*_cantilever_sizes(x), strict=True))
    arms = (500.0, 400.0, 300.0, 200.0, 100.0)
    stress = [
        6 * 5e4 * arm / (b * h**2) / 14000 - 1 for arm, (b, h) in zip(arms, sizes, strict=True)
    ]
    terms = (61.0, 37.0, 19.0, 7.0, 1.0)
    bend = sum(12 * n / (b * h**3) for n, (b, h) in zip(terms, sizes, strict=True))
    deflection = 5e4 * 100.0**3 / (3 * 2e7) * bend / 2.7 - 1
    return [*stress, deflection, *(h / (20 * b) - 1 for b, h in sizes)]


def _process(x: Floats) -> float:
    a, _, c, _, e = x
    return float(5.357854 * c**2 + 0.835689 * a * e + 37.29329 * a - 40792.141)


def _process_rules(x: Floats) -> list[float]:
    a, b, c, d, e = x
    first = 85.334407 + 0.0056858 * b * e + 0.0006262 * a * d - 0.0022053 * c * e
    second = 80.51249 + 0.0071317 * b * e + 0.0029955 * a * b + 0.0021813 * c**2
    third = 9.300961 + 0.0047026 * c * e + 0.0012547 * a * c + 0.0019085 * c * d
    return [first - 92, -first, second - 110, 90 - second, third - 25, 20 - third]


def _redundant(
    alpha: Sequence[float],
    beta: float,
    volume: Sequence[float],
    weight: Sequence[float],
    limits: tuple[float, float, float],
) -> tuple[Callable[[Floats], float], Callable[[Floats], list[float]]]:
    """Stages in series: whole numbers of spares, then the reliability of one part of each stage."""
    n = len(alpha)

    def unreliability(x: Floats) -> float:
        return 1.0 - prod(1 - (1 - r) ** k for k, r in zip(x[:n], x[n:], strict=True))

    def rules(x: Floats) -> list[float]:
        spares, parts = x[:n], x[n:]
        cost = sum(
            a * 1e-5 * (-1000 / log(r)) ** beta * (k + exp(k / 4))
            for a, k, r in zip(alpha, spares, parts, strict=True)
        )
        space = sum(v * k**2 for v, k in zip(volume, spares, strict=True))
        mass = sum(w * k * exp(k / 4) for w, k in zip(weight, spares, strict=True))
        return [space / limits[0] - 1, cost / limits[1] - 1, mass / limits[2] - 1]

    return unreliability, rules


# Of four stages; and of five.
_overspeed = _redundant([1.0, 2.3, 0.3, 2.3], 1.5, [1, 2, 3, 2], [6, 6, 8, 7], (250, 400, 500))
_series = _redundant(
    [2.33, 1.45, 0.541, 8.05, 1.95], 1.5, [1, 2, 3, 4, 2], [7, 8, 8, 6, 9], (110, 175, 200)
)


def _teeth(x: Floats) -> float:
    return float((1 / 6.931 - x[0] * x[1] / (x[2] * x[3])) ** 2 * 1e6 + 1)


PRICES, MASSES, SIZES = (
    (9, 11, 13, 15, 7, 4, 17, 6),
    (6, 5, 9, 7, 3, 2, 8, 5),
    (3, 7, 5, 8, 4, 2, 9, 2),
)


def _knapsack(x: Floats) -> float:
    """Prices that fall with the number; the last coordinate is the real price of more room."""
    value = sum(p * (1 - 0.9**k) * 10 for p, k in zip(PRICES, x[:8], strict=True))
    return float(-value + 0.5 * x[8] ** 1.5)


def _knapsack_rules(x: Floats) -> list[float]:
    mass = sum(m * k for m, k in zip(MASSES, x[:8], strict=True))
    size = sum(s * k for s, k in zip(SIZES, x[:8], strict=True))
    return [mass - 60 - x[8], size - 55 - 2 * x[8]]


def _yuan(x: Floats) -> float:
    a, b, c, d, x1, x2, x3 = x
    binary = (a - 1) ** 2 + (b - 2) ** 2 + (c - 1) ** 2 - log(d + 1)
    return float(binary + (x1 - 1) ** 2 + (x2 - 2) ** 2 + (x3 - 3) ** 2)


def _yuan_rules(x: Floats) -> list[float]:
    a, b, c, d, x1, x2, x3 = x
    return [
        a + b + c + x1 + x2 + x3 - 5, c**2 + x1**2 + x2**2 + x3**2 - 5.5, a + x1 - 1.2, b + x2 - 1.8,
        c + x3 - 2.5, d + x1 - 1.2, b**2 + x2**2 - 1.64, c**2 + x3**2 - 4.25, b**2 + x3**2 - 4.64,
    ]  # fmt: skip


def _sixteenths(x: Floats) -> Floats:
    """Weld and plate in sixteenths of an inch: the welded beam's (h, l, t, b)."""
    h, b, weld, t = x
    return np.array([h / 16, weld, t, b / 16])


def _welded(x: Floats) -> float:
    h, weld, t, b = _sixteenths(x)
    return float(1.10471 * h**2 * weld + 0.04811 * t * b * (14 + weld))


def _reducer_in(x: Floats) -> Floats:
    """The teeth come first here."""
    return np.array([x[1], x[2], x[0], *x[3:]])


def _clutch_parts(x: Floats) -> tuple[float, float, float, float, float, float, float]:
    inner, outer, thickness, discs, force = x[0], x[1], 0.5 * x[2], x[3], x[4]
    torque = 2 / 3 * 0.5 * force * discs * (outer**3 - inner**3) / (outer**2 - inner**2) / 1e3
    area = pi * (outer**2 - inner**2)
    speed = 2 / 3 * pi * 250 / 30 * (outer**3 - inner**3) / (outer**2 - inner**2) / 1e3
    time = 55 * pi * 250 / 30 / (torque + 3)
    return inner, outer, thickness, discs, force / area, speed, time


def _clutch(x: Floats) -> float:
    inner, outer, thickness, discs, *_ = _clutch_parts(x)
    return float(pi * (outer**2 - inner**2) * thickness * (discs + 1) * 7.8e-6)


def _clutch_rules(x: Floats) -> list[float]:
    inner, outer, thickness, discs, pressure, speed, time = _clutch_parts(x)
    torque = 55 * pi * 250 / 30 / time - 3
    return [
        20 - (outer - inner), (discs + 1) * (thickness + 0.5) - 30, pressure - 1,
        pressure * speed - 10, speed - 10, time - 15, 1.5 * 40 - torque,
    ]  # fmt: skip


def _impact(x: Floats) -> float:
    _, _, a, b, c, d, e, _, g, _, _ = x
    return float(1.98 + 4.90 * a + 6.67 * b + 6.98 * c + 4.01 * d + 1.78 * e + 2.73 * g)


def _impact_rules(x: Floats) -> list[float]:
    """Two materials, whole numbers, come first."""
    h, i = (0.192, 0.345)[int(x[0])], (0.192, 0.345)[int(x[1])]
    a, b, c, d, e, f, g, j, k = x[2:]
    return [
        1.16 - 0.3717 * b * d - 0.00931 * b * j - 0.484 * c * i + 0.01343 * f * j - 1,
        0.261 - 0.0159 * a * b - 0.188 * a * h - 0.019 * b * g + 0.0144 * c * e
        + 0.0008757 * e * j + 0.080405 * f * i + 0.00139 * h * k + 0.00001575 * j * k - 0.32,
        0.214 + 0.00817 * e - 0.131 * a * h - 0.0704 * a * i + 0.03099 * b * f - 0.018 * b * g
        + 0.0208 * c * h + 0.121 * c * i - 0.00364 * e * f + 0.0007715 * e * j - 0.0005354 * f * j
        + 0.00121 * h * k - 0.32,
        0.74 - 0.61 * b - 0.163 * c * h + 0.001232 * c * j - 0.166 * g * i + 0.227 * b**2 - 0.32,
        28.98 + 3.818 * c - 4.2 * a * b + 0.0207 * e * j + 6.63 * f * i - 7.7 * g * h + 0.32 * i * j
        - 32,
        33.86 + 2.95 * c + 0.1792 * j - 5.057 * a * b - 11.0 * b * h - 0.0215 * e * j - 9.98 * g * h
        + 22.0 * h * i - 32,
        46.36 - 9.9 * b - 12.9 * a * h + 0.1107 * c * j - 32,
        4.72 - 0.5 * d - 0.19 * b * c - 0.0122 * d * j + 0.009325 * f * j + 0.000191 * k**2 - 4,
        10.58 - 0.674 * a * b - 1.95 * b * h + 0.02054 * c * j - 0.0198 * d * j + 0.028 * f * j - 9.9,
        16.45 - 0.489 * c * g - 0.843 * e * f + 0.0432 * i * j - 0.0556 * i * k - 0.000786 * k**2
        - 15.7,
    ]  # fmt: skip


def _box_rules(x: Floats) -> list[float]:
    """A hollow box girder: width, height and two plates in whole millimetres, its span in metres."""
    width, height, web, flange, span = x
    inertia = (width * height**3 - (width - 2 * web) * (height - 2 * flange) ** 3) / 12
    moment = 12e3 * (span + 6) ** 2 * 1e3 / 8
    return [
        moment * height / 2 / inertia / 160 - 1, (height - 2 * flange) / (60 * web) - 1,
        (width - 2 * web) / (40 * flange) - 1,
        5 * 12 * ((span + 6) * 1e3) ** 4 / (384 * 2.1e5 * inertia) / ((span + 6) * 2.5) - 1,
    ]  # fmt: skip


def _box(x: Floats) -> float:
    width, height, web, flange, span = x
    area = 2 * flange * width + 2 * web * (height - 2 * flange)
    return float(area * (span + 6) * 7.85e-3 + 200 * (3 - span) ** 2)


CHOSEN_ON = {
    problem.name: problem
    for problem in (
        Problem(
            "beam", [(10, 200), (10, 300), (100, 500)],
            lambda x: float(7.8e-3 * x[0] * x[1] + 0.01 * x[2]),
            lambda x: [6e5 * x[2] / (x[0] * x[1] ** 2) - 80], 22.372, integers=(0, 1),
        ),
        Problem(
            "pressure vessel", [(1, 99), (1, 99), (10, 200), (10, 200)], _vessel, _vessel_rules,
            6059.714335, integers=(0, 1),
        ),
        Problem("coil spring", [(1, 70), (0, 41), (0.6, 3)], _coil, _coil_rules, 2.658559, integers=(0, 1)),
        Problem(
            "stepped cantilever",
            [(1, 5), (30, 65), (0, 3), (0, 3), (0, 3), (0, 3), (1, 5), (30, 65), (1, 5), (30, 65)],
            _cantilever, _cantilever_rules, 64578.194, integers=(0, 1, 2, 3, 4, 5),
        ),
        Problem(
            "synthesis, 1 binary", [(0, 1), (0.2, 1), (-2.22554, -1)],
            lambda x: float(-0.7 * x[0] + 5 * (x[1] - 0.5) ** 2 + 0.8),
            lambda x: [-exp(x[1] - 0.2) - x[2], x[2] + 1.1 * x[0] + 1, x[1] - x[0] - 0.2],
            1.076543, integers=(0,),
        ),
        Problem(
            "process design", [(78, 102), (33, 45), (27, 45), (27, 45), (27, 45)], _process,
            _process_rules, -30665.538672, integers=(0, 1),
        ),
        Problem(
            "concrete beam", [(0, 21), (28, 40), (5, 10)],
            lambda x: float(29.4 * STEEL[int(x[0])] + 0.6 * x[1] * x[2]),
            lambda x: [x[1] / x[2] - 4,
                       180 + 7.375 * STEEL[int(x[0])] ** 2 / x[2] - STEEL[int(x[0])] * x[1]],
            359.2080, integers=(0, 1),
        ),
        Problem(
            "overspeed protection", [(1, 10)] * 4 + [(0.5, 0.999999)] * 4, *_overspeed, 4.53253232e-5,
            integers=(0, 1, 2, 3),
        ),
        Problem(
            "gear train", [(12, 60)] * 4, _teeth,
            lambda x: [float(sum(x)) - 130, x[1] - x[0], x[3] - x[2]], 1.0, integers=(0, 1, 2, 3),
        ),
    )
}  # fmt: skip
HELD_OUT = {
    problem.name: problem
    for problem in (
        Problem(
            "speed reducer", [(17, 28), (2.6, 3.6), (0.7, 0.8), (7.3, 8.3), (7.3, 8.3), (2.9, 3.9),
                              (5.0, 5.5)],
            lambda x: _reducer(_reducer_in(x)), lambda x: _reducer_rules(_reducer_in(x)),
            2994.471066, integers=(0,),
        ),
        Problem(
            "welded beam", [(2, 32), (2, 32), (0.1, 10), (0.1, 10)], _welded,
            lambda x: _beam_rules(_sixteenths(x)), 1.8812386933, integers=(0, 1),
        ),
        Problem(
            "synthesis, 4 binaries", [(0, 1)] * 4 + [(0, 5)] * 3, _yuan, _yuan_rules, 4.579582,
            integers=(0, 1, 2, 3),
        ),
        Problem(
            "synthesis, logarithm", [(0, 1), (0.5, 1.4)],
            lambda x: float(-x[0] + 2 * x[1] - log(x[1] / 2)),
            lambda x: [-x[1] - log(x[1] / 2) + x[0]], 2.124468, integers=(0,),
        ),
        Problem(
            "redundancy in series", [(1, 5)] * 5 + [(0.5, 0.999999)] * 5, *_series, 0.0683176121,
            integers=(0, 1, 2, 3, 4),
        ),
        Problem(
            "disc clutch", [(60, 80), (90, 110), (2, 6), (2, 9), (600, 1000)], _clutch, _clutch_rules,
            0.3136566105, integers=(0, 1, 2, 3),
        ),
        Problem(
            "side impact", [(0, 1)] * 2 + [(0.5, 1.5), (0.45, 1.35), (0.5, 1.5), (0.5, 1.5),
                                           (0.875, 2.625), (0.4, 1.2), (0.4, 1.2), (-30, 30), (-30, 30)],
            _impact, _impact_rules, 23.4654297, integers=(0, 1),
        ),
        Problem(
            "box girder", [(80, 400), (100, 600), (4, 40), (4, 40), (0, 6)], _box, _box_rules, 576.6558992,
            integers=(0, 1, 2, 3),
        ),
        Problem(
            "knapsack with room", [(0, 9)] * 8 + [(0, 20)], _knapsack, _knapsack_rules, -117.8792272,
            integers=tuple(range(8)),
        ),
    )
}  # fmt: skip
