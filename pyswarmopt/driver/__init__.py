"""From a function to a result: the evaluation loop, workers, constraints, noise, several
objectives.
"""
