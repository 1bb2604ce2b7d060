#!/usr/bin/env bash
# Trains the adapters in examples/experts and examples/others, in about twenty minutes on two CPU cores.
# Usage: examples/train_experts.sh OUT    (from a checkout, after `make setup`)
set -euo pipefail
out=${1:?give a directory for the adapters}

train() {
  .venv/bin/swarm-llm train-expert --base embedded:smollm2-135m --loss options \
    --rank 4 --alpha 8 --targets q_proj,v_proj --lr 1e-3 --threads 1 --seed 0 "$@"
}

# Use each request twice, with different options.
for name in bank travel home clinic library shop internet restaurant; do
  train --examples 96 --epochs 3 \
    --data "builtin:requests-$name:0" --data "builtin:requests-$name:1" --out "$out/experts/$name"
done

# Other adapters that a folder may contain: one for another domain, and one trained on wrong labels. The data of a third one,
# examples/others/reviews, are no longer generated.
train --examples 96 --epochs 3 --data builtin:kinship:0 --out "$out/others/kinship"
.venv/bin/python examples/mislabelled.py mislabelled.json
train --examples 200 --epochs 8 --data mislabelled.json --out "$out/others/mislabelled"
