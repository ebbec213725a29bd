/** Failures of NVIDIA's stack after public issue reports: the machine's lines as facts, the words and runs around them ours. */
import type { Case } from "./cases-faults.ts";
import { iteration, tick } from "./log-lines.ts";
import { fault } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const asynchronous =
  "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1.\nCompile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n";
const closing = (rank: number, code: number): string =>
  `W1124 10:05:01.101000 900 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 951 closing signal SIGTERM
W1124 10:05:01.102000 900 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 952 closing signal SIGTERM
E1124 10:05:03.200000 900 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: ${code}) local_rank: ${rank} (pid: ${950 + rank}) of binary: /usr/bin/python3
Traceback (most recent call last):
  File "/usr/local/bin/torchrun", line 8, in <module>
    sys.exit(main())
torch.distributed.elastic.multiprocessing.errors.ChildFailedError:
============================================================
pretrain.py FAILED
------------------------------------------------------------
Failures:
  <NO_OTHER_FAILURES>
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-24_10:05:03
  host      : gpu-node-3
  rank      : ${rank} (local_rank: ${rank})
  exitcode  : ${code} (pid: ${950 + rank})
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
`;
const watchdog = (rank: number, seq: number, last = seq + 2): string =>
  `[rank${rank}]:[E1124 10:44:12.715298746 ProcessGroupNCCL.cpp:607] [Rank ${rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=${seq}, OpType=_REDUCE_SCATTER_BASE, NumelIn=544997376, NumelOut=68124672, Timeout(ms)=600000) ran for 600061 milliseconds before timing out.
[rank${rank}]:[E1124 10:44:12.715588844 ProcessGroupNCCL.cpp:1664] [PG 1 Rank ${rank}] Exception (either an error or timeout) detected by watchdog at work: ${seq}, last enqueued NCCL work: ${last}, last completed NCCL work: ${seq - 1}.
[rank${rank}]:[E1124 10:44:14.531176265 ProcessGroupNCCL.cpp:684] [Rank ${rank}] Some NCCL operations have failed or timed out. Due to the asynchronous nature of CUDA kernels, subsequent GPU operations might run on corrupted/incomplete data.
[rank${rank}]:[E1124 10:44:14.531247012 ProcessGroupNCCL.cpp:698] [Rank ${rank}] To avoid data inconsistency, we are taking the entire process down.
`;

export const nvidiaReports: readonly Case[] = [
  fault(
    "an MMU fault under a serving engine",
    "software-kit",
    "restart",
    {
      "dmesg.txt":
        "[Tue Nov 24 10:02:35 2026] NVRM: GPU at PCI:0000:db:00: GPU-4a28de72-2645-de9a-eb35-a394cef3f4da\n[Tue Nov 24 10:02:35 2026] NVRM: GPU Board Serial Number: 1650423000000\n[Tue Nov 24 10:02:35 2026] NVRM: Xid (PCI:0000:db:00): 31, pid=13641, name=VLLM::Worker_TP, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_10 faulted @ 0x7fd7_90743000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ\n",
      "serve.log": `(EngineCore_DP0 pid=13600) ERROR 11-24 10:02:36 [core.py:844] EngineCore encountered a fatal error.\n(EngineCore_DP0 pid=13600) ERROR 11-24 10:02:36 [core.py:844] torch.AcceleratorError: CUDA error: an illegal memory access was encountered\n(APIServer pid=13500) ERROR 11-24 10:02:36 [async_llm.py:525] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.\n`,
    },
    { code: "Xid 31" },
  ),
  fault(
    "a warp met an illegal instruction",
    "software-kit",
    "restart",
    {
      messages:
        "[Fri Aug 30 11:43:09 2024] NVRM: Xid (PCI:0000:cb:00): 13, pid='<unknown>', name=<unknown>, Graphics SM Warp Exception on (GPC 7, TPC 7, SM 0): Illegal Instruction Parameter\n[Fri Aug 30 11:43:09 2024] NVRM: Xid (PCI:0000:cb:00): 13, pid='<unknown>', name=<unknown>, Graphics SM Global Exception on (GPC 7, TPC 7, SM 0): Multiple Warp Errors\n[Fri Aug 30 11:43:10 2024] NVRM: Xid (PCI:0000:cb:00): 43, pid=2519562, name=python3, Ch 00000008\n",
    },
    { code: "Xid 13" },
  ),
  fault(
    "a double-bit error, the page put aside, the channels torn down",
    "memory",
    "evict-node",
    `Nov 24 10:01:02 gpu07 kernel: [80212.101010] NVRM: Xid (PCI:0000:4e:00): 63, pid='<unknown>', name=<unknown>, Row Remapper: New row marked for remapping, reset gpu to activate.
Nov 24 10:01:02 gpu07 kernel: [80212.101201] NVRM: Xid (PCI:0000:4e:00): 48, pid='<unknown>', name=<unknown>, DBE (double bit error) ECC Error. Location: HBM site C
Nov 24 10:01:03 gpu07 kernel: [80213.001201] NVRM: Xid (PCI:0000:4e:00): 45, pid=88123, name=python3, Ch 00000010
Nov 24 10:01:03 gpu07 kernel: [80213.001207] NVRM: Xid (PCI:0000:4e:00): 45, pid=88123, name=python3, Ch 00000011
`,
    { code: "Xid 48" },
  ),
  fault(
    "no spare row is left",
    "memory",
    "evict-node",
    "[1231741.378609] NVRM: Xid (PCI:0000:9d:00): 64, pid='<unknown>', name=<unknown>, Row Remapper: Failed to remap row, all reserved rows for bank are remapped\n[1231742.100000] NVRM: Xid (PCI:0000:9d:00): 45, pid=3188489, name=pt_main_thread, Ch 0000000a\n",
    { code: "Xid 64" },
  ),
  fault(
    "a contained memory error ends one process",
    "memory",
    "restart",
    {
      "kern.log":
        "Nov 24 10:03:00 gpu02 kernel: NVRM: Xid (PCI:0000:9b:00): 94, pid=953, name=pt_main_thread, Contained: SM (0x1). RST: No, D-RST: No\n",
      "train.log": `[2026-11-24 10:00:00] start of the run\n[rank3]: Traceback (most recent call last):\n[rank3]:   File "/srv/train/pretrain.py", line 310, in train_step\n[rank3]: RuntimeError: CUDA error: uncorrectable ECC error encountered\n[rank3]: ${asynchronous.replaceAll("\n", "\n[rank3]: ")}\n${closing(3, 1)}`,
    },
    { code: "Xid 94", rank: 3 },
  ),
  fault(
    "an uncontained memory error",
    "memory",
    "evict-node",
    "kernel: [16450076.435595] NVRM: Xid (PCI:0000:01:00): 95, pid=7062, name=python, Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No\nkernel: [16450077.435595] NVRM: Xid (PCI:0000:01:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)\n",
    { code: "Xid 95" },
  ),
  fault(
    "a GPU is gone, told over three lines",
    "instability",
    "evict-node",
    `[ 1843.308145] NVRM: The NVIDIA GPU 0000:b3:00.0
               NVRM: (PCI ID: 10de:26b5) installed in this system has
               NVRM: fallen off the bus and is not responding to commands.
[ 1843.439662] NVRM: The NVIDIA probe routine failed for 1 device(s).
`,
  ),
  fault(
    "the GPU's own processor does not answer",
    "instability",
    "evict-node",
    {
      dmesg:
        "[Sun Apr 26 23:12:26 2026] NVRM: _kgspLogXid119: ********************************* GSP Timeout **********************************\n[Sun Apr 26 23:12:26 2026] NVRM: _kgspLogXid119: Note: Please also check logs above.\n[Sun Apr 26 23:12:26 2026] NVRM: Xid (PCI:0001:6c:00): 119, pid=10200, name=NvmlTaskRunner, Timeout after 45s of waiting for RPC response from GPU5 GSP! Expected function 76 (GSP_RM_CONTROL) sequence 24174 (0x20801322 0x808).\n[Sun Apr 26 23:13:11 2026] NVRM: Rate limiting GSP RPC error prints for GPU at PCI:0001:6c:00 (printing 1 of every 30).  The GPU likely needs to be reset.\n",
      "train.log": `2026-04-26 23:12:40 step:  99  loss:  2.1  grad_norm:  0.3  memory: 45.12GiB(56.78%)  tps: 5,678\n[rank5]: RuntimeError: CUDA error: unspecified launch failure\n${asynchronous}`,
    },
    { code: "Xid 119", rank: 5 },
  ),
  fault(
    "the GPU's own processor crashed",
    "instability",
    "evict-node",
    "Nov 24 09:15:00 gpu11 kernel: NVRM: Xid (PCI:000f:01:00): 120, pid=2702, name=python3, GSP task exception: supervisor timer interrupt (cause:0x8000000000000005)\nNov 24 09:15:01 gpu11 kernel: NVRM: Xid (PCI:000f:01:00): 154, pid=2702, name=python3, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)\n",
    { code: "Xid 120" },
  ),
  fault(
    "an NVLink fails and collectives hang after it",
    "interconnect",
    "evict-node",
    {
      "gpu04.kern.log":
        "Nov 24 10:30:10 gpu04 kernel: NVRM: Xid (PCI:0000:18:00): 74, pid='<unknown>', name=<unknown>, NVLink: fatal error detected on link 2(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)\nNov 24 10:30:10 gpu04 kernel: NVRM: Xid (PCI:0000:5d:00): 74, pid='<unknown>', name=<unknown>, NVLink: fatal error detected on link 7(0x10000, 0x0, 0x0, 0x0, 0x0, 0x0, 0x0)\n",
      "train.log": `[2026-11-24 10:29:00] iteration runs\n${[0, 1, 2, 3].map((r) => watchdog(r, 7753)).join("")}`,
    },
    { code: "Xid 74" },
  ),
  fault(
    "the fabric of a new GPU reports its link",
    "interconnect",
    "evict-node",
    `kernel: NVRM: Xid (PCI:0000:dc:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 00 (0x025001c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)
kernel: NVRM: Xid (PCI:0000:dc:00): 45, pid=1818990, name=python3, Ch 00000001 caused by previous Xid 149
kernel: NVRM: Xid (PCI:0000:ba:00): 45, pid=1818989, name=python3, Ch 00000002 caused by previous Xid 145
`,
    { code: "Xid 149" },
  ),
  fault(
    "recovery actions after a lost GPU",
    "instability",
    "evict-node",
    `${steps}Nov 24 10:10:00 gpu01 kernel: NVRM: Xid (PCI:0000:c1:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.
Nov 24 10:10:00 gpu01 kernel: NVRM: GPU 0000:c1:00.0: GPU has fallen off the bus.
Nov 24 10:10:00 gpu01 kernel: NVRM: A GPU crash dump has been created. If possible, please run nvidia-bug-report.sh as root.
Nov 24 10:10:01 gpu01 kernel: NVRM: Xid (PCI:0000:c1:00): 154, pid='<unknown>', name=<unknown>, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)
Nov 24 10:10:02 gpu01 kernel: NVRM: Xid (PCI:0000:c1:00): 119, pid=10200, name=nv-hostengine, Timeout after 6s of waiting for RPC response from GPU6 GSP! Expected function 10 (FREE) (0xc0000005 0x0).
`,
    { code: "Xid 79" },
  ),
  fault(
    "an unrecovered ECC error",
    "memory",
    "evict-node",
    "Nov 24 10:10:00 gpu01 kernel: NVRM: Xid (PCI:0000:43:00): 140, pid='<unknown>', name=<unknown>, An uncorrectable ECC error detected (possible firmware handling failure) DRAM:0, LTC:0, MMU:1, PCIE:0\n",
    { code: "Xid 140" },
  ),
  fault("retries of RDMA ran out between two hosts", "interconnect", "restart", {
    "host-a.log": `worker-0:984:1357 [4] NCCL INFO Channel 00/0 : 0[0] -> 8[0] [send] via NET/IB/0/GDRDMA\nworker-0:984:1357 [4] ib_plugin.c:1615 NCCL WARN NET/IB : Got completion from peer 172.16.143.59<44206> with status=12 opcode=129 len=65536 vendor err 129 (Recv) localGid ::ffff:10.87.88.182 remoteGids::ffff:10.87.4.221\nworker-0:984:1357 [4] NCCL INFO transport/net.cc:1298 -> 6\nworker-0:984:1357 [4] NCCL INFO proxy.cc:694 -> 6\nworker-0:984:1357 [4] NCCL INFO proxy.cc:874 -> 6 [Progress Thread]\nworker-0:984:1357 [4] ib_plugin.c:1615 NCCL WARN NET/IB : Got completion from peer 172.16.143.59<44206> with status=5 opcode=32656 len=32659 vendor err 249 (Recv) localGid ::ffff:10.87.88.182 remoteGids::ffff:10.87.4.221\n`,
    "host-b.log":
      "[rank12]: torch.distributed.DistBackendError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error, NCCL version 2.21.5\n[rank12]: ncclRemoteError: A call failed possibly due to a network error or a remote process exiting prematurely.\n[rank12]: Last error:\n[rank12]: NET/IB : Got completion from peer 172.16.143.60<39138> with error 12, opcode 0, len 0, vendor err 129\n",
  }),
  fault(
    "a wrong GID in a RoCE network",
    "interconnect",
    "restart",
    `node201:127799:127863 [0] transport/net_ib.cc:101 NCCL WARN NET/IB : mlx5_0:1 Got async event : local access violation work queue error
node023:10214:10303 [0] transport/net_ib.cc:1909 NCCL WARN NET/IB : Got completion from peer 10.1.3.201<33057> with status=9 opcode=0 len=0 vendor err 138 (Send) localGid ::ffff:10.206.1.23 remoteGids::ffff:10.206.1.11
node023:10214:10303 [0] NCCL INFO transport/net.cc:1137 -> 6
node023:10214:10303 [0] NCCL INFO proxy.cc:698 -> 6
`,
  ),
  fault("a port goes down under a running job", "interconnect", "evict-node", {
    "n5-dmesg.log":
      "[Tue Nov 24 10:20:01 2026] mlx5_core 0000:9a:00.0: mlx5_ib_port_event: port 1 changed state\n[Tue Nov 24 10:20:01 2026] mlx5_core 0000:9a:00.0 ibs3: Link down\n",
    "n5.log":
      "n5:4142:4200 [2] transport/net_ib.cc:93 NCCL WARN NET/IB : mlx5_3:1 Got async event : port error\nn5:4142:4201 [2] transport/net_ib.cc:1295 NCCL WARN NET/IB : Got completion from peer 10.0.0.7<45321> with status=12 opcode=0 len=0 vendor err 129 (Send)\n",
  }),
  fault(
    "NCCL took a link-local address",
    "interconnect",
    "restart",
    `n122:12251:12400 [5] misc/socket.cc:483 NCCL WARN socketStartConnect: Connect to fe80::966d:ae03:a2:8cf0%ib1<17943> failed : Software caused connection abort
n122:12251:12400 [5] NCCL INFO misc/socket.cc:564 -> 2
n122:12251:12400 [5] NCCL INFO bootstrap.cc:270 -> 2
Traceback (most recent call last):
  File "train.py", line 42, in <module>
    dist.barrier()
RuntimeError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1191, unhandled system error, NCCL version 2.18.3
ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.
`,
  ),
  fault(
    "no interface of the name that NCCL was told",
    "interconnect",
    "fix-job",
    "n1:71:71 [0] NCCL INFO NCCL_SOCKET_IFNAME set by environment to eth9\nn1:71:71 [0] bootstrap.cc:45 NCCL WARN Bootstrap : no socket interface found\nn1:71:71 [0] NCCL INFO init.cc:93 -> 3\n[rank0]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:275, internal error - please report this issue to the NCCL developers, NCCL version 2.20.5\n",
  ),
  fault(
    "NCCL finds no memory for its buffers",
    "memory",
    "fix-job",
    "n1:71:90 [3] include/alloc.h:246 NCCL WARN Cuda failure 2 'out of memory'\nn1:71:90 [3] NCCL INFO include/alloc.h:251 -> 1\n[rank3]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:3384, unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.26.2\n[rank3]: ncclUnhandledCudaError: Call to CUDA function failed.\n[rank3]: Last error:\n[rank3]: Cuda failure 2 'out of memory'\n",
    { rank: 3 },
  ),
  fault(
    "the container's shared memory is too small for NCCL",
    "memory",
    "fix-job",
    "n1:71:90 [1] misc/shmutils.cc:72 NCCL WARN Error: failed to extend /dev/shm/nccl-GMYLzh to 9637892 bytes\nn1:71:90 [1] misc/shmutils.cc:113 NCCL WARN Error while creating shared memory segment /dev/shm/nccl-GMYLzh (size 9637888), error: No space left on device (28)\nn1:71:90 [1] NCCL INFO transport/shm.cc:114 -> 2\n[rank1]: ncclSystemError: System call (e.g. socket, malloc) or external library call failed or device error.\n",
  ),
  fault(
    "driver and NVML are of two versions",
    "software-kit",
    "evict-node",
    "Failed to initialize NVML: Driver/library version mismatch\nNVML library version: 550.90\nRuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 803: system has unsupported display driver / cuda driver combination\n",
  ),
  fault(
    "the fabric manager does not run",
    "software-kit",
    "evict-node",
    '/usr/lib/python3/torch/cuda/__init__.py:129: UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 802: system not yet initialized (Triggered internally at ../c10/cuda/CUDAFunctions.cpp:109.)\n  return torch._C._cuda_getDeviceCount() > 0\nTraceback (most recent call last):\n  File "train.py", line 9, in <module>\n    torch.cuda.set_device(0)\nRuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 802: system not yet initialized\n',
  ),
  fault(
    "forward compatibility on a card without it",
    "software-kit",
    "fix-job",
    "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 804: forward compatibility was attempted on non supported HW\n",
  ),
  fault(
    "PyTorch has no kernels for this GPU",
    "software-kit",
    "fix-job",
    "/opt/venv/lib/python3.12/site-packages/torch/cuda/__init__.py:235: UserWarning:\nNVIDIA GeForce RTX 5080 with CUDA capability sm_120 is not compatible with the current PyTorch installation.\nThe current PyTorch install supports CUDA capabilities sm_50 sm_60 sm_70 sm_75 sm_80 sm_86 sm_90.\n  warnings.warn(\n[rank0]: RuntimeError: CUDA error: no kernel image is available for execution on the device\n",
  ),
  fault(
    "an index is out of range on one rank",
    "workload",
    "fix-job",
    `  6%|▋         | 89/1398 [1:32:11<25:28:13, 70.05s/it]../aten/src/ATen/native/cuda/Indexing.cu:1284: indexSelectLargeIndex: block: [134,0,0], thread: [0,0,0] Assertion \`srcIndex < srcSelectDimSize\` failed.
../aten/src/ATen/native/cuda/Indexing.cu:1284: indexSelectLargeIndex: block: [134,0,0], thread: [1,0,0] Assertion \`srcIndex < srcSelectDimSize\` failed.
[rank2]: Traceback (most recent call last):
[rank2]:   File "/srv/train/ppo.py", line 210, in <module>
[rank2]: RuntimeError: CUDA error: device-side assert triggered
[rank2]: ${asynchronous.replaceAll("\n", "\n[rank2]: ")}
[rank2]:[E1124 10:05:00.1 ProcessGroupNCCL.cpp:1182] [Rank 2] NCCL watchdog thread terminated with exception: CUDA error: device-side assert triggered
${closing(2, -6)}`,
    { rank: 2 },
  ),
  fault(
    "memory of one GPU is damaged, told by the watchdog too",
    "memory",
    "evict-node",
    `${steps}Traceback (most recent call last):
  File "/srv/sdxl/unet.py", line 257, in get_timestep_embedding
RuntimeError: CUDA error: uncorrectable ECC error encountered
${asynchronous}
[E ProcessGroupNCCL.cpp:916] [Rank 1] NCCL watchdog thread terminated with exception: CUDA error: uncorrectable ECC error encountered
${asynchronous}
${closing(1, -6)}`,
    { rank: 1 },
  ),
  fault(
    "device memory in pieces under DeepSpeed",
    "memory",
    "fix-job",
    `${steps}[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 3.42 GiB. GPU 3 has a total capacity of 79.10 GiB of which 2.95 GiB is free. Process 4242 has 76.14 GiB memory in use. Of the allocated memory 66.80 GiB is allocated by PyTorch, and 7.22 GiB is reserved by PyTorch but unallocated. If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation.
[2026-11-24 10:31:29,210] [INFO] [launch.py:315:sigkill_handler] Killing subprocess 3353707
[2026-11-24 10:31:29,240] [INFO] [launch.py:315:sigkill_handler] Killing subprocess 3353708
[2026-11-24 10:31:29,269] [ERROR] [launch.py:321:sigkill_handler] ['/usr/bin/python3', '-u', 'train.py', '--local_rank=3', '--deepspeed', 'ds_z3.json'] exits with return code = 1
`,
    { rank: 3 },
  ),
  fault(
    "more processes than GPUs",
    "workload",
    "fix-job",
    '[rank4]: Traceback (most recent call last):\n[rank4]:   File "train.py", line 20, in <module>\n[rank4]:     torch.cuda.set_device(local_rank)\n[rank4]: RuntimeError: CUDA error: invalid device ordinal\n' +
      closing(4, 1),
    { rank: 4 },
  ),
  fault(
    "an extension was built for another PyTorch",
    "software-kit",
    "fix-job",
    'Traceback (most recent call last):\n  File "/srv/train.py", line 3, in <module>\n    from flash_attn import flash_attn_func\n  File "/opt/venv/lib/python3.10/site-packages/flash_attn/flash_attn_interface.py", line 10, in <module>\n    import flash_attn_2_cuda as flash_attn_cuda\nImportError: /opt/venv/lib/python3.10/site-packages/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol: _ZN3c104cuda9SetDeviceEi\n',
  ),
  fault(
    "the CUDA runtime of an extension is missing",
    "software-kit",
    "fix-job",
    'Traceback (most recent call last):\n  File "/srv/train.py", line 3, in <module>\n    import flash_attn_2_cuda as flash_attn_cuda\nImportError: libcudart.so.11.0: cannot open shared object file: No such file or directory\n',
  ),
  fault(
    "bitsandbytes finds no binary for this CUDA",
    "software-kit",
    "fix-job",
    "Could not find the bitsandbytes CUDA binary at PosixPath('/opt/venv/lib/python3.10/site-packages/bitsandbytes/libbitsandbytes_cuda121.so')\nTraceback (most recent call last):\n  File \"/srv/train.py\", line 8, in <module>\n    import bitsandbytes as bnb\nRuntimeError:\n        CUDA Setup failed despite GPU being available. Please run the following command to get more information:\n",
  ),
  fault(
    "one of sixteen never comes to the reduce-scatter",
    "instability",
    "restart",
    `using world size: 16, data-parallel size: 16\n${steps}${Array.from({ length: 16 }, (_, r) => (r === 9 ? "" : watchdog(r, 7753))).join("")}`,
    { rank: 9 },
  ),
  fault(
    "four logs, of which one stands one collective behind",
    "instability",
    "restart",
    Object.fromEntries(
      [0, 1, 2, 3].map((r) => [`rank_${r}.log`, `${tick(1)} training\n${watchdog(r, r === 3 ? 1580 : 1581, 1582)}`]),
    ),
    { rank: 3 },
  ),
  fault(
    "Megatron finds NaN in a gradient",
    "numerics",
    "restart",
    `${steps}[rank11]: Traceback (most recent call last):\n[rank11]:   File "/srv/megatron/core/distributed/param_and_grad_buffer.py", line 111, in check_for_nan_in_grad\n[rank11]: AssertionError: Rank 11: found NaN in local grad norm in backward pass before data-parallel communication collective. Device: 3, node: gpu-b\n`,
    { rank: 11 },
  ),
  fault(
    "Megatron's rerun finds the NaN again",
    "numerics",
    "restart",
    `${steps}ERROR:megatron.core.rerun_state_machine:Unexpected result nan on rank 3 at iteration #3 invocation #2 (message='found NaN in local grad norm for bucket #0 in backward pass before data-parallel communication collective')
ERROR:megatron.core.rerun_state_machine:Rank 3, node ci-0, device 3, iteration #3: First rerun: unexpected result is reproducible within the tolerance (nan = nan). Need to rerun on a different GPU to verify correctness
`,
    { rank: 3 },
  ),
  fault(
    "the loss scale cannot fall further",
    "numerics",
    "fix-job",
    `${steps}[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 2, reducing to 1\n[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 1, reducing to 1\n[rank0]: Exception: Current loss scale already at minimum - cannot decrease scale anymore. Exiting run.\n`,
  ),
  fault(
    "ranks call different collectives",
    "workload",
    "fix-job",
    '[rank1]: Traceback (most recent call last):\n[rank1]:   File "train.py", line 77, in <module>\n[rank1]: RuntimeError: Detected mismatch between collectives on ranks. Rank 1 is running collective: CollectiveFingerPrint(SequenceNumber=1275, OpType=ALLREDUCE, TensorShape=[1], TensorDtypes=Float), but Rank 0 is running collective: CollectiveFingerPrint(SequenceNumber=1275, OpType=BROADCAST, TensorShape=[1], TensorDtypes=Float).\n',
  ),
  fault(
    "workers of a data loader have no shared memory",
    "memory",
    "fix-job",
    `Epoch 0:   0%|          | 0/391 [00:00<?, ?it/s] ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient shared memory (shm).
Traceback (most recent call last):
  File "/opt/conda/lib/python3.8/site-packages/torch/utils/data/dataloader.py", line 872, in _try_get_data
    data = self._data_queue.get(timeout=timeout)
RuntimeError: DataLoader worker (pid 49) is killed by signal: Bus error. It is possible that dataloader's workers are out of shared memory. Please try to raise your shared memory limit.

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "train.py", line 10, in <module>
RuntimeError: DataLoader worker (pid(s) 49) exited unexpectedly
`,
  ),
  fault("the kernel takes a data loader's worker", "memory", "fix-job", {
    "kern.log":
      "Nov 24 10:05:00 gpu1 kernel: [7777.100] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=docker-1,mems_allowed=0-1,oom_memcg=/docker/1,task=python3,pid=12847,uid=0\nNov 24 10:05:00 gpu1 kernel: [7777.200] Memory cgroup out of memory: Killed process 12847 (python3) total-vm:91234512kB, anon-rss:8123451kB\n",
    "train.log": `${steps}RuntimeError: DataLoader worker (pid 12847) is killed by signal: Killed.\n${closing(0, 1)}`,
  }),
  fault(
    "the host of the rendezvous is gone",
    "interconnect",
    "restart",
    "WARNING:torch.distributed.elastic.rendezvous.dynamic_rendezvous:The node 'docker.b_3427_0' has failed to send a keep-alive heartbeat to the rendezvous 'test' due to an error of type RendezvousConnectionError.\nWARNING:torch.distributed.elastic.multiprocessing.api:Sending process 3494 closing signal SIGTERM\nWARNING:torch.distributed.elastic.rendezvous.dynamic_rendezvous:The node 'docker.b_3427_0' has failed to shutdown the rendezvous 'test' due to an error of type RendezvousConnectionError.\nTraceback (most recent call last):\n  File \"/opt/venv/bin/torchrun\", line 8, in <module>\n    sys.exit(main())\ntorch.distributed.elastic.rendezvous.api.RendezvousConnectionError: The connection to the C10d store has failed. See inner exception for details.\n",
  ),
  fault(
    "a serving engine's workers stand still",
    "instability",
    "restart",
    `(APIServer pid=1) INFO 11-24 09:10:00 [loggers.py:123] Engine 000: Avg prompt throughput: 26298.0 tokens/s, Avg generation throughput: 10103.2 tokens/s, Running: 224 reqs
(EngineCore pid=171) INFO 11-24 09:11:37 [shm_broadcast.py:501] No available shared memory broadcast block found in 60 seconds. This typically happens when some processes are hanging or doing some time-consuming work (e.g. compilation, weight/kv cache quantization).
(EngineCore pid=171) ERROR 11-24 09:14:37 [dump_input.py:79] Dumping scheduler output for model execution: SchedulerOutput(scheduled_new_reqs=[], total_num_scheduled_tokens=1)
(EngineCore pid=171) ERROR 11-24 09:14:37 [core.py:1242] EngineCore encountered a fatal error.
(EngineCore pid=171) ERROR 11-24 09:14:37 [core.py:1242] Traceback (most recent call last):
(EngineCore pid=171) ERROR 11-24 09:14:37 [core.py:1242] TimeoutError: RPC call to sample_tokens timed out.
(APIServer pid=1) ERROR 11-24 09:14:38 [async_llm.py:525] vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause.
`,
  ),
  fault(
    "a context longer than the cache",
    "memory",
    "fix-job",
    "(EngineCore_DP0 pid=77) ERROR 11-24 10:00:30 [core.py:708] EngineCore failed to start.\n(EngineCore_DP0 pid=77) ERROR 11-24 10:00:30 [core.py:708] ValueError: To serve at least one request with the models's max seq len (131072), (16.00 GiB KV cache is needed, which is larger than the available KV cache memory (9.31 GiB). Based on the available memory, the estimated maximum model length is 76256. Try increasing `gpu_memory_utilization` or decreasing `max_model_len` when initializing the engine.\n(APIServer pid=7) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}\n",
  ),
  fault(
    "a Triton kernel asks for too much",
    "software-kit",
    "fix-job",
    '[rank0]:   File "/opt/venv/lib/python3.11/site-packages/triton/compiler/compiler.py", line 374, in _init_handles\n[rank0]: triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 294912, Hardware limit: 232448. Reducing block sizes or `num_stages` may help.\n',
  ),
  fault(
    "the first rank never started, the others wait for its store",
    "workload",
    "fix-job",
    {
      "rank_0.log":
        "Traceback (most recent call last):\n  File \"/srv/train.py\", line 14, in <module>\n    from megatron.data import blended\nModuleNotFoundError: No module named 'megatron.data'\n",
      "rank_1.log":
        "torch.distributed.DistStoreError: Timed out after 601 seconds waiting for clients. 1/4 clients joined.\n",
      "rank_2.log":
        "torch.distributed.DistNetworkError: The client socket has timed out after 600000ms while trying to connect to (10.0.0.1, 29500).\n",
    },
    { rank: 0 },
  ),
  fault(
    "a sample without its key, and peers that see the connection close",
    "workload",
    "fix-job",
    {
      "logs/rank5.log":
        "[rank5]: Traceback (most recent call last):\n[rank5]:   File \"/srv/data/collate.py\", line 40, in __call__\n[rank5]:     ids = [s['input_ids'] for s in batch]\n[rank5]: KeyError: 'input_ids'\n",
      "logs/rank6.log":
        "nv1:39964:40044 [0] misc/socket.cc:49 NCCL WARN socketProgress: Connection closed by remote peer nv1<57557>\nnv1:39964:40044 [0] NCCL INFO misc/socket.cc:749 -> 6\n[rank6]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, remote process exited or there was a network error, NCCL version 2.21.5\n",
      "logs/rank7.log": watchdog(7, 12),
    },
    { rank: 5 },
  ),
  fault(
    "the checkpoint is of another model",
    "workload",
    "fix-job",
    "[rank0]: RuntimeError: Error(s) in loading state_dict for GPTModel:\n[rank0]: \tsize mismatch for embedding.word_embeddings.weight: copying a param with shape torch.Size([50304, 4096]) from checkpoint, the shape in current model is torch.Size([64128, 4096]).\n",
  ),
  fault(
    "a layout that the ranks cannot fill",
    "workload",
    "fix-job",
    '[rank0]:   File "/srv/megatron/training/arguments.py", line 203, in validate_args\n[rank0]: AssertionError: world size (12) is not divisible by total_model_size (encoder_model_size=0 + decoder_model_size=8)\n',
  ),
];
