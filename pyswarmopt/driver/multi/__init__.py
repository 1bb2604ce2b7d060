"""Several objectives: the SMPSO swarm, its call, and measures of a Pareto front."""
