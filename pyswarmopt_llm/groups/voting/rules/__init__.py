"""Voting rules as pure functions; no model is run here."""
