"""Problem of a search: constraints, integers and categories, named parameters."""
