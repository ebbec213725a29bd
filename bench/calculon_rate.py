"""Times Calculon's full evaluations (compile, run, statistics) of one published layout; usage: calculon_rate.py DIR.

Prints one JSON line: evaluations per processor second. Its other commands import pandas and psutil, which an evaluation does
not use; where they are missing, empty modules stand in for them.
"""

import importlib.util
import json
import logging
import sys
import time
import types

folder = sys.argv[1]
sys.path.insert(0, folder)
for name in ("pandas", "psutil"):
    if importlib.util.find_spec(name) is None:
        sys.modules[name] = types.ModuleType(name)

import calculon  # noqa: E402
from calculon.llm import Llm  # noqa: E402
from calculon.system import System  # noqa: E402


def read(path):
    return calculon.io.read_json_file(f"{folder}/{path}")


logger = logging.getLogger()
application = Llm.Application(read("models/megatron-1T.json"))
system = System(read("systems/a100_80g.json"))
execution = read("examples/3072_t4_p64_d12_mbs4_full.json")


def evaluate(micro_batch):
    # A model compiles once, as in its own search.
    model = Llm(application, logger)
    model.compile(system, Llm.Execution.from_json({**execution, "microbatch_size": micro_batch}))
    model.run(system)
    return model.get_stats_json(False)


for warm in range(5):
    evaluate(1 + warm % 2)
best = 0
for _ in range(3):
    started = time.process_time()
    count = 60
    for i in range(count):
        evaluate(1 + i % 2)
    best = max(best, count / (time.process_time() - started))
print(json.dumps({"evaluationsPerSecond": best}))
