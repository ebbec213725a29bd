/** Healthy logs full of alarming words, after what real programs print while nothing is wrong. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { trap } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const more = `${iteration(3)}\n${iteration(4)}\n`;

export const trapReports: readonly Case[] = [
  trap(
    "NCCL looks for plugins that nobody installed",
    `${steps}node0:13571:13571 [0] NCCL INFO NET/Plugin : Plugin load (libnccl-net.so) returned 2 : libnccl-net.so: cannot open shared object file: No such file or directory
node0:13571:13571 [0] NCCL INFO NET/Plugin : No plugin found, using internal implementation
node0:13571:13571 [0] NCCL INFO TUNER/Plugin: Plugin load returned 2 : libnccl-net.so: cannot open shared object file: No such file or directory : when loading libnccl-tuner.so
node0:13571:13571 [0] NCCL INFO Failed to open libibverbs.so[.1]
`,
  ),
  trap(
    "a pod's description names what may go wrong",
    `${steps}    Environment:
      NCCL_IB_TIMEOUT:            22
      TORCH_NCCL_ASYNC_ERROR_HANDLING:  1
      ON_OOM:                     "CUDA out of memory: restart"
    Restart Count:  0
    Last State:     <none>
`,
  ),
  trap(
    "leftovers at the end of a finished run",
    `${more}[after training is done] datetime: 2026-11-24 10:00:00
/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 6 leaked shared_memory objects to clean up at shutdown
  warnings.warn('resource_tracker: There appear to be %d '
/usr/lib/python3.11/multiprocessing/resource_tracker.py:267: UserWarning: resource_tracker: '/240_0_transfer': [Errno 2] No such file or directory: '/240_0_transfer'
  warnings.warn('resource_tracker: %r: %s' % (name, e))
`,
  ),
  trap(
    "another process crashed on another GPU",
    `${steps}nv1 kernel: NVRM: Xid (PCI:0000:3d:00): 43, pid=35521, name=jupyter, Ch 00000008
nv1 kernel: NVRM: Xid (PCI:0000:3d:00): 45, pid=35521, name=jupyter, Ch 00000009
${more}`,
  ),
  trap(
    "single-bit errors are corrected",
    `${steps}nv1 kernel: NVRM: Xid (PCI:0000:3d:00): 92, pid='<unknown>', name=<unknown>, High single-bit ECC error rate
${more}`,
  ),
  trap(
    "a run starts with a search for its loss scale",
    `[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 4294967296, reducing to 2147483648
[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 2147483648, reducing to 1073741824
[2026-11-24 10:00:00,311] [INFO] [logging.py:128:log_dist] [Rank 0] step=10, skipped=2, lr=[1e-05], mom=[[0.9, 0.95]]
{'loss': 2.31, 'grad_norm': 1.1, 'learning_rate': 2e-05, 'epoch': 0.01}
{'loss': 2.29, 'grad_norm': 1.0, 'learning_rate': 2e-05, 'epoch': 0.02}
`,
  ),
  trap(
    "a leftover of NFS cannot be removed",
    `${steps}Traceback (most recent call last):
  File "/usr/lib/python3.10/multiprocessing/util.py", line 300, in _run_finalizers
    finalizer()
OSError: [Errno 16] Device or resource busy: '.nfs00000000000f464500000da8'
${more}`,
  ),
  trap(
    "clients of a server ask for too much",
    `(APIServer pid=1) INFO 11-24 12:24:14 [loggers.py:123] Engine 000: Avg prompt throughput: 26298.0 tokens/s, Avg generation throughput: 10103.2 tokens/s, Running: 224 reqs
(APIServer pid=1) ERROR 11-24 12:24:15 [serving_completion.py:116] ValueError: This model's maximum context length is 32768 tokens. However, you requested 40000 tokens.
(APIServer pid=1) INFO:     127.0.0.1:42352 - "POST /v1/completions HTTP/1.1" 400 Bad Request
(APIServer pid=1) INFO:     127.0.0.1:42353 - "POST /v1/completions HTTP/1.1" 200 OK
(APIServer pid=1) INFO 11-24 12:24:24 [loggers.py:123] Engine 000: Avg prompt throughput: 2.0 tokens/s, Avg generation throughput: 3.2 tokens/s, Running: 2 reqs
`,
  ),
  trap(
    "torchrun started its workers again, and they finished",
    `${steps}[rank1]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.
E1124 10:07:20.086000 870 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 1 (pid: 876053) of binary: /usr/bin/python3
I1124 10:07:20.086000 870 torch/distributed/elastic/agent/server/api.py:889] [default] Worker group FAILED. 3/3 attempts left; will restart worker group
I1124 10:07:20.087000 870 torch/distributed/elastic/agent/server/api.py:677] [default] Rendezvous'ing worker group
${more}[after training is done] datetime: 2026-11-24 10:40:00
`,
  ),
  trap(
    "Slurm requeued the job and it went on",
    `${steps}srun: error: Node failure on node09
slurmstepd: error: *** JOB 48211 ON node07 CANCELLED AT 2026-11-24T10:10:10 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***
SLURM_RESTART_COUNT=1
using world size: 16, data-parallel size: 16
${more}${iteration(5)}
`,
  ),
  trap(
    "an injection of faults is configured",
    `${steps}config: {"error_injection": {"enabled": false, "kinds": ["cuda_oom", "nccl_timeout", "xid_79"]}, "on_error": "raise RuntimeError"}
fault_injection.rate=0.0
  error_injection_rate ............................ 0
  error_injection_type ............................ transient_error
`,
  ),
  trap(
    "a table of a healthy GPU",
    `${steps}    ECC Errors
        Volatile
            SRAM Correctable                  : 0
            SRAM Uncorrectable Parity         : 0
            DRAM Correctable                  : 0
            DRAM Uncorrectable                : 0
    Remapped Rows
        Correctable Error                     : 0
        Uncorrectable Error                   : 0
        Pending                               : No
        Remapping Failure Occurred            : No
`,
  ),
  trap(
    "a compiler's and an installer's words",
    `Requirement already satisfied: nvidia-nccl-cu12==2.26.2 in /opt/venv/lib/python3.11/site-packages
[17/93] /usr/bin/c++ -MMD -c /src/csrc/errors/ncclSystemError.cpp -o build/ncclSystemError.o
[18/93] /usr/bin/nvcc -c /src/csrc/out_of_memory_handler.cu -o build/out_of_memory_handler.o
0 errors, 12 warnings generated.
`,
  ),
  trap(
    "a download that was tried again",
    `${steps}WARNING:urllib3.connectionpool:Retrying (Retry(total=4, connect=None, read=None)) after connection broken by 'ConnectionResetError(104, 'Connection reset by peer')': /ckpt/part-3
wandb: Network error (ReadTimeout), entering retry loop.
wandb: Network error resolved after 0:00:12.4, resuming normal operation.
${more}`,
  ),
  trap(
    "a chat about failures is the training data",
    `${steps}[sample 0] User: my job prints RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:1191, unhandled system error. What now?
[sample 0] Assistant: Check the network. You may also see ncclRemoteError or a Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1, OpType=ALLREDUCE
{"messages": [{"role": "user", "content": "dmesg says NVRM: Xid (PCI:0000:05:00): 79, GPU has fallen off the bus."}]}
`,
  ),
  trap(
    "HCCL recovers by itself",
    `torch_npu 2.5.1
${steps}[WARNING] HCCL(77,python):2026-11-24-10:02:00.000.001 [op_retry.cc:88] [77]socket timeout, retry 1 of 3
[EVENT] HCCL(77,python):2026-11-24-10:02:03.000.001 [op_retry.cc:99] [77]retry success, comm resumed
${more}`,
  ),
  trap(
    "operators go to the host on an NPU",
    `[W VariableFallbackKernel.cpp:51] Warning: CAUTION: The operator 'aten::isin.Tensor_Tensor_out' is not currently supported on the NPU backend and will fall back to run on the CPU. This may have performance implications. (function npu_cpu_fallback)
[rank0]:[W326 11:49:12.331714626 compiler_depend.ts:133] Warning: Warning: Device do not support double dtype now, dtype cast repalce with float. (function operator())
${more}`,
  ),
  trap(
    "tests that expect errors",
    `tests/test_faults.py::test_cuda_oom_is_retried PASSED                    [ 10%]
tests/test_faults.py::test_xid_79_evicts PASSED                          [ 20%]
tests/test_faults.py::test_nccl_timeout XFAIL (expected RuntimeError: Watchdog caught collective operation timeout) [ 30%]
========================= 2 passed, 1 xfailed in 3.10s =========================
`,
  ),
  trap(
    "a script guards itself against signals",
    `+ trap 'echo "received SIGTERM, saving checkpoint"' TERM
+ [[ -z 137 ]] && echo "OOMKilled"
#SBATCH --signal=B:TERM@120
${more}[after training is done] datetime: 2026-11-24 10:40:00
`,
  ),
  trap(
    "a list of files with frightening names",
    `total 12
-rw-r--r-- 1 user user 1024 Nov 24 10:00 cuda_out_of_memory_traceback.txt
-rw-r--r-- 1 user user 2048 Nov 24 10:00 No space left on device.md
drwxr-xr-x 2 user user 4096 Nov 24 10:00 nccl_timeouts
${more}`,
  ),
  trap(
    "a difference of two versions of the code",
    `diff --git a/train.py b/train.py
--- a/train.py
+++ b/train.py
-        raise RuntimeError("CUDA out of memory")
+        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
+    # Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1
`,
  ),
  trap(
    "a barrier warns of its device",
    `[rank3]:[W1124 10:00:00.1 ProcessGroupNCCL.cpp:4115] [PG ID 0 PG GUID 0 Rank 3]  using GPU 3 to perform barrier as devices used by this process are currently unknown. This can potentially cause a hang if this rank to GPU mapping is incorrect. Specify device_ids in barrier() to force use of a particular device, or call init_process_group() with a device_id.
${steps}`,
  ),
  trap(
    "the cards of a node are listed",
    `+------------------------------------------------------------------------------------------------+
| npu-smi 25.0.rc1.2               Version: 25.0.rc1.2                                           |
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| 0     910B2C              | OK            | 96.6        45                0    / 0             |
| No running processes found in NPU 0                                                            |
+================================================================================================+
${steps}`,
  ),
  trap(
    "a job that its owner cancelled",
    `${steps}slurmstepd: error: *** JOB 48211 ON node07 CANCELLED AT 2026-11-24T10:10:10 ***
srun: Job step aborted: Waiting up to 32 seconds for job step to finish.
srun: error: node07: tasks 0-7: Terminated
W1124 10:10:10.101000 900 torch/distributed/elastic/agent/server/api.py:719] Received 15 death signal, shutting down workers
W1124 10:10:10.102000 900 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 951 closing signal SIGTERM
`,
  ),
  trap(
    "日志里只有提示: a healthy log in Chinese",
    `2026-11-24 10:00:00 - INFO - 开始训练, 若出现显存不足请减小批大小
2026-11-24 10:00:01 - INFO - 参数说明: 超时时间 1800 秒, 通信超时后自动重试
2026-11-24 10:00:02 - WARNING - 未找到检查点, 从头开始训练
${more}`,
  ),
  trap(
    "a metric of errors is at zero",
    `# HELP DCGM_FI_DEV_XID_ERRORS Value of the last XID error encountered.
# TYPE DCGM_FI_DEV_XID_ERRORS gauge
DCGM_FI_DEV_XID_ERRORS{gpu="0",UUID="GPU-1",device="nvidia0"} 0
DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS{gpu="0"} 0
node_network_carrier_down_changes_total{device="ib0"} 0
`,
  ),
];
