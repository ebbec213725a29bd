/** Logs that are full of frightening words and healthy, or whose loudest error is not the cause. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";

const healthy = (name: string, ...lines: string[]): Case => ({
  name,
  files: { "train.log": [iteration(1), iteration(2), ...lines, iteration(3), iteration(4), iteration(5)].join("\n") },
  cause: null,
});
/** Without steps after it, so that only the words themselves can acquit. */
const words = (name: string, ...lines: string[]): Case => ({
  name,
  files: { "train.log": [iteration(1), iteration(2), ...lines].join("\n") },
  cause: null,
});

export const traps: readonly Case[] = [
  words(
    "error words in training data as JSON",
    '{"text": "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "id": 7}',
    '{"text": "NVRM: Xid (PCI:0000:9b:00): 79, GPU has fallen off the bus."}',
  ),
  words(
    "error words in a printed sample",
    'sample 12: text = "OSError: [Errno 28] No space left on device" label=1',
    "prompt: explain ncclSystemError: unhandled system error",
    "Generated text: Kernel panic - not syncing: Fatal exception",
  ),
  words(
    "arguments that name errors",
    "  on_cuda_out_of_memory ........................... skip",
    "  check_for_nan_in_loss_and_grad .................. True",
    "NCCL_ASYNC_ERROR_HANDLING=1",
    "  --exit-on-missing-checkpoint --no-space-left-on-device-action=stop",
  ),
  words(
    "comments and shell traces",
    "# if CUDA out of memory. Tried to allocate: lower the micro batch",
    "+ grep -c 'NVRM: Xid' /var/log/kern.log",
    "// Watchdog caught collective operation timeout: WorkNCCL(SeqNum= is handled above",
  ),
  words(
    "a quoted message in an information line",
    'INFO: watching the log for "NVRM: Xid (PCI:0000:9b:00): 79" and "uncorrectable ECC error encountered"',
  ),
  words(
    "counters that are zero",
    "ECC errors: 0, Xid errors: 0, link down events: 0",
    "INFO no Xid errors, no uncorrectable ECC error encountered",
    "heartbeats lost: 0",
  ),
  healthy(
    "a retry that succeeded",
    "WARNING checkpoint save failed: OSError: [Errno 5] Input/output error, retrying (1/3)",
    "successfully saved checkpoint from iteration 2 to /ck",
  ),
  healthy(
    "an out-of-memory error that the program caught",
    "[rank1]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
    "micro batch size reduced from 8 to 4",
  ),
  healthy(
    "DeepSpeed searches its loss scale",
    "[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 65536, reducing to 32768",
  ),
  healthy(
    "one NaN that was skipped",
    iteration(2, "nan").replace("skipped iterations:   0", "skipped iterations:   1"),
  ),
  healthy(
    "an earlier attempt failed, this one trains",
    "[rank3]: RuntimeError: CUDA error: an illegal memory access was encountered",
    "E1124 10:30:00.1 42 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 3 (pid: 4242) of binary: python",
    "Worker group FAILED. 3/3 attempts left; will restart worker group",
    "Restarting worker group",
  ),
  healthy(
    "a row was remapped, which is the repair",
    "nv1 kernel: NVRM: Xid (PCI:0000:3b:00): 63, pid='<unknown>', name=<unknown>, Row Remapper: New row marked for remapping, reset gpu to activate.",
  ),
  words(
    "corrected PCIe errors",
    "pcieport 0000:00:01.0: PCIe Bus Error: severity=Corrected, type=Data Link Layer, (Transmitter ID)",
  ),
  words(
    "the job was told to stop, and stopped",
    "slurmstepd: error: *** JOB 7 ON nv1 CANCELLED AT 2026-11-24T10:00:00 ***",
    "W1124 10:00:00.1 42 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 4243 closing signal SIGTERM",
    "srun: error: nv1: task 3: Terminated",
  ),
  words(
    "code in a traceback of a warning",
    "/usr/lib/x.py:12: UserWarning: a deprecated call",
    '    raise RuntimeError("CUDA out of memory. Tried to allocate")',
    "warnings.warn(",
  ),
  healthy(
    "an operator falls back to the host",
    "Warning: CAUTION: The operator 'aten::isin.Tensor_Tensor_out' is not currently supported on the NPU backend and will fall back to run on the CPU. This may have performance implications. (function npu_cpu_fallback)",
  ),
  healthy(
    "NCCL's information lines",
    "nv1:42:43 [0] NCCL INFO NET/IB : Using [0]mlx5_0:1/IB; OOB ib0:10.0.0.1<0>",
    "nv1:42:43 [0] NCCL INFO NCCL_IB_TIMEOUT set by environment to 22.",
    "nv1:42:43 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/IPC/read",
  ),
  words(
    "tests that pass",
    "tests/test_oom.py::test_cuda_out_of_memory PASSED",
    "test_no_space_left_on_device passed in 0.2 s",
  ),
  {
    name: "vLLM refuses one request and serves on",
    files: {
      "serve.log": [
        "INFO 11-24 10:00:00 [loggers.py:118] Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: 20.0 tokens/s",
        "ERROR 11-24 10:00:01 [serving_chat.py:201] ValueError: This model's maximum context length is 8192 tokens.",
        'INFO:     10.0.0.9:5555 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request',
        'INFO:     10.0.0.9:5556 - "POST /v1/chat/completions HTTP/1.1" 200 OK',
        "INFO 11-24 10:00:10 [loggers.py:118] Engine 000: Avg prompt throughput: 10.0 tokens/s, Avg generation throughput: 20.0 tokens/s",
      ].join("\n"),
    },
    cause: null,
  },
  {
    name: "torchrun's older attempt lies in another folder",
    files: {
      "run/attempt_0/3/stderr.log": "RuntimeError: CUDA error: uncorrectable ECC error encountered\n",
      "run/attempt_1/3/stderr.log": `${iteration(5)}\n${iteration(6)}\n`,
    },
    cause: null,
  },
  { name: "an empty log", files: { "train.log": "" }, cause: null },
  {
    name: "the exception that comes first, not the louder ones of the teardown",
    files: {
      "train.log": [
        iteration(1),
        "[rank0]: Traceback (most recent call last):",
        "[rank0]: ValueError: the vocabulary has 50257 tokens, the data 50304",
        "Exception ignored in: <function Pool.__del__ at 0x7f>",
        "AttributeError: 'NoneType' object has no attribute 'close'",
        "[rank1]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:1970, remote process exited or there was a network error",
        "[rank0]: OSError: [Errno 9] Bad file descriptor",
      ].join("\n"),
    },
    cause: { category: "workload", action: "fix-job", rank: 0, code: "ValueError" },
  },
  {
    name: "a link came down before the timeouts, harmless by itself",
    files: {
      "plog-1.log":
        "[ERROR] HCCP(1,hccp):2026-11-24-10:00:00.000.001 [port.c:9] Event id=0x81078603 link down\n[ERROR] HCCL(1,python):2026-11-24-10:01:00.000.001 [x.cc:9] [1]EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.\n",
    },
    cause: { category: "interconnect", action: "restart", code: "0x81078603" },
  },
];
