"""Strategies of groups whose members answer by themselves: votes, selection, learned weights and
reranking. The rules of voting are in `pyswarmopt_groups.voting`.
"""
