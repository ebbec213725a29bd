/**
 * More logs after public reports, one fault or one trap each, written before any of them was tried. At the first try 19 of 25
 * causes and 20 of 25 actions were as written, and no trap raised an alarm. Three rules were then added, one was let read indented lines, and one label, which
 * contradicted Huawei's level of event 0x80E01801, was put right. `knownMisses` are still answered otherwise.
 */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";

type Cause = NonNullable<Case["cause"]>;
const fault = (name: string, category: Cause["category"], action: Cause["action"], ...lines: string[]): Case => ({
  name,
  files: { "job.log": [iteration(1), iteration(2), ...lines].join("\n") },
  cause: { category, action },
});
const trap = (name: string, ...lines: string[]): Case => ({
  name,
  files: { "job.log": [iteration(1), iteration(2), ...lines].join("\n") },
  cause: null,
});

export const more: readonly Case[] = [
  fault(
    "a pod is killed for memory",
    "memory",
    "fix-job",
    "  Last State:     Terminated",
    "    Reason:       OOMKilled",
    "    Exit Code:    137",
  ),
  fault(
    "a pod is evicted for disk",
    "storage",
    "free-space",
    "Warning  Evicted  pod/train-0  The node was low on resource: ephemeral-storage. Threshold quantity: 10Gi, available: 2Gi.",
  ),
  fault(
    "Kubernetes preempts a pod",
    "preemption",
    "restart",
    "Normal  Preempted  pod/train-0  Preempted by pod 7f on node gpu-3",
  ),
  fault(
    "Slurm's time is over",
    "preemption",
    "restart",
    "slurmstepd: error: *** JOB 91 ON nv1 CANCELLED AT 2026-11-24T10:00:00 DUE TO TIME LIMIT ***",
  ),
  fault(
    "Slurm's step is out of memory",
    "memory",
    "fix-job",
    "slurmstepd: error: Detected 1 oom_kill event in StepId=91.0. Some of the step tasks have been OOM Killed.",
    "srun: error: nv1: task 3: Out Of Memory",
  ),
  fault(
    "Lustre evicts the client",
    "storage",
    "restart",
    "Nov 24 10:00:00 nv1 kernel: LustreError: 167-0: scratch-MDT0000-mdc-ffff: This client was evicted by scratch-MDT0000; in progress operations using this service will fail.",
  ),
  fault(
    "NFS does not answer",
    "storage",
    "restart",
    "Nov 24 10:00:00 nv1 kernel: nfs: server fs1 not responding, timed out",
    "[rank0]: OSError: [Errno 5] Input/output error: '/nfs/ckpt/x'",
  ),
  fault(
    "the quota is used up",
    "storage",
    "free-space",
    "[rank0]: OSError: [Errno 122] Disk quota exceeded: '/home/u/ckpt'",
  ),
  fault(
    "a read-only file system",
    "storage",
    "evict-node",
    "Nov 24 10:00:00 nv1 kernel: EXT4-fs (nvme0n1): Remounting filesystem read-only",
    "[rank0]: OSError: [Errno 30] Read-only file system: '/scratch/ckpt'",
  ),
  fault(
    "an NVLink error",
    "interconnect",
    "evict-node",
    "nv1 kernel: NVRM: Xid (PCI:0000:18:00): 74, pid=42, name=python, NVLink: fatal error detected on link 2",
  ),
  fault(
    "GSP does not answer",
    "instability",
    "evict-node",
    "nv1 kernel: NVRM: Xid (PCI:0000:18:00): 119, pid=42, name=python, Timeout after 6s of waiting for RPC response from GPU0 GSP!",
  ),
  fault(
    "an address that a kernel must not touch",
    "workload",
    "fix-job",
    "nv1 kernel: NVRM: Xid (PCI:0000:18:00): 31, pid=42, name=python, MMU Fault: ENGINE GRAPHICS",
    "[rank1]: RuntimeError: CUDA error: an illegal memory access was encountered",
  ),
  fault(
    "driver and runtime do not fit",
    "software-kit",
    "fix-job",
    "[rank0]: RuntimeError: The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver.",
  ),
  fault(
    "a device-side assertion",
    "workload",
    "fix-job",
    "../aten/src/ATen/native/cuda/Indexing.cu:1290: indexSelectLargeIndex: block: [1,0,0], thread: [0,0,0] Assertion `srcIndex < srcSelectDimSize` failed.",
    "[rank2]: RuntimeError: CUDA error: device-side assert triggered",
  ),
  fault(
    "the port is in use",
    "workload",
    "restart",
    "[rank0]: torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use",
  ),
  fault(
    "HCCL cannot connect in time",
    "interconnect",
    "restart",
    "torch_npu 2.5",
    "[ERROR] HCCL(77,python):2026-11-24-10:02:00.000.001 [hccl_socket.cc:9] [77]EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.",
  ),
  fault(
    "memory of an NPU fails under a generic code",
    "memory",
    "restart",
    "torch_npu 2.5",
    "[rank3]: RuntimeError: NPU function error: aclrtSynchronizeDevice, error code is 507899",
    "[ERROR] DRV(12,npu):2026-11-24-10:00:00.100.100 [dms.c:88] event_id=0x80e01801",
  ),
  fault("内存不足: a worker in Chinese", "memory", "fix-job", "错误: 内存不足, 无法分配内存"),
  fault(
    "CANN and torch_npu do not fit",
    "software-kit",
    "fix-job",
    "ImportError: libascendcl.so: cannot open shared object file: No such file or directory",
  ),
  fault(
    "vLLM does not know the model",
    "workload",
    "fix-job",
    "ValueError: Model architectures ['FooForCausalLM'] are not supported for now.",
  ),
  fault(
    "the allocator of a serving engine",
    "memory",
    "fix-job",
    "(EngineCore_0 pid=77) ERROR 11-24 10:00:30 [core.py:586] torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 896.00 MiB.",
  ),
  fault(
    "a shard of the data is damaged",
    "storage",
    "restart",
    "[rank0]: safetensors_rust.SafetensorError: Error while deserializing header: MetadataIncompleteBuffer",
  ),
  fault(
    "shared memory is full",
    "memory",
    "fix-job",
    "[rank0]: RuntimeError: DataLoader worker (pid 4242) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory.",
  ),
  fault(
    "a machine check",
    "instability",
    "evict-node",
    "nv1 kernel: mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 7: be00000000800400",
    "nv1 kernel: Kernel panic - not syncing: Fatal machine check",
  ),
  fault(
    "sizes do not fit",
    "workload",
    "fix-job",
    "[rank0]: RuntimeError: mat1 and mat2 shapes cannot be multiplied (8x4096 and 5120x4096)",
  ),
  trap(
    "a log of evaluations about errors",
    "question: what does 'CUDA error: device-side assert triggered' mean?",
    "answer: an index is out of range",
  ),
  trap(
    "a help text",
    "  --oom-action ACTION   what to do on torch.OutOfMemoryError: CUDA out of memory (default: fail)",
  ),
  trap(
    "NCCL's warnings that do no harm",
    "nv1:42:43 [0] NCCL WARN NET/Plugin: Could not find: libnccl-net.so. Using internal network plugin.",
    iteration(3),
    iteration(4),
  ),
  trap(
    "a machine's corrected memory error",
    "nv1 kernel: EDAC MC0: 1 CE memory read error on CPU_SrcID#0 (channel:1 slot:0)",
    iteration(3),
    iteration(4),
  ),
  trap(
    "a link that came back",
    "nv1 kernel: mlx5_core 0000:3b:00.0 ib0: Link down",
    "nv1 kernel: mlx5_core 0000:3b:00.0 ib0: Link up",
    iteration(3),
    iteration(4),
  ),
  trap(
    "a storage server that answers again",
    "nv1 kernel: nfs: server fs1 not responding, still trying",
    "nv1 kernel: nfs: server fs1 OK",
    iteration(3),
    iteration(4),
  ),
  trap(
    "the end of a finished job",
    "[after training is done] datetime: 2026-11-24 10:00:00",
    "W1124 10:00:00.1 42 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 4243 closing signal SIGTERM",
    "[rank0]:[W1124 10:00:00.2 ProcessGroupNCCL.cpp:1496] Warning: WARNING: destroy_process_group() was not called before program exit, which can leak resources.",
  ),
  trap(
    "a health check that finds nothing",
    "health: Xid 79 not found; Xid 48 not found; uncorrectable ECC errors: 0",
    "dcgm: all tests PASSED",
  ),
  trap(
    "names of files and metrics",
    "saving metrics to /runs/out_of_memory_study/nccl_timeout.json",
    "metric gpu_xid_errors_total 0",
  ),
  trap(
    "environment of the job",
    "TORCH_NCCL_ASYNC_ERROR_HANDLING=1",
    "HCCL_EXEC_TIMEOUT=1800",
    "ASCEND_GLOBAL_LOG_LEVEL=3",
  ),
  trap(
    "a request that a client gave up",
    "INFO 11-24 10:00:00 [logger.py:42] Aborted request cmpl-77.",
    "INFO 11-24 10:00:10 [loggers.py:118] Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: 20.0 tokens/s",
  ),
  trap(
    "an import that is optional",
    "INFO: flash_attn is not installed (ModuleNotFoundError: No module named 'flash_attn'), using sdpa instead",
    iteration(3),
  ),
  trap("a token that was translated", 'decoded: "设备上没有空间" -> "no space left on device"'),
  trap(
    "a checkpoint that was tried again",
    "WARNING: save failed: [Errno 28] No space left on device; removed the oldest checkpoint, retrying",
    "successfully saved checkpoint from iteration 2 to /ck",
    iteration(3),
    iteration(4),
  ),
  trap(
    "plog's information lines",
    "[INFO] HCCL(77,python):2026-11-24-10:02:00.000.001 [hccl_socket.cc:9] [77]EI0006 is the code for socket timeouts; HCCL_CONNECT_TIMEOUT=120",
  ),
];

/** The rule base calls these software-kit with a restart, as the vendor's lists do; a person would blame the job. */
export const knownMisses: ReadonlySet<string> = new Set([
  "an address that a kernel must not touch",
  "the port is in use",
]);
