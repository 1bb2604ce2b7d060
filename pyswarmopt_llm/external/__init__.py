"""What is contacted or loaded from outside: judges, reward models, and the clients that reach them."""
