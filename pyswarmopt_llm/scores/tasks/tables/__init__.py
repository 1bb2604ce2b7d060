"""Tables of a user's own: columns by name, choices from labels, splits drawn by a seed."""
