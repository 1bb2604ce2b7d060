"""Tables of a user's own: columns found by name, choices from labels, dev and test drawn by a
seed.
"""
