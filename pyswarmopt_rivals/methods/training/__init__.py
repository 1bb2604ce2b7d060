"""Methods that train something on texts or dev items, by gradient descent or by what gradients
say.
"""
