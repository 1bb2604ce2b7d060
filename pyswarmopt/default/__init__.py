"""The default optimiser: local descents and a covariance-adapting swarm that take turns."""
