"""Methods that keep all experts and combine their predictions: one file per method."""
