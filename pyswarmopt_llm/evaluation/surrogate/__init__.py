"""Surrogate-assisted evaluation: a model of the items decides which of them a candidate has to
answer.
"""
