"""The runs that phases begin: descents, swarms, tests, a model that proposes; each from a start to its
end.
"""
