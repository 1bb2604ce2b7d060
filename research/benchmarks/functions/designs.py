"""Engineering designs with catalogues, whole numbers, choices and constraints: the default with
`constraints=` beside the default with a penalty of one line.

    python research/benchmarks/functions/designs.py --out research/evidence/designs.jsonl
    python research/benchmarks/functions/designs.py --out research/evidence/designs.jsonl --table

The rule of the search was chosen on `CHOSEN`; nothing was chosen on `CLAIMED`, which were written down
before the first run. Every constraint is relative, so that 0.1 is a tenth too much. The penalty is
`fun + weight * sum of violations`, with the median of `fun` at 200 random points as weight, fixed before.
A design has 40 calls for each parameter. The outcome is the best feasible value seen. A run that is in
the file is not made again.

Sources: vessel and spring as in Sandgren 1990 (J. Mech. Des. 112); cantilever: Thanedar & Vanderplaats
1995 (J. Struct. Eng. 121); welded beam with materials: Deb & Goyal 1996 (Comput. Sci. Inform. 26);
speed reducer: Golinski's, in the form of Mezura-Montes & Coello Coello 2005; ten bars with 42 sections:
Rajeev & Krishnamoorthy 1992 (J. Struct. Eng. 118); concrete beam: Amir & Hasegawa 1989 (J. Struct. Eng.
115); clutch brake: Osyczka 2002. The others are textbook formulas with numbers of ours.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from resumed import arguments, medians, outcomes

import pyswarmopt as pso

CALLS = 40  # for each parameter
FORMS = ("constraints", "penalty")


@dataclass(frozen=True)
class Design:
    """Parameters, what is to be small, and what must be at most 0, each by name."""

    space: dict[str, Any]
    fun: Callable[..., float]
    rules: Callable[..., list[float]]

    @property
    def calls(self) -> int:
        return CALLS * len(self.space)


# ---- chosen on ----

METALS = {  # modulus, density, extra for the price
    "6061": (69, 2.70, 0.1), "7075": (72, 2.81, 0.17), "Ti64": (114, 4.43, 0.9),
    "steel": (210, 7.85, 0.06),
}  # fmt: skip
PANEL = {
    "w": (8.0, 60.0), "h": (20.0, 100.0), "t": [1.0, 1.2, 1.5, 2.0, 2.5, 3.0], "n": pso.integer(2, 9),
    "m": list(METALS),
}  # fmt: skip


def panel(w, h, t, n, m):
    _, density, dear = METALS[m]
    return density * (2 * w * t + 1.6 * n * h) / 100 * (1 + dear)


def panel_rules(w, h, t, n, m):
    stiffness = METALS[m][0] * (1.6 * n * h**3 / 12 + w * t * h**2 / 2)
    return [1e8 / stiffness - 1, w / n / t / 22 - 1]


SECTIONS = [1.2, 1.7, 2.3, 3.1, 3.8, 4.7, 5.8, 6.9, 8.2, 9.4, 11.0, 13.1, 15.5, 18.7]  # cm2
TOWER = {f"a{i}": pso.ordered(SECTIONS) for i in range(7)} | {"base": (1.0, 5.0), "top": (0.3, 2.0)}


def _tower(base, top, **areas):
    heights = np.linspace(0.0, 12.0, 8)
    widths = base + (top - base) * heights / 12
    lengths = np.hypot(np.diff(heights), np.diff(widths) / 2)
    area = np.array([areas[f"a{i}"] for i in range(7)])
    moments = 18.0 * (12.0 - heights[:7])  # kN m, of a load at the top
    forces = moments / widths[:7] + 12.0
    return area, lengths, widths[:7], forces


def tower(**p):
    area, lengths, widths, _ = _tower(**p)
    return float((0.785 * area * (4 * lengths + 3 * widths)).sum())


def tower_rules(**p):
    area, lengths, _, forces = _tower(**p)
    stress = 10 * forces / area / 160  # of 160 MPa
    buckling = forces / (2.07e3 * 0.6 * area**2 / (100 * lengths**2) * math.pi**2 / 10)
    return [float(stress.max()) - 1, float(buckling.max()) - 1]


GEARBOX = {f"z{i}": pso.integer(14, 90) for i in range(4)} | {
    "module": (1.0, 5.0),
    "width": (5.0, 60.0),
}


def gearbox(z0, z1, z2, z3, module, width):
    return 7.85e-6 * math.pi / 4 * module**2 * width * (z0**2 + z1**2 + z2**2 + z3**2)


def gearbox_rules(z0, z1, z2, z3, module, width):
    ratio = z1 / z0 * z3 / z2
    torques = 20.0, 20.0 * z1 / z0
    bending = max(
        2e3 * t / (module**2 * width * z) * 2.9 for t, z in zip(torques, (z0, z2), strict=True)
    )
    return [abs(ratio / 12.7 - 1) / 0.002 - 1, bending / 180 - 1]


VESSEL = {
    "shell": pso.integer(1, 99),
    "head": pso.integer(1, 99),
    "r": (10.0, 200.0),
    "length": (10.0, 240.0),
}


def vessel(shell, head, r, length):
    s, h = 0.0625 * shell, 0.0625 * head
    return 0.6224 * s * r * length + 1.7781 * h * r**2 + 3.1661 * s**2 * length + 19.84 * s**2 * r


def vessel_rules(shell, head, r, length):
    s, h = 0.0625 * shell, 0.0625 * head
    volume = math.pi * r**2 * length + 4 / 3 * math.pi * r**3
    return [0.0193 * r / s - 1, 0.00954 * r / h - 1, 1296000 / volume - 1]


WIRES = [
    0.009, 0.0095, 0.0104, 0.0118, 0.0128, 0.0132, 0.014, 0.015, 0.0162, 0.0173, 0.018, 0.020, 0.023, 0.025,
    0.028, 0.032, 0.035, 0.041, 0.047, 0.054, 0.063, 0.072, 0.080, 0.092, 0.105, 0.120, 0.135, 0.148, 0.162,
    0.177, 0.192, 0.207, 0.225, 0.244, 0.263, 0.283, 0.307, 0.331, 0.362, 0.394, 0.4375, 0.5,
]  # fmt: skip
SPRING = {"coils": pso.integer(1, 70), "wire": pso.ordered(WIRES), "coil": (0.6, 3.0)}


def spring(coils, wire, coil):
    return math.pi**2 * coil * wire**2 * (coils + 2) / 4


def spring_rules(coils, wire, coil):
    ratio = coil / wire
    curvature = (4 * ratio - 1) / (4 * ratio - 4) + 0.615 / ratio if ratio > 1 else 9.0
    stiffness = 11.5e6 * wire**4 / (8 * coils * coil**3)
    length = 1000 / stiffness + 1.05 * (coils + 2) * wire
    stress = 8 * curvature * 1000 * coil / (math.pi * wire**3)
    deflection = 300 / stiffness
    return [
        stress / 189000 - 1, length / 14 - 1, 0.2 / wire - 1, (coil + wire) / 3 - 1, 3 / ratio - 1,
        deflection / 6 - 1, 1.25 / (700 / stiffness) - 1,
    ]  # fmt: skip


CHOSEN = {
    "panel": Design(PANEL, panel, panel_rules),
    "tower": Design(TOWER, tower, tower_rules),
    "gearbox": Design(GEARBOX, gearbox, gearbox_rules),
    "vessel": Design(VESSEL, vessel, vessel_rules),
    "spring": Design(SPRING, spring, spring_rules),
}

# ---- claimed on ----

MATERIALS = {  # cost of weld and bar, strength, Young's and shear modulus
    "steel": (0.1047, 0.0481, 30e3, 30e6, 12e6), "cast iron": (0.0489, 0.0224, 8e3, 14e6, 6e6),
    "aluminium": (0.5235, 0.2405, 5e3, 10e6, 4e6), "brass": (0.5584, 0.2566, 8e3, 16e6, 6e6),
}  # fmt: skip
BEAM = {
    "weld": ["two sides", "four sides"], "metal": list(MATERIALS), "h": pso.integer(1, 32),
    "l": (0.1, 10.0), "t": (0.1, 10.0), "b": pso.integer(1, 32),
}  # fmt: skip


def beam(weld, metal, h, l, t, b):  # noqa: E741
    weldment, bar, *_ = MATERIALS[metal]
    h, b = h / 16, b / 16
    length = l if weld == "two sides" else l + t
    return (1 + weldment) * h**2 * length + bar * t * b * (14 + l)


def beam_rules(weld, metal, h, l, t, b):  # noqa: E741
    *_, strength, young, shear = MATERIALS[metal]
    h, b = h / 16, b / 16
    throat = math.sqrt(2) * h
    if weld == "two sides":
        area = throat * l
        inertia = 2 * 0.707 * h * l * (l**2 / 12 + ((h + t) / 2) ** 2)
    else:
        area = throat * (l + t)
        inertia = 2 * 0.707 * h * (l**2 + t**2 + 3 * l * t + 3 * t**2) * (l + t) / 12
    radius = math.hypot(l / 2, (h + t) / 2)
    direct = 6000 / area
    twist = 6000 * (14 + l / 2) * radius / inertia
    tau = math.sqrt(direct**2 + twist**2 + l * direct * twist / radius)
    slender = 1 - t / 28 * math.sqrt(young / (4 * shear))
    buckling = 4.013 * math.sqrt(young * shear * t**2 * b**6 / 36) / 196 * slender
    return [
        tau / (0.577 * strength) - 1, 504000 / (t**2 * b) / strength - 1, h / b - 1,
        1 - buckling / 6000, 4 * 6000 * 14**3 / (young * t**3 * b) / 0.25 - 1,
    ]  # fmt: skip


CANTILEVER = {
    "b1": pso.integer(1, 5), "h1": pso.integer(30, 65),
    "b2": pso.ordered([2.4, 2.6, 2.8, 3.1]), "h2": pso.ordered([45.0, 50.0, 55.0, 60.0]),
    "b3": pso.ordered([2.4, 2.6, 2.8, 3.1]), "h3": pso.ordered([45.0, 50.0, 55.0, 60.0]),
    "b4": (1.0, 5.0), "h4": (30.0, 65.0), "b5": (1.0, 5.0), "h5": (30.0, 65.0),
}  # fmt: skip


def cantilever(**p):
    return 100 * sum(p[f"b{i}"] * p[f"h{i}"] for i in range(1, 6))


def cantilever_rules(**p):
    b, h = (np.array([p[f"{side}{i}"] for i in range(1, 6)]) for side in "bh")
    inertia = b * h**3 / 12
    stresses = 6 * 50000 * np.array([500, 400, 300, 200, 100]) / (b * h**2)
    weights = np.array([61, 37, 19, 7, 1])
    tip = 50000 * 100**3 / (3 * 2e7) * float((weights / inertia).sum())
    return [*(stresses / 14000 - 1), *(h / b / 20 - 1), tip / 2.7 - 1]


REDUCER = {
    "face": (2.6, 3.6), "module": pso.ordered([0.7, 0.72, 0.74, 0.76, 0.78, 0.8]), "teeth": pso.integer(17, 28),
    "l1": (7.3, 8.3), "l2": (7.3, 8.3), "d1": (2.9, 3.9), "d2": (5.0, 5.5),
}  # fmt: skip


def reducer(face, module, teeth, l1, l2, d1, d2):
    x = face * module**2 * (3.3333 * teeth**2 + 14.9334 * teeth - 43.0934)
    rest = -1.508 * face * (d1**2 + d2**2) + 7.4777 * (d1**3 + d2**3)
    return 0.7854 * x + rest + 0.7854 * (l1 * d1**2 + l2 * d2**2)


def reducer_rules(face, module, teeth, l1, l2, d1, d2):
    first = math.sqrt((745 * l1 / (module * teeth)) ** 2 + 16.9e6) / (110 * d1**3)
    second = math.sqrt((745 * l2 / (module * teeth)) ** 2 + 157.5e6) / (85 * d2**3)
    return [
        27 / (face * module**2 * teeth) - 1, 397.5 / (face * module**2 * teeth**2) - 1,
        1.93 * l1**3 / (module * teeth * d1**4) - 1, 1.93 * l2**3 / (module * teeth * d2**4) - 1,
        first - 1, second - 1, module * teeth / 40 - 1, 5 * module / face - 1, face / (12 * module) - 1,
        (1.5 * d1 + 1.9) / l1 - 1, (1.1 * d2 + 1.9) / l2 - 1,
    ]  # fmt: skip


AREAS = [
    1.62, 1.8, 1.99, 2.13, 2.38, 2.62, 2.63, 2.88, 2.93, 3.09, 3.13, 3.38, 3.47, 3.55, 3.63, 3.84, 3.87, 3.88,
    4.18, 4.22, 4.49, 4.59, 4.8, 4.97, 5.12, 5.74, 7.22, 7.97, 11.5, 13.5, 13.9, 14.2, 15.5, 16.0, 16.9, 18.8,
    19.9, 22.0, 22.9, 26.5, 30.0, 33.5,
]  # fmt: skip
NODES = np.array(
    [[720.0, 360.0], [720.0, 0.0], [360.0, 360.0], [360.0, 0.0], [0.0, 360.0], [0.0, 0.0]]
)
BARS = [(4, 2), (2, 0), (5, 3), (3, 1), (3, 2), (1, 0), (4, 3), (5, 2), (2, 1), (3, 0)]
TRUSS = {f"a{i}": pso.ordered(AREAS) for i in range(10)}
LENGTHS = [float(np.linalg.norm(NODES[i] - NODES[j])) for i, j in BARS]


def truss(**p):
    return 0.1 * sum(p[f"a{i}"] * length for i, length in enumerate(LENGTHS))


def truss_rules(**p):
    stiffness = np.zeros((12, 12))
    directions = []
    for i, (a, b) in enumerate(BARS):
        c = (NODES[b] - NODES[a]) / LENGTHS[i]
        row = np.zeros(12)
        row[2 * a : 2 * a + 2], row[2 * b : 2 * b + 2] = -c, c
        directions.append(row)
        stiffness += 1e7 * p[f"a{i}"] / LENGTHS[i] * np.outer(row, row)
    loads = np.zeros(8)
    loads[[3, 7]] = -1e5
    moved = np.append(np.linalg.solve(stiffness[:8, :8], loads), np.zeros(4))
    stresses = [1e7 * float(row @ moved) / LENGTHS[i] for i, row in enumerate(directions)]
    return [float(np.abs(stresses).max()) / 25000 - 1, float(np.abs(moved).max()) / 2 - 1]


STEEL = sorted(
    {round(n * area, 2) for n in range(1, 16) for area in (0.2, 0.31, 0.44, 0.6, 0.79, 1.0)}
)
CONCRETE = {"steel": pso.ordered(STEEL), "depth": pso.integer(28, 40), "width": (5.0, 10.0)}


def concrete(steel, depth, width):
    return 29.4 * steel + 0.6 * depth * width


def concrete_rules(steel, depth, width):
    moment = steel * depth - 7.375 * steel**2 / width
    return [depth / (4 * width) - 1, 1 - moment / 180]


BRAKE = {
    "inner": pso.integer(60, 80), "outer": pso.integer(90, 110), "t": pso.ordered([1.0, 1.5, 2.0, 2.5, 3.0]),
    "force": pso.integer(600, 1000, step=10), "discs": pso.integer(2, 9),
}  # fmt: skip


def brake(inner, outer, t, force, discs):
    return math.pi * (outer**2 - inner**2) * t * (discs + 1) * 7.8e-6


def brake_rules(inner, outer, t, force, discs):
    pressure = force / (math.pi * (outer**2 - inner**2))
    mean = 2 / 3 * (outer**3 - inner**3) / (outer**2 - inner**2)
    speed = math.pi * mean * 250 / 30 / 1000
    moment = 0.5 * force * mean / 1000 * discs * 2 / 2
    stop = 55 * math.pi * 250 / (30 * (moment + 3))
    return [
        20 / (outer - inner) - 1, (discs + 1) * (t + 0.5) / 30 - 1, pressure - 1,
        pressure * speed / 10 - 1, speed / 10 - 1, stop / 15 - 1, 60 / moment - 1,
    ]  # fmt: skip


SIZES = [4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 14.0, 16.0, 20.0, 24.0]
GRADES = {"4.6": (240, 1.0), "8.8": (640, 1.6), "10.9": (900, 2.3), "12.9": (1080, 3.4)}
FLANGE = {
    "size": pso.ordered(SIZES), "grade": list(GRADES), "bolts": pso.integer(4, 24), "circle": (120.0, 300.0),
    "thick": (5.0, 40.0), "gasket": ["fibre", "spiral", "rubber"],
}  # fmt: skip
GASKETS = {"fibre": (2.0, 11.0, 1.0), "spiral": (3.0, 69.0, 4.0), "rubber": (1.0, 1.4, 0.8)}


def flange(size, grade, bolts, circle, thick, gasket):
    plate = 6e-6 * math.pi / 4 * (circle + 3 * size) ** 2 * thick * 2
    return plate + bolts * GRADES[grade][1] * (0.1 + 0.0012 * size**2) + GASKETS[gasket][2]


def flange_rules(size, grade, bolts, circle, thick, gasket):
    factor, seating, _ = GASKETS[gasket]
    pressure, bore = 4.0, 110.0
    load = math.pi / 4 * bore**2 * pressure + 2 * math.pi * bore * 6 * factor * pressure
    load = max(load, math.pi * bore * 6 * seating)
    carried = bolts * 0.75 * math.pi / 4 * size**2 * 0.6 * GRADES[grade][0]
    arm = (circle - bore) / 2
    bending = 6 * load * arm / (math.pi * circle * thick**2)
    spacing = math.pi * circle / bolts
    return [
        load / carried - 1, bending / 150 - 1, 2.5 * size / spacing - 1, spacing / (7 * size) - 1,
        (bore + 24 + 2.2 * size) / circle - 1,
    ]  # fmt: skip


TUBES = [42.4, 48.3, 60.3, 76.1, 88.9, 101.6, 114.3, 139.7, 168.3, 193.7, 219.1]
STUFF = {  # modulus, strength, density, price
    "S235": (210e3, 235, 7.85, 1.0), "S355": (210e3, 355, 7.85, 1.12), "6082": (70e3, 250, 2.7, 3.6), 
    "CFRP": (120e3, 600, 1.6, 22.0),
}  # fmt: skip
COLUMN = {
    "tube": pso.ordered(TUBES), "wall": (2.0, 10.0), "legs": pso.integer(1, 6), "stuff": list(STUFF),
    "braces": pso.integer(0, 4),
}  # fmt: skip


def _ring(tube, wall):
    inside = tube - 2 * wall
    return math.pi / 4 * (tube**2 - inside**2), math.pi / 64 * (tube**4 - inside**4)


def column(tube, wall, legs, stuff, braces):
    _, _, density, price = STUFF[stuff]
    return (
        legs * _ring(tube, wall)[0] * 6e-3 * density * price
        + 9 * braces * math.sqrt(legs)
        + 14 * legs
    )


def column_rules(tube, wall, legs, stuff, braces):
    young, strength, *_ = STUFF[stuff]
    area, inertia = _ring(tube, wall)
    load = 900e3 / legs
    euler = math.pi**2 * young * inertia / (6000 / (1 + braces)) ** 2
    local = 0.2 * young * 2 * wall / tube
    stress = load / area
    return [
        stress / (strength / 1.5) - 1,
        2.5 * load / euler - 1,
        stress / local - 1,
        legs * tube / 700 - 1,
    ]


OUTER = [9.5, 12.7, 15.9, 19.1, 25.4, 31.8, 38.1]
PIPES = {"copper": (380, 9.0), "brass": (110, 7.5), "steel": (45, 3.0), "titanium": (20, 25.0)}
EXCHANGER = {
    "pipe": pso.ordered(OUTER), "metal": list(PIPES), "tubes": pso.integer(20, 600), "passes": [1, 2, 4, 8],
    "length": (1.0, 8.0), "pitch": (1.25, 2.0),
}  # fmt: skip


def exchanger(pipe, metal, tubes, passes, length, pitch):
    price = PIPES[metal][1] * tubes * length * pipe / 100
    return price + 900 * (tubes * (pipe * pitch / 1000) ** 2) ** 0.6 * length**0.5 + 12 * passes


def exchanger_rules(pipe, metal, tubes, passes, length, pitch):
    inside = pipe / 1000 - 0.0024
    speed = 0.02 * passes / (tubes * math.pi / 4 * inside**2)
    reynolds = 1000 * speed * inside / 8e-4
    film = 0.6 / inside * 0.023 * reynolds**0.8 * 5.4**0.4
    bundle = math.sqrt(tubes) * pipe * pitch / 1000
    across = 0.03 / (bundle * length * (pitch - 1) / pitch * 0.3)
    outside = 0.6 / (pipe / 1000) * 0.36 * (1000 * across * pipe / 1000 / 8e-4) ** 0.55 * 5.4**0.33
    wall = 0.0012 / PIPES[metal][0]
    transfer = 1 / (1 / film + 1 / outside + wall + 2e-4)
    duty = transfer * math.pi * pipe / 1000 * length * tubes * 25 * (1 - 0.03 * math.log2(passes))
    drop = passes * (0.316 / reynolds**0.25 * length / inside + 4) * 500 * speed**2
    return [1.2e6 / duty - 1, drop / 4e4 - 1, speed / 2.5 - 1, 0.6 / speed - 1, bundle / 0.9 - 1]


PULLEYS = [
    63,
    71,
    80,
    90,
    100,
    112,
    125,
    140,
    160,
    180,
    200,
    224,
    250,
    280,
    315,
    355,
    400,
    450,
    500,
]
BELTS = {
    "Z": (10, 0.06, 1.0, 63),
    "A": (13, 0.105, 1.3, 75),
    "B": (17, 0.17, 2.1, 125),
    "C": (22, 0.30, 3.6, 200),
}
DRIVE = {
    "small": pso.ordered(PULLEYS), "large": pso.ordered(PULLEYS), "belt": list(BELTS), "belts": pso.integer(1, 8),
    "centre": (150.0, 1200.0),
}  # fmt: skip


def drive(small, large, belt, belts, centre):
    width, _, price, _ = BELTS[belt]
    length = 2 * centre + math.pi / 2 * (small + large) + (large - small) ** 2 / (4 * centre)
    pulleys = 5.5e-6 * width * belts * (small**2 + large**2)
    return price * belts * length / 1000 * 4 + pulleys + 0.006 * centre


def drive_rules(small, large, belt, belts, centre):
    width, mass, _, least = BELTS[belt]
    speed = math.pi * small * 1450 / 6e4
    wrap = math.pi - 2 * math.asin(max(min((large - small) / (2 * centre), 1), -1))
    allowed = 9.0 * width**1.5 / 4 - mass * speed**2
    power = belts * allowed * (1 - math.exp(-0.5 * wrap)) * speed / 1000
    return [
        abs(large / small / 2.5 - 1) / 0.03 - 1, 7.5 / max(power, 0.1) - 1, least / small - 1, speed / 25 - 1,
        2.1 / max(wrap, 0.1) - 1, 0.7 * (small + large) / centre - 1,
    ]  # fmt: skip


CLAIMED = {
    "beam": Design(BEAM, beam, beam_rules),
    "cantilever": Design(CANTILEVER, cantilever, cantilever_rules),
    "reducer": Design(REDUCER, reducer, reducer_rules),
    "truss": Design(TRUSS, truss, truss_rules),
    "concrete": Design(CONCRETE, concrete, concrete_rules),
    "brake": Design(BRAKE, brake, brake_rules),
    "flange": Design(FLANGE, flange, flange_rules),
    "column": Design(COLUMN, column, column_rules),
    "exchanger": Design(EXCHANGER, exchanger, exchanger_rules),
    "drive": Design(DRIVE, drive, drive_rules),
}
DESIGNS = CHOSEN | CLAIMED

# ---- runs ----


def weight_of(design: Design) -> float:
    """The median of `fun` at 200 random points."""
    space = pso.Space(design.space)
    low, high = np.array(space.bounds, dtype=float).T
    rng = np.random.default_rng(0)
    whole = np.array(space.integrality) | np.array(space.categorical)
    points = rng.uniform(low - 0.5 * whole, high + 0.5 * whole, (200, len(low)))
    points = np.where(whole, np.clip(np.rint(points), low, high), points)
    return abs(float(np.median([design.fun(**space.decode(x)) for x in points])))


def run(design: str, form: str, seed: int) -> float | None:
    """The best feasible value that a search has seen; None if none was feasible."""
    given = DESIGNS[design]
    weight = weight_of(given)
    seen = []

    def fun(**p):
        value, amounts = given.fun(**p), given.rules(**p)
        seen.append((max(amounts) <= 0, value))
        if form == "penalty":
            return value + weight * sum(max(amount, 0.0) for amount in amounts)
        return value, amounts

    options = {"constraints": "returned"} if form == "constraints" else {}
    pso.minimize(fun, space=given.space, max_evals=given.calls, seed=seed, **options)
    return min((value for feasible, value in seen if feasible), default=None)


def main() -> None:
    args = arguments(__doc__, seeds=3).parse_args()
    seeds = range(0 if args.table else args.seeds)
    wanted = ((design, form, seed) for seed in seeds for design in DESIGNS for form in FORMS)
    rows = outcomes(args.out, ("design", "form", "seed"), wanted, "best", run)
    print(medians(rows, "design", ("form",), "best"))


if __name__ == "__main__":
    main()
