"""Several processes that score candidates, on this machine or on a Ray cluster
(docs/how-to/scaling.md).
"""
