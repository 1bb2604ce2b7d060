"""What takes turns in a composed search: descents, swarms, tests, a model that proposes."""
