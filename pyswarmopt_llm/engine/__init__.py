"""What runs a model. `TransformersEngine` keeps one base resident and merges candidates into it."""
