/** Twenty-two more logs, written after the fresh ones had been worked through and before any of these was diagnosed. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { fault, trap } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const more = `${iteration(3)}\n${iteration(4)}\n`;

export const lastReports: readonly Case[] = [
  fault(
    "a rank's ECC error is copied by the watchdogs of its peers",
    "memory",
    "evict-node",
    {
      "attempt_0/0/stderr.log":
        "[rank0]:[E1124 10:12:00.1 ProcessGroupNCCL.cpp:632] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=99, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600051 milliseconds before timing out.\n",
      "attempt_0/1/stderr.log":
        '[rank1]: Traceback (most recent call last):\n[rank1]:   File "/srv/train.py", line 7, in <module>\n[rank1]: torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered\n',
      "attempt_0/2/stderr.log":
        "[rank2]:[E1124 10:12:00.3 ProcessGroupNCCL.cpp:632] [Rank 2] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=99, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600051 milliseconds before timing out.\n",
    },
    { rank: 1 },
  ),
  fault(
    "DeepSpeed's launcher reports a crash in native code",
    "instability",
    "restart",
    "[2026-11-24 10:45:13,980] [INFO] [launch.py:315:sigkill_handler] Killing subprocess 3966\n[2026-11-24 10:45:13,982] [ERROR] [launch.py:321:sigkill_handler] ['/usr/bin/python3', '-u', 'main.py', '--local_rank=1'] exits with return code = -11\n",
  ),
  fault(
    "the driver is too old for the runtime",
    "software-kit",
    "fix-job",
    "[rank0]: RuntimeError: CUDA error: CUDA driver version is insufficient for CUDA runtime version\n",
  ),
  fault(
    "the data loader's process has no room left in /dev/shm",
    "memory",
    "fix-job",
    `${steps}RuntimeError: unable to write to file </torch_7_1234_0>: No space left on device (28)\n`,
  ),
  fault(
    "a hung store blocks a whole node",
    "storage",
    "evict-node",
    "Nov 24 10:00:00 n3 kernel: nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0xffff\nNov 24 10:00:01 n3 kernel: blk_update_request: I/O error, dev nvme0n1, sector 2048 op 0x1:(WRITE) flags 0x800\nNov 24 10:00:02 n3 kernel: EXT4-fs (nvme0n1p1): Remounting filesystem read-only\n[rank2]: OSError: [Errno 30] Read-only file system: '/local/ckpt'\n",
  ),
  fault("peers of a preempted machine see its connection close", "preemption", "restart", {
    "node2.log":
      "2026-11-24 10:00:00 node-agent: preemption notice received, machine stops in 30 s\n[rank16]: SignalException: Process 42 got signal: 15\n",
    "node0.log":
      "n0:71:90 [0] misc/socket.cc:49 NCCL WARN socketProgress: Connection closed by remote peer n2<57557>\n[rank0]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error, NCCL version 2.21.5\n",
  }),
  fault(
    "an assertion of the user's loss",
    "workload",
    "fix-job",
    `${steps}[rank3]: Traceback (most recent call last):\n[rank3]:   File "/srv/loss.py", line 20, in forward\n[rank3]: AssertionError: labels out of range\n[rank0]:[E1124 10:12:00.1 ProcessGroupNCCL.cpp:632] [Rank 0] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=99, OpType=ALLREDUCE, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600051 milliseconds before timing out.\n`,
    { rank: 3 },
  ),
  fault(
    "FSDP runs out of memory while it saves",
    "memory",
    "fix-job",
    `${steps}[rank6]:   File "/opt/venv/lib/python3.11/site-packages/torch/distributed/fsdp/_state_dict_utils.py", line 300\n[rank6]: torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB. GPU 6 has a total capacty of 79.15 GiB of which 1.33 GiB is free.\n`,
    { rank: 6 },
  ),
  fault(
    "an operator is not there for the NPU",
    "software-kit",
    "fail-over",
    "[rank0]: RuntimeError: Could not run 'aten::_foreach_norm.Scalar' with arguments from the 'PrivateUse1' backend. 'PrivateUse1' resolves to npu: torch_npu has no kernel for it. NotImplementedError: operator not implemented for the npu backend\n",
  ),
  fault(
    "an AI core times out on one card",
    "instability",
    "restart",
    "[rank5]: RuntimeError: The Inner error is reported as above. ACL stream synchronize failed, error code:507014\n[rank5]: EZ9999: [PID: 5] 2026-11-24-10:00:00.100.200 The error from device(chipId:5, dieId:0), aicore execution timeout, core id is 3\n",
    { rank: 5 },
  ),
  fault(
    "a device event of a broken HBM and a crash later",
    "memory",
    "evict-node",
    "[ERROR] DRV(12,npu):2026-11-24-10:00:00.100.100 [dms_event.c:88] event_id=0x80E18404, event_name=HBM, node=3\n[rank3]: RuntimeError: ACL stream synchronize failed, error code:507011\n[ERROR] 2026-11-24-10:00:03 (PID:9, Device:3, RankID:3) ERR00100 PTA call acl api failed\n",
    { code: "0x80E18404" },
  ),
  fault(
    "a link of a card flaps while ranks wait",
    "interconnect",
    "restart",
    "[ERROR] HCCP(1,hccp):2026-11-24-10:00:00.000.001 [port.c:9] Event id=0x81078603 link down\n[rank1]: EI0002: [PID: 13] 2026-11-24-10:01:30.586.187 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [3].\n",
  ),
  fault(
    "the kit's package is not on the machine",
    "software-kit",
    "fix-job",
    "ImportError: libascendcl.so: cannot open shared object file: No such file or directory. Please check that the cann package is installed. Please run 'source set_env.sh' in the CANN installation path.\n",
  ),
  fault(
    "内核杀掉进程: memory of the host is used up",
    "memory",
    "fix-job",
    `${steps}11月 24 10:00:00 n3 kernel: Out of memory: Killed process 4242 (python) total-vm:912345kB\n进程 4242 已杀死\n`,
  ),
  fault(
    "a Slurm job is told that a node's GPU is broken",
    "instability",
    "evict-node",
    "srun: error: Node failure on gpu-07\nsrun: error: gpu-07: tasks 56-63: Killed\n[rank3]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error\n",
  ),
  fault(
    "a spike of the loss ends the run",
    "numerics",
    "restart",
    `${steps}[rank0]: Training diverged: loss is nan at step 300, aborting\n`,
  ),
  trap(
    "a plan of what to do on failures",
    `${steps}policy: on "CUDA out of memory" -> lower micro batch; on "Xid 79" -> evict; on NCCL timeout -> restart\n`,
  ),
  trap(
    "counts at the end of a run",
    `${more}summary: 0 failed, 0 errors, 0 retries, oom_events=0, ecc_uncorrectable=0, nccl_timeouts=0\n[after training is done] datetime: 2026-11-24 10:40:00\n`,
  ),
  trap("a NaN in a metric of validation only", `${steps}eval: bleu=nan (no references), accuracy=0.41\n${more}`),
  trap(
    "a worker of a pool restarted by itself",
    `${steps}WARNING dataloader worker 3 died, restarting it (1/5)\nINFO dataloader worker 3 recovered\n${more}`,
  ),
  trap(
    "a guide printed at the start",
    `If you see "RuntimeError: NCCL error" check your network.\nFor CUDA out of memory errors, reduce --micro-batch-size.\nTip: set NCCL_DEBUG=INFO when you get ncclSystemError.\n${steps}`,
  ),
  trap(
    "events of a pod that works",
    `  Normal   Scheduled  2m   default-scheduler  Successfully assigned ml/train-0 to gpu-3\n  Warning  FailedScheduling  3m  default-scheduler  0/8 nodes are available: 8 Insufficient nvidia.com/gpu.\n  Normal   Pulled     2m   kubelet            Container image already present on machine\n  Normal   Started    2m   kubelet            Started container trainer\n${more}`,
  ),
];
