"""Commands about groups of models."""
