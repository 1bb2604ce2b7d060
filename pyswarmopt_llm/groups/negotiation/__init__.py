"""Ways to negotiate: members argue, play games, or divide the work (see `collective.strategies`)."""
