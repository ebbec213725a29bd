/** Failures of schedulers, hosts and storage after public reports: the machine's lines as facts, the words and runs around them ours. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { fault } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;

export const platformReports: readonly Case[] = [
  fault(
    "Slurm's time is over in the middle of a step",
    "preemption",
    "restart",
    `${steps}slurmstepd: error: *** STEP 48211.0 ON node07 CANCELLED AT 2026-11-24T10:40:10 DUE TO TIME LIMIT ***
srun: Job step aborted: Waiting up to 32 seconds for job step to finish.
[rank3]: Traceback (most recent call last):
[rank3]:   File "/srv/train.py", line 310, in <module>
[rank3]: torch.distributed.elastic.multiprocessing.api.SignalException: Process 4242 got signal: 15
srun: error: node08: tasks 8-15: Terminated
`,
  ),
  fault(
    "a host's memory under Slurm",
    "memory",
    "fix-job",
    `${steps}slurmstepd-gpu20-15: error: Detected 1 oom-kill event(s) in StepId=9411285.0. Some of your processes may have been killed by the cgroup out-of-memory handler.
srun: error: gpu20-15: task 0: Out Of Memory
srun: launch/slurm: _step_signal: Terminating StepId=9411285.0
slurmstepd-gpu20-15: error: *** STEP 9411285.0 ON gpu20-15 CANCELLED AT 2022-05-17T17:58:10 ***
`,
  ),
  fault(
    "a higher job takes the nodes",
    "preemption",
    "restart",
    `${steps}slurmstepd: error: *** JOB 48211 ON node07 CANCELLED AT 2026-11-24T10:40:10 DUE TO PREEMPTION ***
srun: Job step aborted: Waiting up to 32 seconds for job step to finish.
slurmstepd: error: *** STEP 48211.0 ON node07 CANCELLED AT 2026-11-24T10:40:10 DUE TO PREEMPTION ***
W1124 10:40:10.101000 900 torch/distributed/elastic/agent/server/api.py:719] Received 15 death signal, shutting down workers
`,
  ),
  fault(
    "a node stops answering Slurm",
    "instability",
    "evict-node",
    `${steps}srun: error: Node failure on node09
srun: Job step aborted: Waiting up to 32 seconds for job step to finish.
slurmstepd: error: *** STEP 48211.0 ON node07 CANCELLED AT 2026-11-24T10:40:10 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***
srun: error: node07: tasks 0-7: Killed
`,
  ),
  fault(
    "the cloud takes the machine back",
    "preemption",
    "restart",
    `${steps}{"level":"warn","time":"2026-11-24T10:32:36Z","message":"Spot interruption payload received: {\\"action\\":\\"terminate\\",\\"time\\":\\"2026-11-24T10:34:24Z\\"}"}
{"level":"warn","time":"2026-11-24T10:32:36Z","message":"Instance is going to be interrupted in 2 minutes. Exiting..."}
`,
  ),
  fault(
    "a preemptible machine is stopped",
    "preemption",
    "restart",
    `${steps}2026-11-24 10:30:00 node-agent: compute.instances.preempted: Instance was preempted.\n[rank0]: SystemExit: 143\n`,
  ),
  fault(
    "a probe finds the trainer dead",
    "instability",
    "restart",
    `Events:
  Type     Reason     Age                 From     Message
  ----     ------     ----                ----     -------
  Warning  Unhealthy  3m (x3 over 5m)     kubelet  Liveness probe failed: Get "http://10.1.2.3:8080/healthz": context deadline exceeded (Client.Timeout exceeded while awaiting headers)
  Normal   Killing    3m                  kubelet  Container trainer failed liveness probe, will be restarted
`,
  ),
  fault(
    "an image that nobody can pull",
    "workload",
    "fix-job",
    `  Warning  Failed     12s (x3 over 60s)  kubelet            Failed to pull image "registry.local/train:v9": rpc error: code = NotFound desc = manifest unknown
  Warning  Failed     12s (x3 over 60s)  kubelet            Error: ErrImagePull
  Normal   BackOff    1s (x4 over 59s)   kubelet            Back-off pulling image "registry.local/train:v9"
  Warning  Failed     1s (x4 over 59s)   kubelet            Error: ImagePullBackOff
`,
  ),
  fault(
    "a node of the cluster is not ready",
    "instability",
    "evict-node",
    `  Warning  NodeNotReady  2m   node-controller  Node is not ready
  Normal   TaintManagerEviction  90s  taint-eviction-controller  Marking for deletion Pod ml/train-worker-3
`,
  ),
  fault(
    "a pod's status says that it was killed for memory",
    "memory",
    "fix-job",
    `        "lastState": {
            "terminated": {
                "containerID": "containerd://1a2b",
                "exitCode": 137,
                "reason": "OOMKilled",
                "startedAt": "2026-11-24T09:00:00Z"
            }
        },
`,
  ),
  fault(
    "a node is short of memory",
    "memory",
    "fix-job",
    `  Warning  Evicted  10s  kubelet  The node was low on resource: memory. Threshold quantity: 100Mi, available: 85Mi. Container trainer was using 61Gi, request is 0, has larger consumption of memory.
`,
  ),
  fault("Lustre has shut the client out", "storage", "restart", {
    messages:
      "Nov 24 10:20:00 n3 kernel: LustreError: 11-0: scratch-OST0003-osc-ffff: operation ost_write to node 10.0.0.9@o2ib failed: rc = -107\nNov 24 10:20:01 n3 kernel: LustreError: 167-0: scratch-OST0003-osc-ffff: This client was evicted by scratch-OST0003; in progress operations using this service will fail.\n",
    "train.log":
      "[2026-11-24 10:20:02] saving\n[rank8]: OSError: [Errno 108] Cannot send after transport endpoint shutdown: '/scratch/ckpt/iter_0000100'\n",
  }),
  fault(
    "GPFS leaves the node",
    "storage",
    "restart",
    "Nov 24 10:20:00 n3 mmfs[2211]: [E] Lost membership in cluster gpfs0.local. Unmounting file systems.\n[rank8]: Traceback (most recent call last):\n[rank8]:   File \"/srv/train.py\", line 99, in save\n[rank8]: OSError: [Errno 116] Stale file handle: '/gpfs/ckpt/latest'\n",
  ),
  fault(
    "a quota ends the saving",
    "storage",
    "free-space",
    '12/09 06:49:23 - mmengine - INFO - Saving checkpoint at 14 epochs\nTraceback (most recent call last):\n  File "tools/train.py", line 122, in <module>\n    main()\n  File "/opt/conda/lib/python3.8/site-packages/torch/serialization.py", line 441, in save\nOSError: [Errno 122] Disk quota exceeded\n',
  ),
  fault(
    "a disk of the node is broken",
    "storage",
    "evict-node",
    `${steps}Nov 24 10:20:00 n3 kernel: [  900.100000] nvme nvme1: I/O 512 QID 4 timeout, aborting
Nov 24 10:20:30 n3 kernel: [  930.100000] blk_update_request: I/O error, dev nvme1n1, sector 125829120 op 0x0:(READ) flags 0x80700 phys_seg 4 prio class 0
Nov 24 10:20:30 n3 kernel: [  930.100100] EXT4-fs error (device nvme1n1): ext4_find_entry:1455: inode #2: comm python3: reading directory lblock 0
[rank0]: OSError: [Errno 5] Input/output error: '/local/cache/shard-00017.bin'
`,
  ),
  fault(
    "the store of objects cannot be reached",
    "storage",
    "retry",
    '[rank0]: Traceback (most recent call last):\n[rank0]:   File "/srv/data.py", line 12, in read\n[rank0]: botocore.exceptions.EndpointConnectionError: Could not connect to the endpoint URL: "https://minio.local:9000/ckpt/iter_100"\n',
  ),
  fault(
    "a network card fails inside",
    "interconnect",
    "evict-node",
    "Nov 24 10:20:00 n3 kernel: mlx5_core 0000:9a:00.0: poll_health:739:(pid 0): device's health compromised - reached miss count\nNov 24 10:20:00 n3 kernel: mlx5_core 0000:9a:00.0: print_health_info:438:(pid 0): synd 0x1: firmware internal error\n[rank2]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error, NCCL version 2.21.5\n",
  ),
  fault(
    "a switch of the fabric loses a link",
    "interconnect",
    "evict-node",
    "Nov 24 10:20:00 n3 kernel: nvidia-nvswitch3: SXid (PCI:0000:c1:00.0): 20034, Fatal, Link 30 LTSSM Fault Up\nNov 24 10:20:01 n3 kernel: NVRM: Xid (PCI:0000:1b:00): 45, pid=4242, name=python3, Ch 00000008\n",
  ),
  fault(
    "a processor of the node is stuck",
    "instability",
    "evict-node",
    "Nov 24 10:20:00 n3 kernel: watchdog: BUG: soft lockup - CPU#41 stuck for 67s! [python3:88123]\nNov 24 10:20:10 n3 kernel: rcu: INFO: rcu_sched self-detected stall on CPU\n",
  ),
  fault(
    "a shard of the weights is cut off",
    "storage",
    "restart",
    '[rank0]:   File "/opt/venv/lib/python3.11/site-packages/safetensors/torch.py", line 311, in load_file\n[rank0]: safetensors_rust.SafetensorError: Error while deserializing header: IncompleteMetadata\n',
  ),
  fault(
    "the disk is full where the kit writes its logs too",
    "storage",
    "free-space",
    `${steps}[rank0]: RuntimeError: [enforce fail at inline_container.cc:857] . PytorchStreamWriter failed writing file data/322: file write failed

During handling of the above exception, another exception occurred:

[rank0]: Traceback (most recent call last):
[rank0]: OSError: [Errno 28] No space left on device
`,
  ),
  fault(
    "the second attempt runs into another wall than the first",
    "storage",
    "free-space",
    `${steps}[rank3]: RuntimeError: CUDA error: uncorrectable ECC error encountered
I1124 10:07:20.086000 870 torch/distributed/elastic/agent/server/api.py:889] [default] Worker group FAILED. 2/3 attempts left; will restart worker group
I1124 10:07:20.087000 870 torch/distributed/elastic/agent/server/api.py:677] [default] Rendezvous'ing worker group
${iteration(3)}
${iteration(4)}
[rank0]: OSError: [Errno 28] No space left on device: '/ckpt/iter_0000200/mp_rank_00/model_optim_rng.pt'
`,
  ),
];
