/** Twenty-four more logs of all kinds, written after the halves A and B had been worked through and before any of these was diagnosed. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { fault, trap } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const more = `${iteration(3)}\n${iteration(4)}\n`;

export const freshReports: readonly Case[] = [
  fault(
    "a watchdog of the GPU's channels",
    "instability",
    "restart",
    "[6085126.134786] NVRM: Xid (PCI:0000:cb:00): 109, pid=1797828, name=pt_main_thread, Ch 00000008, errorString CTX SWITCH TIMEOUT, Info 0x58005\n[rank1]: RuntimeError: CUDA error: unspecified launch failure\n",
  ),
  fault(
    "PCIe takes a GPU away",
    "instability",
    "evict-node",
    "Nov 24 10:00:00 n3 kernel: pcieport 0000:16:01.0: AER: Uncorrected (Fatal) error received: 0000:17:00.0\nNov 24 10:00:01 n3 kernel: NVRM: Xid (PCI:0000:17:00): 79, pid=4411, name=python3, GPU has fallen off the bus.\nNov 24 10:00:02 n3 systemd[1]: nvidia-persistenced.service: Main process exited, code=exited, status=1/FAILURE\n",
  ),
  fault(
    "another job left no memory on the GPU",
    "memory",
    "fix-job",
    "(EngineCore_DP0 pid=371) ERROR 11-24 10:00:00 [core.py:708] ValueError: Free memory on device (3.41/79.1 GiB) on startup is less than desired GPU memory utilization (0.9, 71.19 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.\n",
  ),
  fault(
    "cuBLAS gets no memory for its handle",
    "memory",
    "fix-job",
    `${steps}[rank0]: RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling \`cublasCreate(handle)\`\n`,
  ),
  fault(
    "a process per rank is killed, told by the kernel afterwards",
    "memory",
    "fix-job",
    {
      "train.out": `[2026-11-24 10:01:00] epoch 1\ntorch.distributed.elastic.multiprocessing.api: [ERROR] failed (exitcode: -9) local_rank: 5 (pid: 91005) of binary: /usr/bin/python\ntorch.distributed.elastic.multiprocessing.errors.ChildFailedError:\n`,
      "journal.txt":
        "Nov 24 10:01:01 n3 kernel: oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0-1,global_oom,task_memcg=/system.slice,task=python,pid=91005,uid=1000\nNov 24 10:01:01 n3 kernel: Out of memory: Killed process 91005 (python) total-vm:412345678kB, anon-rss:212345678kB, file-rss:0kB\n",
    },
    { rank: 5 },
  ),
  fault(
    "NCCL's versions differ between nodes",
    "software-kit",
    "fix-job",
    "n1:71:90 [0] bootstrap.cc:130 NCCL WARN Bootstrap Root : mismatch in rank count from procs 16 : 8\nn2:72:91 [0] init.cc:1200 NCCL WARN Mismatched NCCL version detected : rank 0 version 22105 rank 8 version 21903\n[rank8]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:275, invalid usage (run with NCCL_DEBUG=WARN for details), NCCL version 2.19.3\n",
  ),
  fault(
    "two ranks on one GPU",
    "workload",
    "fix-job",
    "n1:71:90 [0] init.cc:943 NCCL WARN Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 1b000\n[rank1]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1333, invalid usage, NCCL version 2.18.5\n[rank1]: ncclInvalidUsage: This usually reflects invalid usage of NCCL library.\n",
  ),
  fault(
    "the name of the first node is unknown",
    "interconnect",
    "restart",
    '[W socket.cpp:697] [c10d] The IPv6 network addresses of (node-0.train, 29500) cannot be retrieved (gai error: -2 - Name or service not known).\nTraceback (most recent call last):\n  File "/usr/bin/torchrun", line 8, in <module>\ntorch.distributed.DistNetworkError: The client socket has failed to connect to any network address of (node-0.train, 29500). The client socket cannot be initialized\n',
  ),
  fault(
    "the loss turns into NaN in a table of metrics",
    "numerics",
    "restart",
    "step: 10  loss:  7.76543  grad_norm:  2.3456  memory: 45.12GiB(56.78%)  tps: 5,678  tflops: 123.45  mfu: 39.58%\nstep: 20  loss:  nan  grad_norm:  nan  memory: 45.12GiB(56.78%)  tps: 5,678  tflops: 123.45  mfu: 39.58%\nstep: 30  loss:  nan  grad_norm:  nan  memory: 45.12GiB(56.78%)  tps: 5,678  tflops: 123.45  mfu: 39.58%\n",
  ),
  fault(
    "a tokenizer is asked of a hub that cannot be reached",
    "workload",
    "fix-job",
    "[rank0]: OSError: We couldn't connect to 'https://hub.local' to load the files, and couldn't find them in the cached files.\n[rank0]: huggingface_hub.errors.LocalEntryNotFoundError: An error happened while trying to locate the file on the Hub and we cannot find the requested files in the local cache.\n",
  ),
  fault(
    "the tracker names a folder that is gone",
    "workload",
    "fix-job",
    "[rank0]: Traceback (most recent call last):\n[rank0]:   File \"/srv/megatron/training/checkpointing.py\", line 900, in load\n[rank0]: FileNotFoundError: [Errno 2] No such file or directory: '/ckpt/iter_0004000/metadata.json'\n",
  ),
  fault(
    "a pod ended for a higher priority",
    "preemption",
    "restart",
    "  Type     Reason     Age   From               Message\n  Normal   Preempted  11s   default-scheduler  Preempted by pod 3f1c on node gpu-17\n  Normal   Killing    11s   kubelet            Stopping container trainer\n",
  ),
  fault(
    "the mount of the data went away",
    "storage",
    "restart",
    `${steps}Nov 24 10:20:00 n3 kernel: nfs: server 10.0.0.20 not responding, timed out\n[rank4]: OSError: [Errno 107] Transport endpoint is not connected: '/data/shard-3.bin'\n`,
  ),
  fault(
    "an L2 access of an AI core is out of bounds",
    "software-kit",
    "restart",
    `[rank2]: RuntimeError: ACL stream synchronize failed, error code:507015
EZ9999: [PID: 91] 2026-11-24-10:00:00.100.200 The error from device(chipId:2, dieId:0), serial number is 1, there is an aivec error, core id is 7, error code = 0x8000000000000, dump info: pc start: 0x1240c0010000
        The extend info: errcode:(0x8000000000000, 0, 0) errorStr: The UB address accessed by the vector instruction exceeds the UB access address range. fixp_error0 info: 0, fsmId:0
`,
    { rank: 2 },
  ),
  fault(
    "HCCL cannot bind its port",
    "software-kit",
    "restart",
    "[ERROR] HCCP(88,python):2026-11-24-10:00:00.100.200 [rs_socket.c:410] bind fail, err_no:98, ip:10.0.0.3, port:16666\n[rank0]: RuntimeError: [ERROR] HCCL error in: torch_npu/csrc/distributed/ProcessGroupHCCL.cpp:64\n[rank0]: EI0019: [PID: 88] 2026-11-24-10:00:00.101.200 The IP address and port is already in use. Address already in use, port 16666\n",
  ),
  fault(
    "a stream does not end in time",
    "instability",
    "restart",
    "[rank1]: RuntimeError: ACL stream synchronize failed, error code:107020\n[rank1]: EE1002: 2024-09-03-16:50:00.041.231 Stream synchronize timeout. rtDeviceSynchronizeWithTimeout execute failed, reason=[stream sync timeout]\n",
    { rank: 1 },
  ),
  fault(
    "通信超时: 一张卡等不到另一张卡",
    "interconnect",
    "restart",
    `torch_npu 2.5.1\n${steps}2026-11-24 10:00:00 [ERROR] rank 2: 集合通信超时, HCCL 等待 1800 秒后退出\n`,
  ),
  fault(
    "MindIE's daemon finds no memory",
    "memory",
    "fix-job",
    "[2026-11-24 10:00:00.458+08:00] [26217] [33186] [llm] [ERROR] [llm_engine.cpp:88] : [MIE04E120208] [llm_manager] no enough NPU memory for the kv cache\n[rank0]: RuntimeError: NPU out of memory. Tried to allocate 450.00 MiB (NPU 0; 61.27 GiB total capacity; 55.97 GiB already allocated)\nDaemon is killing...\n",
  ),
  trap(
    "a server tells how it was stopped",
    `(APIServer pid=1) INFO 11-24 12:24:14 [loggers.py:123] Engine 000: Avg prompt throughput: 26.0 tokens/s, Avg generation throughput: 10.2 tokens/s\n(APIServer pid=1) INFO 11-24 12:30:00 [launcher.py:80] Shutting down FastAPI HTTP server.\nINFO:     Application shutdown complete.\nReceived SIGTERM, exiting\n`,
  ),
  trap(
    "a retry of the rendezvous",
    `[W socket.cpp:601] [c10d] The client socket has failed to connect to [node-0]:29500 (errno: 111 - Connection refused).\n[I socket.cpp:700] [c10d] retrying\n${steps}${more}`,
  ),
  trap(
    "a search through logs",
    `$ grep -rn "uncorrectable ECC error encountered" logs/ | wc -l\n0\n$ dmesg | grep -c "NVRM: Xid"\n0\n`,
  ),
  trap(
    "a dictionary of settings",
    `${steps}TrainingArguments(\n  ddp_timeout=1800, debug=[], disable_tqdm=False, ignore_data_skip=False, skip_memory_metrics=True,\n  oom_error_policy="CUDA out of memory", log_on_each_node=True,\n)\n`,
  ),
  trap(
    "a link that flapped an hour before the end",
    `[2026-11-24 09:00:00] n3 kernel: mlx5_core 0000:9a:00.0 ibs3: Link down\n[2026-11-24 09:00:02] n3 kernel: mlx5_core 0000:9a:00.0 ibs3: Link up\n${more}[after training is done] datetime: 2026-11-24 10:00:00\n`,
  ),
  trap(
    "warnings of a library that will change",
    `/opt/venv/lib/python3.11/site-packages/torch/distributed/distributed_c10d.py:4631: UserWarning: No device id is provided via init_process_group or barrier. Using the current device set by the user.\n  warnings.warn(  # warn only once\n<frozen importlib._bootstrap>:241: DeprecationWarning: builtin type SwigPyPacked has no __module__ attribute\nFutureWarning: torch.cuda.amp.autocast(args...) is deprecated; errors may occur in the future.\n${more}`,
  ),
];
