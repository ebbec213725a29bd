"""A real PyTorch gloo job that saves with PyTorch's own distributed checkpoints and prints torchtitan's lines on rank 0.

Tensors, shards and the pickled .metadata are PyTorch's; the lines are written by hand after torchtitan's. Each rank keeps a shard of
one tensor, so that each writes files. A test fixture.
"""
import argparse, dataclasses, inspect, os, re, time

# PyTorch 1.13 gives dataclasses a default that Python 3.11 calls mutable because it has no hash; it is never changed.
made = dataclasses._process_class
def hashable(cls, *args, **options):
    given = {**dict(zip(list(inspect.signature(made).parameters)[1:], args)), **options}
    if given["eq"] and not given["frozen"] and "__hash__" not in cls.__dict__:
        given["unsafe_hash"] = True
    return made(cls, **given)
dataclasses._process_class = hashable

import torch, torch.distributed as dist
try:
    import torch.distributed.checkpoint as dcp
except ImportError:
    import torch.distributed._shard.checkpoint as dcp
from torch.distributed._shard import sharded_tensor
dataclasses._process_class = made

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--folder", required=True)
parser.add_argument("--every", type=int, default=4)
parser.add_argument("--linger-at", type=int, help="step of the first attempt that is never done, so that it can be struck in peace")
parser.add_argument("--pause", type=float, default=0.05)
args = parser.parse_args()
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
torch.set_num_threads(1)
dist.init_process_group("gloo")
mine = torch.full((64,), float(rank))
shard = sharded_tensor.Shard.from_tensor_and_offsets(mine, [64 * rank], rank)
state = {"weights": sharded_tensor.init_from_local_shards([shard], 64 * world), "shared": torch.zeros(64)}
step = 0
os.makedirs(args.folder, exist_ok=True)
found = [int(match[1]) for match in map(re.compile(r"step-(\d+)").fullmatch, os.listdir(args.folder)) if match]
if found:
    step = max(found)
    dcp.load_state_dict(state, dcp.FileSystemReader(os.path.join(args.folder, f"step-{step}")))
    # Each step adds one to both: what was loaded shows whether it is that step's.
    assert mine[0].item() == rank + step and state["shared"][0].item() == step, "the checkpoint holds another step"
    if rank == 0:
        print(f"[titan] - root - INFO - Finished loading the checkpoint of step {step}", flush=True)

while step < args.steps:
    step += 1
    while step == args.linger_at and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        time.sleep(0.1)
    gradient = torch.ones(64)
    dist.all_reduce(gradient)
    for tensor in (mine, state["shared"]):
        tensor.add_(gradient / world)
    time.sleep(args.pause)
    if rank == 0:
        print(f"[titan] - root - INFO - step: {step:2}  loss: {1 / step:8.5f}  grad_norm: {1.0:7.4f}  memory:  0.00GiB(0.00%)  tps: 1,000", flush=True)
    if step % args.every == 0 or step == args.steps:
        if rank == 0:
            print("[titan] - root - INFO - Saving the checkpoint.", flush=True)
        dcp.save_state_dict(state, dcp.FileSystemWriter(os.path.join(args.folder, f"step-{step}")))
dist.barrier()
