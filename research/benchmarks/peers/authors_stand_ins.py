"""What the released code of the Model Swarms paper imports and `authors_code.py` does not need, as
texts of modules.
"""

from __future__ import annotations

PROBE = '''
"""Writes a line for every forward pass and every finished iteration."""
import json, os, time
import torch

def _write(**line):
    file = os.open(os.environ["PROBE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, (json.dumps(line) + "\\n").encode())
    os.close(file)

def mark():
    _write(wall=time.time(), cpu=sum(os.times()[:4]))  # children count once they are joined, as all of theirs are

def count_tokens():
    embed = torch.nn.Embedding.forward
    def forward(self, ids):
        _write(tokens=ids.numel())
        return embed(self, ids)
    torch.nn.Embedding.forward = forward
'''

# evaluate.py imports vertexai after torch and transformers, in every process, and before it does
# anything with them.
STAND_INS = {
    "probe.py": PROBE,
    "on_this_machine.py": '''
"""What the authors' code finds instead of a GPU: .to("cuda:0") stays on the CPU where there is none."""
import os
import torch
from transformers import PreTrainedModel
import probe

def staying(to):
    def moved(self, *args, **kwargs):
        args = tuple("cpu" if isinstance(a, str) and a.startswith("cuda") else a for a in args)
        return to(self, *args, **kwargs)
    return moved

if not torch.cuda.is_available():
    torch.Tensor.to = staying(torch.Tensor.to)
    torch.nn.Module.to = staying(torch.nn.Module.to)

load = PreTrainedModel.from_pretrained.__func__
def from_pretrained(cls, *args, **kwargs):
    for name in ("dtype", "torch_dtype"):
        if kwargs.get(name) is torch.float16:
            kwargs[name] = getattr(torch, os.environ["AUTHORS_DTYPE"])
    return load(cls, *args, **kwargs)
PreTrainedModel.from_pretrained = classmethod(from_pretrained)
probe.count_tokens()
''',
    "vertexai/__init__.py": "import on_this_machine\ndef init(**options): pass\n",
    "vertexai/generative_models.py": """
class Anything:
    def __init__(self, *args, **kwargs): pass
    def __getattr__(self, name): return name
GenerativeModel = GenerationConfig = SafetySetting = Anything
HarmCategory, HarmBlockThreshold = Anything(), Anything()
""",
    "googleapiclient/__init__.py": "",
    "googleapiclient/discovery.py": "def build(*args, **kwargs): return None\n",
    "tenacity.py": """
def retry(**options): return lambda function: function
def wait_random_exponential(**options): pass
def stop_after_attempt(number): pass
""",
    "trl.py": "SFTConfig = SFTTrainer = DataCollatorForCompletionOnlyLM = None\n",
    "wandb.py": """
import os
import types
import probe
reports = []
def init(**options): return types.SimpleNamespace(config=types.SimpleNamespace(update=lambda args: None))
def log(values):
    reports.append(values)
    probe.mark()
    if len(reports) > int(os.environ["ITERATIONS"]):  # the first report is of the starting swarm
        raise SystemExit  # tests of the personal bests and votes of ten particles would follow
""",
}
