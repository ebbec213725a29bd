/** A third round of logs after public reports, written after the second had been worked through and before any of these was diagnosed. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { fault, trap } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const more = `${iteration(3)}\n${iteration(4)}\n${iteration(5)}\n`;

export const thirdReports: readonly Case[] = [
  fault(
    "a model's length does not fit the cache of an engine",
    "memory",
    "fix-job",
    `ERROR 04-17 15:10:09 [engine.py:448]     raise ValueError(
ERROR 04-17 15:10:09 [engine.py:448] ValueError: The model's max seq len (8192) is larger than the maximum number of tokens that can be stored in KV cache (2400). Try increasing \`gpu_memory_utilization\` or decreasing \`max_model_len\` when initializing the engine.
Process SpawnProcess-1:
Traceback (most recent call last):
  File "/opt/conda/lib/python3.11/multiprocessing/process.py", line 314, in _bootstrap
    self.run()
`,
  ),
  fault(
    "an engine's assertion without words",
    "workload",
    "fix-job",
    `(EngineCore pid=114) ERROR 06-23 06:27:21 [core.py:1229] EngineCore failed to start.
(EngineCore pid=114) ERROR 06-23 06:27:21 [core.py:1229]   File "/usr/local/lib/python3.12/dist-packages/vllm/v1/core/kv_cache_utils.py", line 1096, in unify_kv_cache_spec_page_size
(EngineCore pid=114) ERROR 06-23 06:27:21 [core.py:1229]     assert new_spec.page_size_bytes == max_page_size
(EngineCore pid=114) ERROR 06-23 06:27:21 [core.py:1229] AssertionError
(APIServer pid=90) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
`,
  ),
  fault(
    "streams of an NPU do not end in time",
    "instability",
    "restart",
    `[W NPUStream.cpp:409] Warning: NPU warning, error code is 507046[Error]:
[Error]: In the specified timeout waiting event, all tasks in the specified stream are not completed.
        Rectify the fault based on the error information in the ascend log.
EE1002: 2024-09-03-16:50:00.041.231 Stream synchronize timeout. rtDeviceSynchronize execute failed, reason=[stream sync timeout]
        Possible Cause: 1. The timeout interval may be improperly set.
 (function npuSynchronizeUsedDevices)
`,
  ),
  fault(
    "a watchdog of HCCL meets a kernel that does not end",
    "instability",
    "restart",
    `EH9999[PID: 324] 2025-12-12-12:10:10.649.300 (EH9999):  [Query][Status]query event recorded status failed, runtime result = 507014[FUNC:ReportCallError][FILE:log_inner.cpp][LINE:162]
        TraceBack (most recent call last):
[rank5]:[E1212 12:10:10.142701460 compiler_depend.ts:1675] [Rank 5] HCCL watchdog thread terminated with exception:
[ERROR] 2025-12-12-12:10:10 (PID:324, Device:5, RankID:-1) ERR02005 DIST internal error
terminate called after throwing an instance of 'std::runtime_error'
  what():  [Rank 5] HCCL watchdog thread terminated with exception:
[ERROR] 2025-12-12-12:10:10 (PID:324, Device:5, RankID:-1) ERR02005 DIST internal error
`,
  ),
  fault(
    "ranks of a worker wait for an unknown one",
    "interconnect",
    "restart",
    `(train pid=8464) RuntimeError: npuSynchronizeDevice:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:479 NPU function error: AclrtSynchronizeDeviceWithTimeout, error code is 507048
(train pid=8464) [ERROR] 2025-06-25-10:45:23 (PID:13075, Device:0, RankID:8) ERR00100 PTA call acl api failed
(train pid=8464) [Error]: The execution of the internal task times out.
(train pid=8464)         Rectify the fault based on the error information in the ascend log.
(train pid=8464) EI0002: [PID: 13075] 2025-06-25-10:45:23.586.187 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [unknown]. base information: [streamID:[1], taskID[8318285], tag[AllReduce_group_name_710]
`,
  ),
  fault(
    "a kernel of the AI core fails, as plog tells it",
    "instability",
    "restart",
    `[ERROR] RUNTIME(85483,python):2024-04-19-18:13:17.186.318 [task_info.cc:1678]85658 PrintErrorInfoForDavinciTask:Aicore kernel execute failed, device_id=0, stream_id=2, report_stream_id=2, task_id=57783, flip_num=3, fault kernel_name=RealDiv_ee98c6628030785f610b924ab1557b31_high_precision_210000000, fault kernel info ext=none, program id=9, hash=10612039229658031084.
[ERROR] RUNTIME(85483,python):2024-04-19-18:13:17.186.336 [task_info.cc:1617]85658 GetArgsInfo:[AIC_INFO] args(0 to 9) after execute:0x4f453840, 0x124201ea7400, 0x12420240cc00
`,
  ),
  fault(
    "an exception of a stream, as a device tells it",
    "instability",
    "restart",
    `DEVICE[0] PID[358]:
EXCEPTION STREAM:
  Exception info:TGID=196191, model id=65535, stream id=3, stream phase=3
  Message info[0]:RTS_HWTS: aicore exception, slot_id=31, stream_id=3
    Other info[0]:time=2024-05-10-10:44:52.267.860, function=int_process_hwts_task_exception, line=296, error code=0x26
RuntimeError: The Inner error is reported as above.
 Since the operator is called asynchronously, the stacktrace may be inaccurate. If you want to get the accurate stacktrace, pleace set the environment variable ASCEND_LAUNCH_BLOCKING=1.
`,
  ),
  fault(
    "NCCL finds that its CUDA was initialized before a fork",
    "instability",
    "evict-node",
    "rdma-worker-1: rdma-worker-1:2918:4483 [4] init.cc:263 NCCL WARN Cuda failure 'initialization error'\nrdma-worker-1: rdma-worker-1:2918:4483 [4] NCCL INFO init.cc:1501 -> 1\n[rank4]: RuntimeError: CUDA error: initialization error\n",
  ),
  fault(
    "a checkpoint of another shape",
    "workload",
    "fix-job",
    '[rank3]:   File "/opt/megatron-lm/megatron/core/dist_checkpointing/strategies/tensorstore.py", line 112, in _load_regular_chunk\n[rank3]:     raise CheckpointingException(_msg)\n[rank3]: megatron.core.dist_checkpointing.core.CheckpointingException: Global shape mismatch for loaded ((4096, 68)) and expected ((4096, 72)) tensor for key module.x_embedder.proj.1.weight\n',
    { rank: 3 },
  ),
  fault(
    "weights of a model of another size",
    "workload",
    "fix-job",
    "[rank1]: RuntimeError: Error(s) in loading state_dict for LlamaForCausalLM:\n[rank1]:        size mismatch for model.layers.1.self_attn.o_proj.weight: copying a param with shape torch.Size([1024, 1024]) from checkpoint, the shape in current model is torch.Size([4096, 4096]).\n",
    { rank: 1 },
  ),
  fault("the kernel's lists are damaged and the node panics", "instability", "evict-node", {
    "serial.log":
      "[ 4411.101010] general protection fault, probably for non-canonical address 0xdead000000000122: 0000 [#1] PREEMPT SMP NOPTI\n[ 4411.101020] RIP: 0010:__rmqueue_pcplist+0x9e/0x1c0\n[ 4411.101030] Call Trace:\n[ 4411.101040]  uvm_pmm_sysmem_mappings_init+0x10/0x20 [nvidia_uvm]\n[ 4411.202020] Kernel panic - not syncing: Fatal exception\n",
  }),
  fault(
    "seven ranks of eight wait in an all-gather",
    "instability",
    "restart",
    Object.fromEntries(
      [0, 1, 2, 3, 5, 6, 7]
        .map((rank) => [
          `logs/rank_${rank}.log`,
          `[rank${rank}]:[E1124 10:22:20.56278046${rank} ProcessGroupNCCL.cpp:629] [Rank ${rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=4170605, OpType=_ALLGATHER_BASE, NumelIn=592516, NumelOut=4740128, Timeout(ms)=600000) ran for 600009 milliseconds before timing out.\n[rank${rank}]:[E1124 10:22:21.10000000${rank} ProcessGroupNCCL.cpp:695] [Rank ${rank}] To avoid data inconsistency, we are taking the entire process down.\n`,
        ])
        .concat([["logs/rank_4.log", "using world size: 8, data-parallel size: 8\n[rank4]: loading batch 4411\n"]]),
    ),
    { rank: 4 },
  ),
  fault(
    "a key of the data is missing on one rank, the others wait",
    "workload",
    "fix-job",
    {
      "rank_0.log":
        "[rank0]:[E1124 10:32:20.562780460 ProcessGroupNCCL.cpp:629] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=88, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600009 milliseconds before timing out.\n",
      "rank_1.log":
        '2026-11-24 10:22:19 step 87 loss 2.1\nTraceback (most recent call last):\n  File "/srv/data.py", line 40, in __getitem__\n    return row["tokens"]\nKeyError: \'tokens\'\n',
    },
    { rank: 1, code: "KeyError" },
  ),
  fault(
    "double-bit errors, rows that are used up, and a job that died of it",
    "memory",
    "evict-node",
    {
      dmesg:
        "[Tue Nov 24 10:02:35 2026] NVRM: Xid (PCI:0000:db:00): 48, pid=13641, name=python3, DBE (double bit error) ECC Error\n[Tue Nov 24 10:02:35 2026] NVRM: Xid (PCI:0000:db:00): 64, pid='<unknown>', name=<unknown>, Row Remapper: Failed to remap row\n[Tue Nov 24 10:02:36 2026] NVRM: Xid (PCI:0000:db:00): 45, pid=13641, name=python3, Ch 00000008\n",
      "slurm.out":
        "[rank13]: torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered\nsrun: error: gpu-07: task 13: Aborted (core dumped)\nsrun: error: gpu-06: tasks 0-7: Killed\n",
    },
    { rank: 13, code: "Xid 48" },
  ),
  fault(
    "somebody else's process holds the port of the master",
    "software-kit",
    "restart",
    "[W1124 10:00:00.100 socket.cpp:464] [c10d] The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use).\n[E1124 10:00:00.100 socket.cpp:500] [c10d] The server socket has failed to listen on any local network address.\n[rank0]: torch.distributed.DistNetworkError: The server socket has failed to listen on any local network address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use\n",
  ),
  fault(
    "a worker of the loader is out of memory",
    "memory",
    "fix-job",
    `${steps}[rank2]: RuntimeError: DataLoader worker (pid(s) 4411, 4412) exited unexpectedly\nNov 24 10:04:00 n3 kernel: Memory cgroup out of memory: Killed process 4411 (pt_data_worker) total-vm:212345kB, anon-rss:112345kB\n`,
  ),
  fault("the store of checkpoints is full on all ranks", "storage", "free-space", {
    "rank_0.log": `${steps}[rank0]: RuntimeError: [enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file data/3: file write failed\n`,
    "rank_1.log": "[rank1]: OSError: [Errno 28] No space left on device\n",
  }),
  fault(
    "a rank is slow to come out of a save, and the others do not wait",
    "interconnect",
    "restart",
    [0, 1, 2, 3]
      .map(
        (rank) =>
          `[rank${rank}]:[E1124 10:44:12.71529874${rank} ProcessGroupNCCL.cpp:607] [Rank ${rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=616, OpType=ALLREDUCE, NumelIn=17891328, NumelOut=17891328, Timeout(ms)=600000) ran for 600079 milliseconds before timing out.\n`,
      )
      .join("") + "using world size: 4, data-parallel size: 4\n",
  ),
  fault(
    "a GPU of another generation than the wheels were built for",
    "software-kit",
    "fix-job",
    "/opt/venv/lib/python3.11/site-packages/torch/cuda/__init__.py:235: UserWarning:\nNVIDIA B200 with CUDA capability sm_100 is not compatible with the current PyTorch installation.\nThe current PyTorch install supports CUDA capabilities sm_50 sm_80 sm_86 sm_90.\n[rank0]: RuntimeError: CUDA error: no kernel image is available for execution on the device\n",
  ),
  fault("a peer of NCCL on another node closes its socket because it was killed", "memory", "fix-job", {
    "node0.log":
      "n0:71:90 [0] misc/socket.cc:881 NCCL WARN socketProgress: Connection closed by remote peer n1<57557>\n[rank0]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error, NCCL version 2.21.5\n",
    "node1.log":
      "slurmstepd: error: Detected 1 oom_kill event in StepId=91.0. Some of the step tasks have been OOM Killed.\nsrun: error: n1: task 9: Out Of Memory\n",
  }),
  fault(
    "a job is taken off by a higher one and its ranks complain",
    "preemption",
    "restart",
    `${steps}slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-24T10:20:00 DUE TO PREEMPTION ***
[rank0]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error, NCCL version 2.21.5
srun: error: n1: tasks 0-7: Terminated
`,
  ),
  fault(
    "DeepSpeed cannot lower the scale any more",
    "numerics",
    "fix-job",
    "[2026-11-24 10:00:00,100] [INFO] [loss_scaler.py:190:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 1, reducing to 1\n[rank0]: Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run.\n",
  ),
  fault(
    "an index of the embedding is out of range",
    "workload",
    "fix-job",
    "../aten/src/ATen/native/cuda/Indexing.cu:1369: indexSelectLargeIndex: block: [27,0,0], thread: [64,0,0] Assertion `srcIndex < srcSelectDimSize` failed.\n[rank6]: RuntimeError: CUDA error: device-side assert triggered\n[rank6]: CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.\n",
    { rank: 6 },
  ),
  fault("链路闪断后训练失败", "interconnect", "evict-node", {
    "device-3.log": "[ERROR] ROCE(1,hccp):2026-11-24-10:00:00.000.001 [rdma.c:88] [devid 3]link status: DOWN\n",
    "rank_3.log":
      "[ERROR] HCCL(512,python):2026-11-24-10:00:31.100.200 [task_exception_handler.cc:610] EI0013: An error CQE occurred during operator execution. Local information: server 10.0.0.1, device ID 3, device IP 192.168.1.3. Peer information: server 10.0.0.2, device ID 3, device IP 192.168.2.3.\n",
  }),
  fault(
    "显存不足导致训练退出",
    "memory",
    "fix-job",
    "[2026-11-24 10:00:00] [ERROR] rank 5: NPU out of memory. Tried to allocate 2.50 GiB (NPU 5; 60.97 GiB total capacity; 58.11 GiB already allocated; 1.20 GiB free)\n[2026-11-24 10:00:01] [ERROR] 训练进程退出, 返回码 1\n",
    { rank: 5 },
  ),
  fault(
    "数据集路径写错",
    "workload",
    "fix-job",
    "[2026-11-24 10:00:00] [INFO] 开始加载数据集\nFileNotFoundError: [Errno 2] No such file or directory: '/data/训练集/shard_0.bin'\n[2026-11-24 10:00:01] [ERROR] 训练失败\n",
  ),
  fault(
    "a session of the host with its card is cut",
    "instability",
    "evict-node",
    "[rank7]: RuntimeError: NPU function error: aclrtMemcpy, error code is 507901\n[ERROR] DRV(4411,python):2026-11-24-10:00:00.100.200 [hdc_core.c:812] hdc session closed, device 7 heartbeat lost\n",
    { rank: 7 },
  ),
  fault(
    "an operator falls out of what its toolkit knows",
    "software-kit",
    "fail-over",
    "[rank0]: RuntimeError: call aclnnGroupedMatmulV4 failed, detail:EZ1001: [PID: 758] 2026-05-08-03:20:31.532.507 Tensor weight not implemented for DT_FLOAT8_E4M3FN, should be in dtype support list [DT_FLOAT16,DT_BFLOAT16,DT_INT8].\n[ERROR] 2026-05-08-03:20:31 (PID:758, Device:0, RankID:0) ERR01100 OPS call acl api failed\n",
  ),
  fault(
    "a mount goes stale in the middle of an epoch",
    "storage",
    "restart",
    `${steps}[rank9]: OSError: [Errno 116] Stale file handle: '/mnt/data/shard-00071.bin'\n[rank9]: The above exception was the direct cause of the following exception:\n[rank9]: RuntimeError: Caught OSError in DataLoader worker process 3.\n`,
    { rank: 9 },
  ),
  fault(
    "a step of the launcher ends because one of its tasks did",
    "instability",
    "restart",
    `${steps}srun: error: n7: task 61: Segmentation fault (core dumped)
srun: Terminating StepId=91.0
slurmstepd: error: *** STEP 91.0 ON n0 CANCELLED AT 2026-11-24T10:20:00 ***
srun: error: n0: tasks 0-7: Terminated
srun: error: n1: tasks 8-15: Terminated
`,
    { rank: 61 },
  ),
  trap("assertions of a driver that harm nobody", {
    dmesg:
      "[588900.241797] NVRM: kceIsGenXorHigherSupported_GH100: Could not get root gen speed - check for GPU gen speed!\n[588912.611023] NVRM: nvAssertFailedNoLog: Assertion failed: !rmapiLockIsOwner() @ rmapi.c:563\n[   32.426004] Lustre: Lustre: Build Version: 2.10.8\n[   32.566500] LNet: 2732:0:(config.c:1637:lnet_inet_enumerate()) lnet: Ignoring interface ens33: it's down\n",
  }),
  trap(
    "an operator that runs on the processor instead",
    `[W VariableFallbackKernel.cpp:51] Warning: CAUTION: The operator 'aten::isin.Tensor_Tensor_out' is not currently supported on the NPU backend and will fall back to run on the CPU. This may have performance implications. (function npu_cpu_fallback)
${steps}${more}`,
  ),
  trap(
    "a service that starts after its warnings",
    `/usr/local/lib/python3.10/site-packages/torch_npu/distributed/distributed_c10d.py:93: UserWarning: HCCL doesn't support gather at the moment. Implemented with allgather instead.
  warnings.warn("HCCL doesn't support gather at the moment. Implemented with allgather instead.")
INFO:     Started server process [1]
INFO:     Application startup complete.
INFO:     10.0.0.3:3391 - "POST /v1/completions HTTP/1.1" 200 OK
INFO:     10.0.0.3:3392 - "POST /v1/completions HTTP/1.1" 200 OK
`,
  ),
  trap(
    "an allocator that had to look twice",
    `[rank3]:[W1124 10:00:00.1 CUDACachingAllocator.cpp:1012] Warning: memory fragmentation is high, retrying after emptying the cache (function malloc)\n${steps}${more}`,
  ),
  trap("a node that was drained and is back", {
    "slurmctld.log":
      "[2026-11-24T08:00:00.100] error: Nodes n7 not responding\n[2026-11-24T08:02:00.100] Node n7 now responding\n[2026-11-24T09:00:00.100] sched: Allocate JobId=91 NodeList=n[0-7] #CPUs=512 Partition=gpu\n",
    "train.log": `${steps}${more}`,
  }),
  trap(
    "a loss spike that passes",
    `${iteration(6, "2.443476E+00")}\n${iteration(7, "9.143476E+00")}\nWARNING: loss spike detected at iteration 7 (9.14 vs 2.44), continuing\n${iteration(8, "2.543476E+00")}\n${iteration(9, "2.443476E+00")}\n${iteration(10, "2.443476E+00")}\n`,
  ),
  trap(
    "a list of error codes in a help page",
    "usage: doctor [options]\n  EI0002  notify wait timeout\n  EI0006  socket timeout\n  EJ0001  HCCP process still running\n  507011  model execute failed\nSee the documentation for details.\n",
  ),
  trap(
    "a retried download of weights",
    `WARNING:huggingface_hub.utils._http:'(ReadTimeoutError("HTTPSConnectionPool(host='hub.local', port=443): Read timed out. (read timeout=10)"), '(Request ID: 7f)')' thrown while requesting HEAD https://hub.local/x\nRetrying in 1s [Retry 1/5].\nLoading checkpoint shards: 100%|██████████| 4/4 [00:10<00:00,  2.60s/it]\n${steps}${more}`,
  ),
  trap(
    "an evaluation of answers about failures",
    'Q: What does "NCCL WARN Got completion with error 12" mean? A: a timeout of InfiniBand\nprediction: CUDA error: out of memory | reference: CUDA error: out of memory | match: 1\nprediction: Segmentation fault | reference: Bus error | match: 0\naccuracy: 0.5\n',
  ),
  trap("训练正常结束", `${more}[2026-11-24 10:40:00] [INFO] 训练完成, 共 5 步, 异常次数: 0, 重启次数: 0\n`),
];
