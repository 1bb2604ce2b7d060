"""Token swarms: models of any architecture mixed by the probabilities that they give to what comes
next.
"""
