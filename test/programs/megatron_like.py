"""A real PyTorch gloo job that prints Megatron-LM's log lines on its last rank and writes torch_dist-style checkpoints.

Torch is real, and so are processes and signals; lines and layout are written by hand after Megatron-LM's. A test fixture: it can
be told to raise or to exhaust its memory (RLIMIT_AS, or a control group that it joins; once) at a step.
"""
import argparse, dataclasses, json, os, pickle, resource, sys, time, types
import torch, torch.distributed as dist

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--save", required=True)
parser.add_argument("--load")
parser.add_argument("--ckpt-step", type=int)
parser.add_argument("--every", type=int, default=4)
parser.add_argument("--raise-at", type=int)
parser.add_argument("--exhaust-at", type=int)
parser.add_argument("--memory-group", help="cgroup.procs of a control group with little memory")
parser.add_argument("--pause", type=float, default=0.05)
args = parser.parse_args()
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def class_of(module, name, **fields):
    """A dataclass that pickles under a name of PyTorch's, which this PyTorch may not have."""
    made = dataclasses.make_dataclass(name, fields.items())
    made.__module__ = module
    path = ""
    for part in module.split("."):
        path = f"{path}.{part}" if path else part
        sys.modules.setdefault(path, types.ModuleType(path))
    setattr(sys.modules[module], name, made)
    return made


StorageInfo = class_of("torch.distributed.checkpoint.filesystem", "_StorageInfo", relative_path=str, offset=int, length=int)
Index = class_of("torch.distributed.checkpoint.metadata", "MetadataIndex", fqn=str, offset=object, index=object)
Index.__hash__ = lambda self: hash(self.fqn)
Metadata = class_of("torch.distributed.checkpoint.metadata", "Metadata", state_dict_metadata=dict, planner_data=object, storage_data=dict)


def save(step, weights):
    folder = os.path.join(args.save, f"iter_{step:07d}")
    os.makedirs(folder, exist_ok=True)
    name = f"__{rank}_0.distcp"
    torch.save(weights, os.path.join(folder, name))
    sizes = [None] * world
    dist.all_gather_object(sizes, (name, os.path.getsize(os.path.join(folder, name))))
    if rank == 0:
        data = {Index(f"weights.{n}", torch.Size([0]), 0): StorageInfo(file, 0, size) for n, (file, size) in enumerate(sizes)}
        with open(os.path.join(folder, ".metadata.tmp"), "wb") as file:
            pickle.dump(Metadata({}, None, data), file)
        os.replace(os.path.join(folder, ".metadata.tmp"), os.path.join(folder, ".metadata"))
        with open(os.path.join(folder, "metadata.json"), "w") as file:
            json.dump({"sharded_backend": "torch_dist", "sharded_backend_version": 1}, file)
        with open(os.path.join(args.save, "latest_checkpointed_iteration.txt"), "w") as file:
            file.write(str(step))
    dist.barrier()


torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(0)
weights, step = torch.randn(64), 0
tracker = os.path.join(args.save, "latest_checkpointed_iteration.txt")
if os.path.exists(tracker):
    step = args.ckpt_step or int(open(tracker).read())
    weights = torch.load(os.path.join(args.save, f"iter_{step:07d}", f"__{rank}_0.distcp"))
    if rank == 0:
        print(f"  successfully loaded checkpoint from {args.save} at iteration {step}", flush=True)

while step < args.steps:
    started = time.monotonic()
    step += 1
    gradient = torch.randn(64, generator=torch.Generator().manual_seed(step * world + rank)) + weights
    if step == args.raise_at and rank == 1:
        raise ValueError(f"index {step + 100} is out of bounds for the vocabulary of 64")
    marker = os.path.join(args.save, "exhausted")
    if step == args.exhaust_at and rank == 1 and not os.path.exists(marker):
        os.makedirs(args.save, exist_ok=True)
        open(marker, "w").close()
        if args.memory_group:
            with open(args.memory_group, "w") as file:
                file.write(str(os.getpid()))
            hoard = [torch.ones(1 << 24) for _ in range(64)]
        pages = int(open("/proc/self/statm").read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (256 << 20),) * 2)
        hoard = [torch.empty(1 << 24) for _ in range(64)]
    dist.all_reduce(gradient)
    weights = weights - 0.1 * gradient / world
    time.sleep(args.pause)
    if rank == world - 1:
        elapsed = 1000 * (time.monotonic() - started)
        print(
            f" [2026-01-01 00:00:00] iteration {step:8d}/{args.steps:8d} | consumed samples: {step * 8:12d} | "
            f"elapsed time per iteration (ms): {elapsed:.1f} | learning rate: 1.000000E-03 | global batch size: {8:5d} | "
            f"lm loss: {weights.norm().item():.6E} | grad norm: {gradient.norm().item():.3f} | "
            f"number of skipped iterations: {0:3d} | number of nan iterations: {0:3d} |",
            flush=True,
        )
    if step % args.every == 0 or step == args.steps:
        if rank == 0:
            print(f"saving checkpoint at iteration {step:7d} to {args.save}", flush=True)
        save(step, weights)
        if rank == 0:
            print(f"  successfully saved checkpoint from iteration {step:7d} to {args.save}", flush=True)
dist.barrier()
