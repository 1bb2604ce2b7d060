"""Methods to compare a search with: rules that merge, searches, trainings, ensembles; `compare` and
`merge`.
"""
