"""Experts and their base models: find, check, load, write and run them; `training` makes them."""
