"""A search for each of several draws from a grid of coefficients."""
