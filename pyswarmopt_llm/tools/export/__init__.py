"""A result in other formats: one merged model, a GGUF file, an adapter of smaller rank."""
