#!/usr/bin/env bash
# How the adapters in examples/experts were made: some fifteen minutes on two CPU cores.
# Usage: examples/train_experts.sh OUT    (from a checkout, after `make setup`)
set -euo pipefail
out=${1:?give a directory for the adapters}

# Each request twice, with other options.
for name in bank travel home clinic library shop internet restaurant; do
  .venv/bin/swarm-llm train-expert --base embedded:smollm2-135m --loss options --examples 96 \
    --data "builtin:requests-$name:0" --data "builtin:requests-$name:1" \
    --rank 4 --alpha 8 --targets q_proj,v_proj --lr 1e-3 --epochs 3 --threads 1 --seed 0 --out "$out/$name"
done
