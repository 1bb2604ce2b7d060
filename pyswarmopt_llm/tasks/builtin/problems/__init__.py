"""Problems that models find hard: competition-like mathematics and moves of chess."""
