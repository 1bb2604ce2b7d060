def score(reply):
    return len(set(reply)) / 100
