"""Methods that train on texts or dev items, by gradient descent or from gradients."""
