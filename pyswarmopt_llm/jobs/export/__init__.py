"""A result in the formats of other programs: one merged model, GGUF files, an adapter of smaller
rank.
"""
