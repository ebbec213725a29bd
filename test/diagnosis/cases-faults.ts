/** Logs that ended in a fault, written after public reports (the texts that programs print, our own runs around them), with the answer that a person would give. */
import type { Finding } from "../../src/diagnosis/diagnosis.ts";
import { iteration, tick } from "./log-lines.ts";

export interface Case {
  readonly name: string;
  readonly files: Readonly<Record<string, string>>;
  readonly cause: (Partial<Pick<Finding, "code" | "rank" | "platform">> & Pick<Finding, "category" | "action">) | null;
  /** A line of the first evidence. */
  readonly evidence?: RegExp;
}

const eight = [0, 1, 2, 3, 4, 5, 6, 7];
const watchdog = (rank: number, second: number, seq = 15734): string =>
  `[rank${rank}]:[E1124 10:2${second % 10}:00.1234 ProcessGroupNCCL.cpp:632] [Rank ${rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=${seq}, OpType=ALLREDUCE, NumelIn=220084533, NumelOut=220084533, Timeout(ms)=600000) ran for 600051 milliseconds before timing out.`;
const torchrun = (rank: number, exit: number, pid = 4242): string =>
  `E1124 10:30:00.000000 4200 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: ${exit}) local_rank: ${rank} (pid: ${pid}) of binary: /usr/bin/python3
Traceback (most recent call last):
  File "/usr/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
train.py FAILED
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-24_10:30:00
  host      : nv1
  rank      : ${rank} (local_rank: ${rank})
  exitcode  : ${exit} (pid: ${pid})
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================`;
const traceback = (rank: number, error: string): string =>
  `[rank${rank}]: Traceback (most recent call last):
[rank${rank}]:   File "/srv/train.py", line 88, in <module>
[rank${rank}]:     loss = model(batch)
[rank${rank}]: ${error}`;

export const faults: readonly Case[] = [
  {
    name: "seven watchdogs point at the eighth rank",
    files: {
      "train.log": [
        "using world size: 8, data-parallel size: 8",
        iteration(1),
        iteration(2),
        ...eight.filter((r) => r !== 5).map((r) => watchdog(r, 1)),
        torchrun(0, -6),
      ].join("\n"),
    },
    cause: { category: "instability", action: "restart", rank: 5, platform: "nvidia" },
  },
  {
    name: "the rank that is one collective behind",
    files: Object.fromEntries(
      eight.map((r) => [`rank_${r}.log`, `${tick(1)} start\n${watchdog(r, 1, r === 2 ? 88 : 89)}\n`]),
    ),
    cause: { category: "instability", action: "restart", rank: 2 },
  },
  {
    name: "an exception on one rank, watchdogs on the others",
    files: {
      "train.log": [
        iteration(1),
        traceback(3, "KeyError: 'input_ids'"),
        ...eight.filter((r) => r !== 3).map((r) => watchdog(r, 9)),
        torchrun(3, 1),
      ].join("\n"),
    },
    cause: { category: "workload", action: "fix-job", rank: 3, code: "KeyError" },
  },
  {
    name: "CUDA out of memory, then SIGTERM for everybody",
    files: {
      "train.log": [
        iteration(1),
        traceback(
          6,
          "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 6 has a total capacity of 79.15 GiB of which 1.02 GiB is free.",
        ),
        "W1124 10:00:09.1 4200 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 4243 closing signal SIGTERM",
        torchrun(6, 1),
      ].join("\n"),
    },
    cause: { category: "memory", action: "fix-job", rank: 6, platform: "nvidia" },
  },
  {
    name: "a GPU falls off the bus: dmesg explains the job's errors",
    files: {
      "dmesg.txt":
        "[Tue Nov 24 10:00:01 2026] NVRM: Xid (PCI:0000:9b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.\n[Tue Nov 24 10:00:01 2026] NVRM: GPU 0000:9b:00.0: GPU has fallen off the bus.\n",
      "train.log": [
        "[2026-11-24 09:00:00] iteration 1 starts",
        traceback(4, "RuntimeError: CUDA error: unspecified launch failure"),
        torchrun(4, 1),
      ].join("\n"),
    },
    cause: { category: "instability", action: "evict-node", code: "Xid 79", rank: 4 },
  },
  {
    name: "double-bit error, with the preemptive cleanup after it",
    files: {
      dmesg:
        "[ 1000.000001] NVRM: Xid (PCI:0000:3b:00): 48, pid=4242, name=python, DBE (double bit error) ECC Error\n[ 1000.100001] NVRM: Xid (PCI:0000:3b:00): 45, pid=4242, name=python, Ch 00000008\n",
    },
    cause: { category: "memory", action: "evict-node", code: "Xid 48" },
  },
  {
    name: "the kernel kills a rank for memory",
    files: {
      "kern.log":
        "Nov 24 10:00:00 nv1 kernel: [12345.678901] python invoked oom-killer: gfp_mask=0xcc0, order=0\nNov 24 10:00:00 nv1 kernel: [12345.778901] Out of memory: Killed process 4242 (python) total-vm:912345kB, anon-rss:812345kB\n",
      "train.log": ["[2026-11-24 10:00:00] running", torchrun(2, -9)].join("\n"),
    },
    cause: { category: "memory", action: "fix-job", rank: 2 },
  },
  {
    name: "no space left while saving",
    files: {
      "train.log": [
        iteration(1),
        traceback(
          0,
          "RuntimeError: [enforce fail at inline_container.cc:471] . PytorchStreamWriter failed writing file data/12: file write failed",
        ),
        traceback(0, "OSError: [Errno 28] No space left on device: '/ckpt/iter_0000100/__0_0.distcp'"),
        torchrun(0, 1),
      ].join("\n"),
    },
    cause: { category: "storage", action: "free-space" },
  },
  {
    name: "磁盘满: a Chinese log in GB 18030 words",
    files: { "训练.log": `${iteration(1)}\n错误: 写入检查点失败: 设备上没有空间\n` },
    cause: { category: "storage", action: "free-space" },
  },
  {
    name: "HCCL: everybody waits for rank 24",
    files: Object.fromEntries(
      [0, 1, 2].map((r) => [
        `rank${r}.log`,
        `[rank${r}]: RuntimeError: The Inner error is reported as above.\n[rank${r}]: EI0002: [PID: 2969] 2026-11-24-10:09:34.713.335 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [24]. base information: streamID:[5], taskID[3], taskType[Notify Wait]\n[rank${r}]: RuntimeError: ACL stream synchronize failed, error code:507048\n`,
      ]),
    ),
    cause: { category: "interconnect", action: "restart", rank: 24, platform: "ascend", code: "EI0002" },
  },
  {
    name: "HBM error on an NPU before the HCCL timeouts",
    files: {
      "device-3.log":
        "[ERROR] DRV(12,npu):2026-11-24-10:00:00.100.100 [dms_event.c:88] event_id=0x80e01801, event_name=HBM, multi-bit ECC\n",
      "plog/plog-77_20261124.log":
        "[ERROR] HCCL(77,python):2026-11-24-10:02:00.000.001 [task_exception_handler.cc:544] [77]EI0002: The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [3].\n",
    },
    cause: { category: "memory", code: "0x80E01801", platform: "ascend", action: "restart" },
  },
  {
    name: "an operator that the NPU does not have",
    files: {
      "train.log":
        'torch_npu 2.5.1\nTraceback (most recent call last):\n  File "t.py", line 3, in <module>\nRuntimeError: InnerRun:torch_npu/csrc/framework/OpParamMaker.cpp:208 NPU error, error code is 500002\n[ERROR] 2026-11-24-10:00:00 (PID:9, Device:0, RankID:0) ERR01100 OPS call acl api failed.\nEZ9999: Inner Error!\nEZ9999: 2026-11-24-10:00:00.100.100 Cannot find bin of op FlashAttentionScore, integral key 0/1/|bfloat16\n',
    },
    cause: { category: "software-kit", action: "fail-over", platform: "ascend" },
  },
  {
    name: "vector core exception under a generic error",
    files: {
      "worker.log":
        "[rank1]: RuntimeError: ACL stream synchronize failed, error code:507035\n[rank1]: EH9999: Inner Error!\n[rank1]:         rtDeviceSynchronizeWithTimeout execute failed, reason=[vector core exception][FUNC:FuncErrorReason][FILE:error_message_manage.cc][LINE:53]\n",
    },
    cause: { category: "instability", action: "restart", rank: 1, platform: "ascend" },
  },
  {
    name: "NPU out of memory",
    files: {
      "train.log": `[rank2]: RuntimeError: NPU out of memory. Tried to allocate 2.00 GiB (NPU 2; 60.96 GiB total capacity; 58.2 GiB already allocated)\n[ERROR] 2026-11-24-10:00:00 (PID:9, Device:2, RankID:2) ERR00006 PTA memory error.\n`,
    },
    cause: { category: "memory", action: "fix-job", rank: 2, platform: "ascend" },
  },
  {
    name: "an earlier process still holds the NPU",
    files: {
      "train.log":
        "RuntimeError: [ERROR] HCCL error in: torch_npu/csrc/distributed/ProcessGroupHCCL.cpp:64\n[ERROR] 2026-05-21-11:57:54 (PID:927000, Device:3, RankID:3) ERR02200 DIST call hccl api failed.\nEJ0001: 2026-05-21-11:57:54.167.645 Failed to initialize the HCCP process. Reason: Maybe the last training process is running.\n",
    },
    cause: { category: "software-kit", action: "restart", platform: "ascend" },
  },
  {
    name: "InfiniBand retries exceeded, remote errors elsewhere",
    files: {
      "train.log": [
        iteration(1),
        "nv1:4242:4300 [3] transport/net_ib.cc:1295 NCCL WARN NET/IB : Got completion from peer 10.0.0.2<45321> with status=12 opcode=0 len=0 vendor err 129 (Recv) localGid fe80",
        "[rank3]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1970, remote process exited or there was a network error, NCCL version 2.21.5",
        "[rank3]: ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.",
        torchrun(3, 1),
      ].join("\n"),
    },
    cause: { category: "interconnect", action: "restart", platform: "nvidia" },
    evidence: /status=12/,
  },
  {
    name: "loss becomes NaN and stays so",
    files: { "train.log": [iteration(1), iteration(2), iteration(3, "nan"), iteration(4, "nan")].join("\n") },
    cause: { category: "numerics", action: "restart" },
  },
  {
    name: "Megatron leaves the loss out, which means NaN",
    files: {
      "train.log": [
        iteration(1),
        iteration(2),
        iteration(3).replace(/lm loss: \S+ \| /, ""),
        iteration(4).replace(/lm loss: \S+ \| /, ""),
      ].join("\n"),
    },
    cause: { category: "numerics", action: "restart" },
  },
  {
    name: "Slurm preempts the job",
    files: {
      "slurm-7.out": `${iteration(1)}\nslurmstepd: error: *** STEP 7.0 ON nv1 CANCELLED AT 2026-11-24T10:00:00 DUE TO PREEMPTION ***\nsrun: error: nv1: task 3: Terminated\n[rank3]: torch.distributed.elastic.multiprocessing.api.SignalException: Process 4242 got signal: 15\n`,
    },
    cause: { category: "preemption", action: "restart" },
  },
  {
    name: "Slurm loses a node",
    files: {
      "slurm-8.out": `${iteration(1)}\nsrun: error: Node failure on nv3\nslurmstepd: error: *** JOB 8 ON nv1 CANCELLED AT 2026-11-24T10:00:00 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\nsrun: error: nv1: tasks 0-7: Terminated\n`,
    },
    cause: { category: "instability", action: "evict-node" },
  },
  {
    name: "a checkpoint that was cut off",
    files: {
      "resume.log": traceback(
        0,
        "RuntimeError: PytorchStreamReader failed reading zip archive: failed finding central directory",
      ),
    },
    cause: { category: "storage", action: "restart", rank: 0 },
  },
  {
    name: "vLLM has no memory for its cache",
    files: {
      "serve.log":
        "INFO 11-24 10:00:00 [api_server.py:1289] vLLM API server version 0.9.1\n(EngineCore_0 pid=77) ERROR 11-24 10:00:30 [core.py:586] EngineCore failed to start.\n(EngineCore_0 pid=77) ERROR 11-24 10:00:30 [core.py:586] ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.\nRuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_0': 1}\n",
    },
    cause: { category: "memory", action: "fix-job" },
  },
  {
    name: "the second attempt in one file fails for another reason than the first",
    files: {
      "train.log": [
        iteration(1),
        traceback(1, "RuntimeError: CUDA error: uncorrectable ECC error encountered"),
        torchrun(1, 1),
        "Restarting worker group",
        iteration(1),
        iteration(2),
        traceback(4, "FileNotFoundError: [Errno 2] No such file or directory: '/data/shard-9.bin'"),
        torchrun(4, 1),
      ].join("\n"),
    },
    cause: { category: "workload", action: "fix-job", rank: 4 },
  },
  {
    name: "stale file handle of the shared file system",
    files: {
      "train.log": [
        iteration(1),
        traceback(0, "OSError: [Errno 116] Stale file handle: '/nfs/ckpt/latest'"),
        torchrun(0, 1),
      ].join("\n"),
    },
    cause: { category: "storage", action: "restart", rank: 0 },
  },
  {
    name: "a crash in native code, with nothing but the launcher's words",
    files: { "train.log": [iteration(1), torchrun(5, -11)].join("\n") },
    cause: { category: "instability", action: "restart", rank: 5, code: "SIGSEGV" },
  },
];
