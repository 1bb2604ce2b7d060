"""The one thing that pyproject.toml cannot say: the wheel takes the demo's experts from examples/
of the checkout.
"""

from setuptools import find_packages, setup

EXPERTS = {
    "pyswarmopt_llm.demo_experts": "examples/experts",
    "pyswarmopt_llm.demo_others": "examples/others",
    "pyswarmopt_llm.demo_letters": "examples/letters",
    "pyswarmopt_llm.demo_unlike": "examples/unlike",
}

setup(packages=[*find_packages(include=["pyswarmopt*"]), *EXPERTS], package_dir=EXPERTS)
