"""Groups of models that answer together: members, strategies that vote or negotiate, runs, and
distillation.
"""
