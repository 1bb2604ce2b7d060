"""Ways to negotiate: members argue, play games, or divide the work; `groups.registry` lists
them.
"""
