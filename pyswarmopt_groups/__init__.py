"""Groups of models that answer together: members, voting and negotiation strategies, runs,
distillation.
"""
