"""Engines, which run a model. `TransformersEngine` keeps one base and merges candidates into it."""
