"""The default search with constraints: a swarm on a penalty, descents by quadratic programs."""
