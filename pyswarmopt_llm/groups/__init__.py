"""Members that vote (`voting`), play games (`games`, `consensus_game`) and agree though some fail (`consensus`).

These run no model: answers, rankings and probabilities come in, a decision goes out. `ensemble` and `negotiation` hold
strategies that ask members (`session`), by the names in `strategies`.
"""
