"""Find the lightest spring that carries its load: three parameters, four constraints.

    python examples/gallery/constrained_design.py spring.png

Arora 1989, "Introduction to Optimum Design": wire diameter d and coil diameter D (inches), N active
coils. The best known weight is 0.012665.
"""

import sys

import pyswarmopt as pso

BOUNDS = {"d": (0.05, 2.0), "D": (0.25, 1.3), "N": (2.0, 15.0)}


def weight(d: float, D: float, N: float) -> float:
    return (N + 2) * D * d**2


def limits(d: float, D: float, N: float) -> list[float]:
    """At most 0 if feasible: deflection, shear stress, surge frequency, outer diameter."""
    stress = (4 * D**2 - d * D) / (12566 * (D * d**3 - d**4)) + 1 / (5108 * d**2) - 1
    return [1 - D**3 * N / (71785 * d**4), stress, 1 - 140.45 * d / (D**2 * N), (D + d) / 1.5 - 1]


found = {}
for name in ("default", "constriction"):
    found[name] = pso.minimize(
        weight,
        space=BOUNDS,
        constraints=limits,
        recipe=None if name == "default" else name,
        max_evals=1000,
        seed=0,
    )
    print(f"{name}: {found[name].fun:.6f}")

ax = pso.plot.convergence(found, optimum=0.012665)
ax.set_title("a spring: weight above the best known")
ax.figure.savefig(sys.argv[1])
