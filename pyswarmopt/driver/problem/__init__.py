"""What a search is given: constraints, integers and categories, named parameters."""
