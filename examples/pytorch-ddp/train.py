"""A plain PyTorch DDP script (gloo, CPU) with checkpoints of its own; it knows nothing of dualgauge.

python -m torch.distributed.run would start it as well. It resumes from the newest file in --checkpoints by itself.
"""
import argparse, os, re, time
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--checkpoints", default="checkpoints")
parser.add_argument("--every", type=int, default=5)
parser.add_argument("--pause", type=float, default=0.05, help="seconds that a step takes at least")
args = parser.parse_args()

rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)

os.makedirs(args.checkpoints, exist_ok=True)
found = [(int(match[1]), match[0]) for match in map(re.compile(r"step-(\d+)\.pt").fullmatch, os.listdir(args.checkpoints)) if match]
step = 0
if found:
    step, name = max(found)
    state = torch.load(os.path.join(args.checkpoints, name), map_location="cpu")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if rank == 0:
        print(f"resumed from {name}", flush=True)

while step < args.steps:
    started = time.monotonic()
    step += 1
    data = torch.Generator().manual_seed(step * world + rank)
    inputs = torch.randn(32, 16, generator=data)
    loss = torch.nn.functional.mse_loss(model(inputs), inputs.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    time.sleep(max(0.0, args.pause - (time.monotonic() - started)))
    if rank == 0:
        print(f"step {step}/{args.steps} loss {loss.item():.6f} time {1000 * (time.monotonic() - started):.1f}ms", flush=True)
        if step % args.every == 0 or step == args.steps:
            path = os.path.join(args.checkpoints, f"step-{step}.pt")
            torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path + ".tmp")
            os.replace(path + ".tmp", path)
dist.barrier()
dist.destroy_process_group()
