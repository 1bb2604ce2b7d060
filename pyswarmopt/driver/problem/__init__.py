"""The problem of a search: constraints, integers and categories, named parameters."""
