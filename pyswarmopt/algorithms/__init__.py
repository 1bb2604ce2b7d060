"""One file per algorithm: what only it needs, and the recipe that composes it. `pyswarmopt.recipes`
lists them.
"""
