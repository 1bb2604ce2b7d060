"""Toys to learn and test with: the field's test functions."""
