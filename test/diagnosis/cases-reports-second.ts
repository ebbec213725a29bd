/** A second round of logs after public reports, written after the first round had been worked through and before any of these was diagnosed. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { fault, trap } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const more = `${iteration(3)}\n${iteration(4)}\n${iteration(5)}\n`;

export const secondReports: readonly Case[] = [
  fault(
    "NVLink of a serving node fails for both GPUs of a group",
    "interconnect",
    "evict-node",
    {
      "kern.log": `Sep 11 10:00:00 n3 kernel: NVRM: Xid (PCI:0000:66:00): 145, RLW_REMAP Fatal XC1 i0 Link 07 (0x00000004 0x80000000 0x00000000 0x00000000 0x00000000 0x00000000)
Sep 11 10:00:00 n3 kernel: NVRM: Xid (PCI:0000:66:00): 45, pid=4411, name=VLLM::Worker_TP, Ch 00000008 caused by previous Xid 145
Sep 11 10:00:00 n3 kernel: NVRM: Xid (PCI:0000:76:00): 45, pid=4412, name=VLLM::Worker_TP, Ch 00000008 caused by previous Xid 145
`,
      "serve.log": `(EngineCore_DP0 pid=4400) ERROR 09-11 10:00:01 [multiproc_executor.py:230] Worker proc VllmWorker-0 died unexpectedly, shutting down executor.
(APIServer pid=4390) ERROR 09-11 10:00:01 [async_llm.py:525] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.
`,
    },
    { code: "Xid 145" },
  ),
  fault(
    "LSF's limit of memory",
    "memory",
    "fix-job",
    `------------------------------------------------------------
# LSBATCH: User input
./train.sh
------------------------------------------------------------

TERM_MEMLIMIT: job killed after reaching LSF memory usage limit.
Exited with exit code 143.

Resource usage summary:

    CPU time :                                   5769.10 sec.
    Max Memory :                                 98304 MB
`,
  ),
  fault(
    "LSF's limit of time",
    "preemption",
    "restart",
    `${steps}TERM_RUNLIMIT: job killed after reaching LSF run time limit.
Exited with exit code 140.

Resource usage summary:

    Run time :                                   3609 sec.
`,
  ),
  fault(
    "PBS ends a job at its walltime",
    "preemption",
    "restart",
    `${steps}=>> PBS: job killed: walltime 259217 exceeded limit 259200\nTerminated\n`,
  ),
  fault(
    "Slurm's older words for too much memory",
    "memory",
    "fix-job",
    `Epoch 0 |   Training | Elapsed Time: 0:00:15 | Steps: 91 | Loss: 24.980746
slurmstepd: error: Job 7518 exceeded memory limit (626359956 > 512000000), being killed
slurmstepd: error: Exceeded job memory limit
slurmstepd: error: *** JOB 7518 ON xantipa CANCELLED AT 2022-06-10T17:11:35 ***
Epoch 0 |   Training | Elapsed Time: 0:00:15 | Steps: 95 | Loss: 24.186966
`,
  ),
  fault("firmware of an adapter does not answer", "interconnect", "evict-node", {
    dmesg: `[14280.445220] mlx5_core 0000:61:00.0: wait_func_handle_exec_timeout:1104:(pid 141183): cmd[22]: CREATE_QP(0x500) No done completion
[14280.445226] mlx5_core 0000:61:00.0: wait_func:1132:(pid 141181): CREATE_QP(0x500) timeout. Will cause a leak of a command resource
`,
    "train.log":
      "b1360:4411:4500 [2] misc/ibvwrap.cc:130 NCCL WARN Call to ibv_create_qp failed with error Connection timed out\n[rank2]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, unhandled system error, NCCL version 2.21.5\n",
  }),
  fault(
    "retries of a queue pair are used up, in newer words",
    "interconnect",
    "restart",
    "n7:4411:4500 [3] transport/net_ib/p2p.cc:812 NCCL WARN NET/IB: Got CQE with error (devIndex=0, req=0x7f0a, comm=0x55d0, wr_id=12, qp_num=2210)\nn7:4411:4500 [3] transport/net_ib/p2p.cc:820 NCCL WARN NET/IB: Got completion from peer 10.1.3.201<33057> status=IBV_WC_RETRY_EXC_ERR(12) opcode=129 vendor_err=129 (Send) localGid ::ffff:10.206.1.23 remoteGids ::ffff:10.206.1.11 hca mlx5_3\n",
  ),
  fault(
    "a cache cannot be moved between two servers",
    "interconnect",
    "restart",
    `E1210 03:24:54.778028 2548307 ascend_direct_transport.cpp:820] Failed to connect to target: 172.16.100.99:25389, status: 103900
E1210 03:24:54.778062 2548307 ascend_direct_transport.cpp:581] Failed to connect to segment: 172.16.100.99:16381
(Worker_DP0_TP5 pid=2543213) ERROR 12-10 03:24:54 [mooncake_connector.py:410] Mooncake transfer failed for request cmpl-09be0283-0
(Worker_DP0_TP5 pid=2543213) ERROR 12-10 03:24:54 [mooncake_connector.py:329] Failed to transfer KV cache for request cmpl-09be0283-0: Mooncake transfer failed, ret: -1
`,
  ),
  fault(
    "TensorRT-LLM finds no memory on the device",
    "memory",
    "fix-job",
    `[TensorRT-LLM][INFO] TRTGptModel maxNumSequences: 256
[TensorRT-LLM][WARNING] cancellation_check_period_ms is not specified, will be set to 100 (ms)
terminate called after throwing an instance of 'tensorrt_llm::common::TllmException'
  what():  [TensorRT-LLM][ERROR] CUDA runtime error in ::cudaMallocAsync(ptr, n, mMemPool->getPool(), mCudaStream->get()): out of memory (/src/tensorrt_llm/cpp/tensorrt_llm/runtime/tllmBuffers.h:211)
1       0x7fb4aebbeb71 tensorrt_llm::common::throwRuntimeError(char const*, int, std::string const&) + 82
`,
  ),
  fault(
    "TensorRT-LLM's ranks cannot speak",
    "interconnect",
    "restart",
    `terminate called after throwing an instance of 'tensorrt_llm::common::TllmException'
  what():  [TensorRT-LLM][ERROR] Assertion failed: Failed: NCCL error /src/tensorrt_llm/common/opUtils.cpp:112 'unhandled system error (run with NCCL_DEBUG=INFO for details)' (/src/tensorrt_llm/common/opUtils.cpp:112)
1       0x7fb4aebbeb71 tensorrt_llm::common::throwRuntimeError(char const*, int, std::string const&) + 82
MPI_ABORT was invoked on rank 2 in communicator MPI_COMM_WORLD
with errorcode 1.
`,
  ),
  fault(
    "Composer reports a rank that touched memory it was not given",
    "memory",
    "fix-job",
    `Building trainer...
ERROR:composer.cli.launcher:Rank 2 crashed with exit code -7.
Waiting up to 30 seconds for all training processes to terminate. Press Ctrl-C to exit immediately.
`,
    { rank: 2 },
  ),
  fault(
    "a file that ranks write at once, under SageMaker's tags",
    "workload",
    "fix-job",
    "[1,mpirank:7,algo-1]<stderr>:Traceback (most recent call last):\n[1,mpirank:7,algo-1]<stderr>:  File \"/opt/ml/code/train.py\", line 20, in <module>\n[1,mpirank:7,algo-1]<stderr>:FileNotFoundError: [Errno 2] No such file or directory: 'opt/ml/mds-cache/index.json.tmp.tmp'\n",
    { rank: 7 },
  ),
  fault(
    "a norm of gradients that is none",
    "numerics",
    "restart",
    "2024-11-24 10:00:00,100 INFO record_metrics.py:378 in record_current_batch_training_metrics -- tflops=180.2 step=118 loss=2.31 tgs (tokens/gpu/second)=1211.2\n2024-11-24 10:00:09,100 ERROR train.py:203 in main -- Nan grad norm occurs, please check it\n",
  ),
  fault(
    "gradients are no numbers and the loss is left out",
    "numerics",
    "restart",
    [5424, 5425]
      .map(
        (n) =>
          ` iteration     ${n}/  250000 | consumed samples:        43408 | consumed tokens:     88899584 | elapsed time per iteration (ms): 4247.9 | learning rate: 2.999E-04 | global batch size:     8 | lm loss: 6.4E+00 | loss scale: 1.0 | grad norm: 1.2 | actual seqlen:  2048 | number of skipped iterations:   0 | number of nan iterations:   0 |\n`,
      )
      .join("") +
      [5426, 5427, 5428]
        .map(
          (n) =>
            ` iteration     ${n}/  250000 | consumed samples:        43408 | consumed tokens:     88899584 | elapsed time per iteration (ms): 4247.9 | learning rate: 2.999E-04 | global batch size:     8 | loss scale: 1.0 | grad norm: nan | actual seqlen:  2048 | number of skipped iterations:   0 | number of nan iterations:   0 |\n`,
        )
        .join(""),
  ),
  fault(
    "a trainer of dictionaries shows no number any more",
    "numerics",
    "restart",
    "{'loss': 0.2151, 'grad_norm': 1.21, 'learning_rate': 9.78e-06, 'epoch': 0.52}\n{'loss': 0.2051, 'grad_norm': nan, 'learning_rate': 9.774074342405685e-06, 'epoch': 0.53}\n{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 9.773696745450087e-06, 'epoch': 0.53}\n{'loss': 0.0, 'grad_norm': nan, 'learning_rate': 9.773318840518906e-06, 'epoch': 0.53}\n",
  ),
  fault(
    "a plain loop prints its loss",
    "numerics",
    "restart",
    "epoch: 3449 loss: 0.2075416080653667\nepoch: 3450 loss: 0.21063452526926987\nepoch: 3451 loss: nan\nepoch: 3452 loss: nan\nepoch: 3453 loss: nan\n",
  ),
  fault(
    "a node does not come to the rendezvous",
    "interconnect",
    "restart",
    `[W228 18:45:15.738941174 socket.cpp:462] [c10d] waitForInput: poll for socket SocketImpl(fd=11, addr=[n2]:38674, remote=[::ffff:33.148.62.162]:23456) returned 0, likely a timeout
[W228 18:45:15.741177013 socket.cpp:487] [c10d] waitForInput: socket SocketImpl(fd=11, addr=[n2]:38674, remote=[::ffff:33.148.62.162]:23456) timed out after 900000ms
Traceback (most recent call last):
  File "/opt/conda/lib/python3.10/site-packages/torch/distributed/run.py", line 923, in <module>
    main()
torch.distributed.DistStoreError: wait timeout after 900000ms, keys: /none/torchelastic/role_info/1
`,
  ),
  fault(
    "torchrun's older words for a worker that was killed",
    "instability",
    "restart",
    `[2023-09-08 10:21:20,648] torch.distributed.elastic.multiprocessing.api: [WARNING] Sending process 203613 closing signal SIGTERM
[2023-09-08 10:21:22,992] torch.distributed.elastic.multiprocessing.api: [ERROR] failed (exitcode: -9) local_rank: 0 (pid: 203612) of binary: /home/u/bin/python3.9
Traceback (most recent call last):
  File "/home/u/bin/torchrun", line 8, in <module>
    sys.exit(main())
`,
    { rank: 0 },
  ),
  fault("links of NVLink are not found at the start", "interconnect", "evict-node", {
    "journal.txt":
      "Jul 09 10:42:47 pool0-0082 kernel: NVRM: knvlinkDiscoverPostRxDetLinks_GH100: Getting peer0's postRxDetLinkMask failed!\n",
    "train.log":
      "[rank0]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, unhandled cuda error, NCCL version 2.26.2\n",
  }),
  fault(
    "a switch loses a request, in dmesg's decoded words",
    "interconnect",
    "evict-node",
    {
      dmesg:
        "kern  :err   : 2025-01-25T10:34:54,859532+00:00 nvidia-nvswitch1: SXid (PCI:0000:84:00.0): 24007, Fatal, Link 31 sourcetrack timeout error\n",
      "train.log": "2025-01-25 10:34:56 [rank1]: RuntimeError: CUDA error: unspecified launch failure\n",
    },
    { code: "SXid 24007" },
  ),
  fault(
    "the kernel tells where a rank crashed",
    "instability",
    "restart",
    {
      "kern.log":
        "Nov 24 10:05:01 n3 kernel: [80212.101010] python3[953]: segfault at 8 ip 00007f3a1c2d4e10 sp 00007ffd5a1b2c30 error 4 in libtorch_cuda.so[7f3a1a000000+5000000]\n",
      "train.log":
        "E1124 10:05:03.200000 900 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: -11) local_rank: 3 (pid: 953) of binary: /usr/bin/python3\n[rank1]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error, NCCL version 2.21.5\n",
    },
    { rank: 3 },
  ),
  fault("the platform reports a fatal error of PCIe", "instability", "evict-node", {
    "kern.log": `Nov 24 10:00:00 n3 kernel: {1}[Hardware Error]: Hardware error from APEI Generic Hardware Error Source: 4
Nov 24 10:00:00 n3 kernel: {1}[Hardware Error]: event severity: fatal
Nov 24 10:00:00 n3 kernel: {1}[Hardware Error]:  Error 0, type: fatal
Nov 24 10:00:00 n3 kernel: {1}[Hardware Error]:   section_type: PCIe error
`,
  }),
  fault(
    "a node has fewer GPUs than it says",
    "instability",
    "evict-node",
    `  Type     Reason                    Age   From     Message
  Warning  UnexpectedAdmissionError  10s   kubelet  Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. Requested: 8, Available: 7, which is unexpected
`,
  ),
  fault(
    "a shard of the data ends early",
    "storage",
    "restart",
    `${steps}[rank4]: Traceback (most recent call last):\n[rank4]:   File "/usr/lib/python3.10/tarfile.py", line 2349, in next\n[rank4]: tarfile.ReadError: unexpected end of data @ /data/shard-000012.tar\n`,
    { rank: 4 },
  ),
  fault(
    "a file of HDF5 is cut off",
    "storage",
    "restart",
    "OSError: Unable to open file (truncated file: eof = 2048, sblock->base_addr = 0, stored_eof = 90112)\n",
  ),
  fault(
    "a tracker refuses the key",
    "workload",
    "fix-job",
    "wandb: ERROR Error while calling W&B API: permission denied (<Response [403]>)\nTraceback (most recent call last):\n  File \"/srv/train.py\", line 40, in <module>\n    wandb.init(project='x')\nwandb.errors.errors.CommError: Error uploading run: returned error 403: permission denied\n",
  ),
  fault(
    "a state of FSDP that the program did not mean",
    "workload",
    "fix-job",
    `[rank2]: Traceback (most recent call last):\n[rank2]:   File "/opt/venv/lib/python3.11/site-packages/torch/distributed/fsdp/_runtime_utils.py", line 700, in _post_backward_hook\n[rank2]: RuntimeError: Expects BACKWARD_PRE or BACKWARD_POST state but got HandleTrainingState.FORWARD\n`,
  ),
  fault(
    "a fused optimizer cannot be built",
    "software-kit",
    "fix-job",
    `ninja: build stopped: subcommand failed.
Traceback (most recent call last):
  File "/opt/venv/lib/python3.10/site-packages/torch/utils/cpp_extension.py", line 2096, in _run_ninja_build
    subprocess.run(
subprocess.CalledProcessError: Command '['ninja', '-v']' returned non-zero exit status 1.

The above exception was the direct cause of the following exception:

RuntimeError: Error building extension 'fused_adam'
`,
  ),
  fault(
    "the driver of the NPU cannot give memory",
    "memory",
    "fix-job",
    "[ERROR] RUNTIME(4411,python):2026-11-24-10:00:00.123.456 [npu_driver.cc:1204]4411 DevMemAllocHugePageManaged:[drv api] halMemAlloc failed: device_id=3, size=2147483648, type=16, drvRetCode=6!\n[rank3]: RuntimeError: NPU function error: aclrtMallocAlign32, error code is 207001\n",
    { rank: 3 },
  ),
  fault(
    "an error of HBM told by its return code",
    "memory",
    "evict-node",
    "[rank3]: RuntimeError: ACL stream synchronize failed, error code:507054\n[rank0]: EI0002: [PID: 13] 2026-11-24-10:30:30.586.187 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [3].\n",
    { rank: 3 },
  ),
  fault(
    "ranks are not collected at the start",
    "interconnect",
    "restart",
    "[rank12]: EI0015: [PID: 4411] 2026-11-24-10:02:00.100.200 Failed to collect cluster information of the communicator based on rootInfo detection. Reason: topo exchange server get socket timeout.\n[rank12]: RuntimeError: [ERROR] HCCL error in: build/CMakeFiles/torch_npu.dir/compiler_depend.ts:64\n",
  ),
  fault(
    "an operator of the NPU finds no tiling",
    "software-kit",
    "fail-over",
    "(EngineCore_DP0 pid=626) ERROR 12-05 07:51:00 [core.py:708] RuntimeError: npu_fused_infer_attention_score:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:32 NPU function error: call aclnnFusedInferAttentionScoreV3 failed, error code is 561002\n(EngineCore_DP0 pid=626) ERROR 12-05 07:51:00 [core.py:708] E89999: Inner Error!\n(EngineCore_DP0 pid=626) ERROR 12-05 07:51:00 [core.py:708] E89999: [PID: 626] 2025-12-05-07:51:00.100.200 op[FusedInferAttentionScore], block size 96 is not supported[FUNC:CheckBlockSize][FILE:fused_infer_attention_score_tiling.cpp][LINE:812]\n",
  ),
  fault(
    "主节点连接不上",
    "interconnect",
    "restart",
    "[2026-11-24 10:00:00] [ERROR] 连接主节点 10.0.0.1:29500 超时, 训练启动失败\n",
  ),
  fault(
    "检查点目录没有写权限",
    "storage",
    "fix-job",
    `${steps}[rank0]: PermissionError: [Errno 13] Permission denied: '/ckpt/iter_0000100'\n[2026-11-24 10:00:00] [ERROR] 保存检查点失败\n`,
  ),
  fault(
    "the second start of a job ends otherwise than the first",
    "instability",
    "evict-node",
    `[rank2]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
SLURM_RESTART_COUNT=1
${steps}[Tue Nov 24 10:20:01 2026] NVRM: Xid (PCI:0000:9b:00): 79, pid=4411, name=python3, GPU has fallen off the bus.
[rank4]: RuntimeError: CUDA error: unspecified launch failure
`,
    { code: "Xid 79" },
  ),
  fault(
    "a controller sees its cluster taken away",
    "preemption",
    "restart",
    `${steps}I 11-24 10:30:00 controller.py:412] Cluster is preempted or failed (status: STOPPED). Recovering...\n`,
  ),
  fault(
    "a socket of NCCL is refused for too long",
    "interconnect",
    "restart",
    "n2:4411:4500 [0] misc/socket.cc:484 NCCL WARN socketPollConnect: connect to 10.0.0.2<45231> returned No route to host, exceeded error retry count (35)\n[rank8]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:268, unhandled system error, NCCL version 2.21.5\n",
  ),
  fault(
    "a mesh of Gloo is not made",
    "interconnect",
    "restart",
    "[rank1]: RuntimeError: Gloo connectFullMesh failed with [../third_party/gloo/gloo/transport/tcp/pair.cc:144] no error\n",
  ),
  fault(
    "a task of Ray raised what its worker met",
    "memory",
    "fix-job",
    `Traceback (most recent call last):
  File "/verl/trainer/main_ppo.py", line 163, in run_ppo
ray.exceptions.RayTaskError(OutOfMemoryError): ray::WorkerDict.actor_rollout_generate_sequences() (pid=3175143, ip=10.49.193.113)
  File "/verl/workers/fsdp_workers.py", line 512, in generate_sequences
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 14.19 GiB. GPU 0 has a total capacity of 79.11 GiB of which 10.31 GiB is free.
`,
  ),
  fault(
    "a store of objects is full",
    "memory",
    "fix-job",
    "ray.exceptions.ObjectStoreFullError: Failed to put object ffffffff in object store because it is full. Object size is 10737418240 bytes.\n",
  ),
  trap(
    "a tracker of resources at the end of a run",
    `${more}[after training is done] datetime: 2026-11-24 10:40:00
/opt/venv/lib/python3.10/multiprocessing/resource_tracker.py:237: UserWarning: resource_tracker: '/af0626_barrier': [Errno 2] No such file or directory: '/af0626_barrier'
  warnings.warn('resource_tracker: %r: %s' % (name, e))
`,
  ),
  trap(
    "a norm that was skipped once",
    `10/30 22:18:30 - mmengine - INFO - Epoch(train) [1][210/735]  lr: 1.9857e-04  eta: 2:46:12  time: 2.8865  data_time: 0.0041  memory: 10762  loss: 2.6150  grad_norm: 2.7647
10/30 22:18:59 - mmengine - INFO - Epoch(train) [1][220/735]  lr: 1.9843e-04  eta: 2:45:44  time: 2.8826  data_time: 0.0040  memory: 10762  loss: 2.6687  grad_norm: nan
10/30 22:19:28 - mmengine - INFO - Epoch(train) [1][230/735]  lr: 1.9828e-04  eta: 2:45:16  time: 2.8833  data_time: 0.0040  memory: 10762  loss: 2.7682  grad_norm: 2.5099
10/30 22:19:57 - mmengine - INFO - Epoch(train) [1][240/735]  lr: 1.9813e-04  eta: 2:44:49  time: 2.8874  data_time: 0.0042  memory: 10762  loss: 2.5128  grad_norm: 2.4099
10/30 22:20:26 - mmengine - INFO - Epoch(train) [1][250/735]  lr: 1.9797e-04  eta: 2:44:21  time: 2.8906  data_time: 0.0039  memory: 10762  loss: 2.4566  grad_norm: 2.3099
`,
  ),
  trap("a manager of switches on a machine without any", {
    "journal.txt": `Nov 24 09:00:01 n1 nv-fabricmanager[4177]: request to query NVSwitch device information from NVSwitch driver failed with error:WARNING Nothing to do [NV_WARN_NOTHING_TO_DO]
Nov 24 09:00:01 n1 systemd[1]: nvidia-fabricmanager.service: Control process exited, code=exited, status=1/FAILURE
`,
    "train.log": `${steps}${more}`,
  }),
  trap(
    "a transfer that was made in the end",
    `E20260608 14:45:44.404089 342420 ascend_direct_transport.cpp:1107] Connect timeout to: 10.2.0.3:20033, you can increase the timeout duration to reduce the ASCEND_CONNECT_TIMEOUT environment variable.
I20260608 14:45:54.404228 342420 ascend_direct_transport.cpp:1119] Connected to segment: 10.2.0.3:20033, cost:10016885 us.
(APIServer pid=1) INFO:     10.233.74.91:4775 - "POST /v1/chat/completions HTTP/1.1" 200 OK
(APIServer pid=1) INFO:     10.233.74.91:4776 - "POST /v1/chat/completions HTTP/1.1" 200 OK
`,
  ),
  trap(
    "a history of jobs before the training",
    `       JobID    JobName      State ExitCode
------------ ---------- ---------- --------
7511           pretrain     FAILED      1:0
7512           pretrain OUT_OF_ME+    0:125
7513           pretrain  NODE_FAIL      0:0
7514           pretrain    TIMEOUT      0:0
${steps}${more}`,
  ),
  trap(
    "a server with settings that nobody gave",
    `triton-models-1    | [TensorRT-LLM][WARNING] cancellation_check_period_ms is not specified, will be set to 100 (ms)
triton-models-1    | I0223 12:03:30.796012 120 model_lifecycle.cc:839] "successfully loaded 'tensorrt_llm'"
triton-models-1    | I0223 12:03:30.820077 120 model_lifecycle.cc:839] "successfully loaded 'ensemble'"
triton-models-1    | W0223 12:03:31.100000 120 metrics.cc:860] "No GPU metrics will be polled"
`,
  ),
  trap(
    "NCCL looks for an adapter and takes the network",
    `n1:71:90 [0] NCCL INFO NET/IB : No device found.
n1:71:90 [0] NCCL INFO Failed to open libibverbs.so[.1]
n1:71:90 [0] NCCL INFO NET/Socket : Using [0]eth0:10.0.0.1<0>
n1:71:90 [0] NCCL INFO Call to connect returned Connection refused, retrying
n1:71:90 [0] NCCL INFO ncclCommInitRank comm 0x63d2de869050 rank 0 nranks 2 cudaDev 0 nvmlDev 0 busId 59000 commId 0x14de - Init COMPLETE
${steps}`,
  ),
  trap(
    "LSF's report of a job that is done",
    `${more}------------------------------------------------------------
Successfully completed.

Resource usage summary:

    CPU time :                                   5.69 sec.
    Max Memory :                                 6 MB
    Max Processes :                              4
`,
  ),
  trap(
    "a scheduler of requests preempts one",
    `WARNING 11-24 10:00:00 [scheduler.py:1057] Sequence group cmpl-12 is preempted by PreemptionMode.RECOMPUTE mode because there is not enough KV cache space. This can affect the end-to-end performance. Increase gpu_memory_utilization or tensor_parallel_size to provide more KV cache memory. total_num_cumulative_preemption=1
INFO 11-24 10:00:05 [loggers.py:118] Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: 20.0 tokens/s, Running: 12 reqs
INFO 11-24 10:00:10 [loggers.py:118] Engine 000: Avg prompt throughput: 11.0 tokens/s, Avg generation throughput: 21.0 tokens/s, Running: 12 reqs
`,
  ),
  trap(
    "a game in which somebody is killed",
    "episode 118: agent 3 killed by enemy, reward -1.0\nepisode 119: agent 1 died unexpectedly early, reward -0.5\nepisode 120: all agents alive, reward 2.0\nepoch: 12 step: 10, loss is 0.41\nepoch: 12 step: 20, loss is 0.40\nepoch: 12 step: 30, loss is 0.39\n",
  ),
  trap(
    "a tracker that is not reached at once",
    `wandb: Network error (ConnectTimeout), entering retry loop.\n${steps}wandb: Network error resolved after 0:00:12, resuming normal operation.\n${more}`,
  ),
  trap(
    "连接重试后成功",
    "[WARNING] HCCL(512,python):2026-11-24-10:00:00.100.200 [hccl_socket.cc:9] socket 连接失败, 第 1 次重试\n[INFO] HCCL(512,python):2026-11-24-10:00:01.100.200 [hccl_socket.cc:30] socket 连接成功\nepoch: 1 step: 10, loss is 2.41\nepoch: 1 step: 20, loss is 2.22\n",
  ),
];
