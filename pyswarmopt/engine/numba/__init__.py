"""The loops of a swarm that are worth compiling, and Numba, which compiles them; needs the extra `fast`."""
