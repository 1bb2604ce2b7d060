"""Looking at a search: diagnostics, recorded steps, plots."""
