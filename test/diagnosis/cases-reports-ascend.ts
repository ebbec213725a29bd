/** Failures of Ascend's stack after public issue reports: the machine's lines as facts, the words and runs around them ours. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { fault } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const notify = (rank: number, remote: string, at: string): string =>
  `[rank${rank}]: RuntimeError: npuSynchronizeDevice:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:479 NPU function error: AclrtSynchronizeDeviceWithTimeout, error code is 507048
[rank${rank}]: [ERROR] 2026-11-24-${at} (PID:1307${rank}, Device:${rank % 8}, RankID:${rank}) ERR00100 PTA call acl api failed
[rank${rank}]: [Error]: The execution of the internal task times out.
[rank${rank}]:         Rectify the fault based on the error information in the ascend log.
[rank${rank}]: EI0002: [PID: 1307${rank}] 2026-11-24-${at}.586.187 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [${remote}]. base information: [streamID:[1], taskID[8318285], tag[AllReduce_group_name_710], AlgType(level 0-1-2):[fullmesh-ring-ring].]
`;

export const ascendReports: readonly Case[] = [
  fault(
    "a vector core of one worker fails under a serving engine",
    "instability",
    "restart",
    `INFO 04-29 18:40:00 [__init__.py:44] Available plugins for group vllm.platform_plugins: ascend
(VllmWorker TP3 pid=963) ERROR 04-29 18:46:11 [multiproc_executor.py:596] RuntimeError: operator():build/CMakeFiles/torch_npu.dir/compiler_depend.ts:25 NPU function error: c10_npu::acl::AclrtSynchronizeStreamWithTimeout(copy_stream), error code is 507035
(VllmWorker TP3 pid=963) ERROR 04-29 18:46:11 [multiproc_executor.py:596] [ERROR] 2025-04-29-18:46:11 (PID:963, Device:3, RankID:-1) ERR00100 PTA call acl api failed
(VllmWorker TP3 pid=963) ERROR 04-29 18:46:11 [multiproc_executor.py:596] [Error]: The vector core execution is abnormal.
(VllmWorker TP3 pid=963) ERROR 04-29 18:46:11 [multiproc_executor.py:596] EZ9999: Inner Error!
(VllmWorker TP3 pid=963) ERROR 04-29 18:46:11 [multiproc_executor.py:596] EZ9999: [PID: 963] 2025-04-29-18:46:11.410.231 The error from device(chipId:3, dieId:0), serial number is 2, there is an aivec error exception, core id is 5, error code = 0, dump info: pc start: 0x1240441f2000, current: 0x1240441f29f8
(VllmWorker TP0 pid=960) ERROR 04-29 18:46:12 [multiproc_executor.py:596] EngineCore died
`,
    { rank: 3 },
  ),
  fault(
    "three ranks wait for the thirteenth",
    "interconnect",
    "restart",
    Object.fromEntries([0, 1, 2].map((r) => [`node0/rank_${r}.log`, `${steps}${notify(r, "13", "10:45:23")}`])),
    { rank: 13, code: "EI0002" },
  ),
  fault(
    "a rank dies in Python, the others of the group time out in HCCL",
    "workload",
    "fix-job",
    {
      "rank_0.log": notify(0, "2", "10:45:23"),
      "rank_1.log": notify(1, "2", "10:45:24"),
      "rank_2.log":
        '[rank2]: Traceback (most recent call last):\n[rank2]:   File "/srv/mindspeed/data.py", line 5, in __getitem__\n[rank2]: IndexError: list index out of range\n[ERROR] 2026-11-24-10:15:20 (PID:77, Device:2, RankID:2) ERR99999 UNKNOWN applicaiton exception\n',
      "rank_3.log": notify(3, "2", "10:45:24"),
    },
    { rank: 2 },
  ),
  fault(
    "sockets between ranks are not made in time",
    "interconnect",
    "restart",
    `[W VariableFallbackKernel.cpp:51] Warning: CAUTION: The operator 'aten::isin.Tensor_Tensor_out' is not currently supported on the NPU backend and will fall back to run on the CPU. This may have performance implications. (function npu_cpu_fallback)
[rank1]: RuntimeError: InnerRunOpApi:torch_npu/csrc/framework/OpParamMaker.cpp:281 OPS function error: HcclAllreduce, error code is 6
[rank1]: [ERROR] 2025-04-08-18:07:20 (PID:1292363, Device:1, RankID:1) ERR01100 OPS call acl api failed.
[rank1]: EI0006: [PID: 1292363] 2025-04-08-18:07:20.444.436 Getting socket times out. Reason: Remote Rank did not send the data in time. Please check the reason for the rank being stuck
[rank1]:         Solution: 1. Check the rank service processes with other errors or no errors in the cluster.2. If this error is reported for all NPUs, check whether the time difference between the earliest and latest errors is greater than the connect timeout interval (120s by default).
`,
    { code: "EI0006" },
  ),
  fault(
    "the rank table names a wrong address",
    "workload",
    "fix-job",
    "[2024-04-24 06:31:38.087571: F ge_plugin.cc:338] [GePlugin] Initialize ge failed, ret :failed\nError Message is:\nEI0004: 2024-04-24-06:31:33.915.634 The ranktable or rank is invalid,Reason:[The ip in ranktable is invalid]. Please check the configured ranktable. [/etc/hccl_2p.json]\n        Solution: Try again with a valid cluster configuration in the ranktable file. Ensure that the configuration matches the operating environment.\n",
  ),
  fault(
    "memory of the device is used up, in CANN's words",
    "memory",
    "fix-job",
    `[rank2]: RuntimeError: call aclnnMatmul failed, error code is 207018
[ERROR] 2024-08-28-16:15:00 (PID:15597, Device:2, RankID:2) ERR00100 PTA call acl api failed
EL0004: 2024-08-28-16:15:00.358.141 Failed to allocate memory.
        Possible Cause: Available memory is insufficient.
        Solution: Close applications not in use.
        TraceBack (most recent call last):
        rtFftsPlusTaskLaunch execute failed, reason=[driver error:out of memory][FUNC:FuncErrorReason][FILE:error_message_manage.cc][LINE:53]
`,
    { rank: 2 },
  ),
  fault(
    "a dispatch of experts finds no memory",
    "memory",
    "fix-job",
    `[rank7]:[E928 07:22:40.736525688 compiler_depend.ts:429] operator():build/CMakeFiles/torch_npu.dir/compiler_depend.ts:128 NPU function error: call aclnnMoeDistributeDispatchV2 failed, error code is 207001
[ERROR] 2025-09-28-07:22:30 (PID:316198, Device:7, RankID:-1) ERR00100 PTA call acl api failed
[Error]: Failed to apply for memory.
        Check the remaining storage space in the hardware environment.
EL0004: [PID: 316198] 2025-09-28-07:22:29.827.496 Failed to allocate memory.
        Failed to allocate resource[DeviceMemory] with info [size:2147483648]. Reason: Memory resources are exhausted.
`,
  ),
  fault(
    "a model does not fit on the NPUs",
    "memory",
    "fix-job",
    `Loading checkpoint shards:  42%|██████████▋          | 16/38 [00:14<00:19,  1.13it/s]
Traceback (most recent call last):
  File "/srv/llama-factory/src/llamafactory/launcher.py", line 23, in <module>
    launch()
RuntimeError: NPU out of memory. Tried to allocate 386.00 MiB (NPU 2; 60.97 GiB total capacity; 59.57 GiB already allocated; 59.57 GiB current active; 16.54 MiB free; 60.06 GiB reserved in total by PyTorch) If reserved memory is >> allocated memory try setting max_split_size_mb to avoid fragmentation.
`,
  ),
  fault(
    "the driver refuses peer access",
    "instability",
    "evict-node",
    `[rank54]: RuntimeError: enable_peer_access:torch_npu/csrc/core/npu/NPUPeerToPeerAccess.cpp:39 NPU function error: aclrtDeviceEnablePeerAccess(dest_dev, enable_flag_value), error code is 507899
[ERROR] 2026-04-17-11:29:42 (PID:7136, Device:6, RankID:54) ERR00100 PTA call acl api failed
[Error]: An internal error occurs in the Driver module.
        Rectify the fault based on the error information in the ascend log.
EL9999: Inner Error!
EL9999[PID: 7136] 2026-04-17-11:29:42.001.734 (EL9999):  [drv api] halDeviceEnableP2P failed: drv devId=6, phyIdSrc=0, drvRetCode=17![FUNC:EnableP2P][FILE:npu_driver.cc][LINE:4088]
`,
    { rank: 54 },
  ),
  fault(
    "memory of the NPU has an error that cannot be corrected",
    "memory",
    "evict-node",
    `${steps}[rank6]: RuntimeError: operator():build/CMakeFiles/torch_npu.dir/compiler_depend.ts:361 NPU function error: UCE ERROR, error code is 507053
[ERROR] 2026-04-17-11:29:42 (PID:7136, Device:6, RankID:6) ERR00100 PTA call acl api failed
[Error]: HBM memory UCE error
`,
    { rank: 6 },
  ),
  fault("the neighbour of a broken core reports a suspect", "instability", "restart", {
    "node0.log":
      "(EngineCore_DP0 pid=36528) RuntimeError: Worker failed with error 'operator():build/CMakeFiles/torch_npu.dir/compiler_depend.ts:47 NPU function error: c10_npu::acl::AclrtSynchronizeStreamWithTimeout(copy_stream), error code is 507035\n(EngineCore_DP0 pid=36528) [ERROR] 2026-06-22-20:20:53 (PID:36569, Device:0, RankID:-1) ERR00100 PTA call acl api failed.\n(EngineCore_DP0 pid=36528) EZ9999: Inner Error!\n(EngineCore_DP0 pid=36528) EZ9999[PID: 36569] 2026-06-22-20:20:52.577.656 (EZ9999):  The error from device(chipId:4, dieId:0), serial number is 4, there is an exception of fftsplus aivector error, core id is 15, error code = 0x800000, dump info: pc start: 0x12c0de4bd7b8\n",
    "node1.log":
      "(EngineCore_DP1 pid=504896) RuntimeError: Worker failed with error 'SUSPECT REMOTE ERROR, error code is 507057\n(EngineCore_DP1 pid=504896) [ERROR] 2026-06-22-20:22:45 (PID:504915, Device:0, RankID:-1) ERR00100 PTA call acl api failed', please check the stack trace above for the root cause\n",
  }),
  fault(
    "a graph fails on an AI core, in the newer words",
    "instability",
    "restart",
    `[758] [2026-05-08 03:20:32:000] torch.distributed: [ERROR] [859] Find exception when finishedNPUExecutionInternal, query:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:61 NPU function error: acl::AclQueryEventRecordedStatus(event_, &currStatus), error code is 507011
[ERROR] 2026-05-08-03:20:31 (PID:758, Device:9, RankID:-1) ERR00100 PTA call acl api failed
[Error]: Model execution failed.
        Rectify the fault based on the error information in the ascend log.
[PID: 758] 2026-05-08-03:20:31.532.507 Invalid_Argument(EL0003): The argument is invalid.
        Solution: Try again with a valid argument.
        TraceBack (most recent call last):
        The error from device(chipId:4, dieId:1), serial number is 3, there is an exception of fftsplus aicore error, core id is 0, error code = 0x800000, dump info: pc start: 0x12c0c131862c
[rank9]:[E508 03:20:31.678676591 compiler_depend.ts:1693] [Rank 9] HCCL watchdog thread terminated with exception:
[ERROR] 2026-05-08-03:20:32 (PID:758, Device:9, RankID:-1) ERR02005 DIST internal error
`,
  ),
  fault(
    "a vector core times out, as the newer kit prints it",
    "instability",
    "restart",
    `(APIServer pid=9893) INFO:     127.0.0.1:35496 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error
[rank0]:[W610 17:20:44.224261525 NPUStream.cpp:647] Warning: NPU warning, error code is 507034[Error]:
[Error]: Vector core execution timed out.
        Rectify the fault based on the error information in the ascend log.
EE9999: Inner Error!
EE9999[PID: 10180] 2026-06-10-17:20:44.486.049 (EE9999):  rtDeviceSynchronizeWithTimeout execution failed, reason=vector core timeout[FUNC:FuncErrorReason][FILE:error_message_manage.cc][LINE:65]
TraceBack (most recent call last):
       wait for compute device to finish failed, runtime result = 507034.[FUNC:ReportCallError][FILE:log_inner.cpp][LINE:148]
`,
  ),
  fault(
    "an operator of the AI CPU fails",
    "instability",
    "restart",
    `[rank4]: RuntimeError: ACL stream synchronize failed, error code:507018
[rank4]: EZ9999: Inner Error!
[rank4]: EZ9999: [PID: 4004] 2026-11-24-10:00:00.100.200 Aicpu kernel execute failed, device_id=4, stream_id=3, task_id=14, errorCode=2a.[FUNC:PrintAicpuErrorInfo][FILE:task_info.cc][LINE:1484]
`,
    { rank: 4 },
  ),
  fault(
    "a peer's heartbeat is lost",
    "instability",
    "restart",
    `[ERROR]HCCL(835695,all_reduce_test):2025-10-23-17:28:06.049.385[task_exception_handler.cc:610][835695][TaskExecStage][HeartbeatAbnormal]Cluster Exception Location[IP/ID]:[10.10.0.1/1], Arrival Time:[Thu Oct 23 17:25:58 2025], Discoverer:[10.10.0.1/2], ExceptionType:[Heartbeat Lost Occurred], Possible Reason:1. Process has exited, 2. Network Disconnected
[ERROR]HCCL(835695,all_reduce_test):2025-10-23-17:28:06.050.385[task_exception_handler.cc:700][835695]EI0002: The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [unknown].
`,
  ),
  fault(
    "packets of a card are lost",
    "interconnect",
    "restart",
    `[ERROR]HCCL(1219039,python):2025-10-23-21:05:09.859.568[task_exception_handler.cc:610] [1219039][TaskExecStage][HeartbeatAbnormal]Cluster Exception Location[IP/ID]:[10.10.0.1/1], Arrival Time:[Thu Oct 23 21:03:19 2025], Discoverer:[10.10.0.1/1], ExceptionType:[Error cqe Occurred], Possible Reason:1.network disconnected, 2.remote network card error
[ERROR]HCCL(1219039,python):2025-10-23-21:05:09.860.568[task_exception_handler.cc:701] [1219039]EI0002: The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank: [unknown].
`,
  ),
  fault("the port of a card is down before HCCL gives up", "interconnect", "evict-node", {
    "hccn.log": "[devid 5]link status: DOWN\n[devid 6]link status: UP\n",
    "plog-2_20261124.log":
      "[ERROR] HCCL(2,python):2026-11-24-10:02:00.000.001 [hccl_socket_manager.cc:770] [2]EI0006: Getting socket times out. Reason: Remote Rank did not send the data in time.\n",
  }),
  fault(
    "a copy in a layout that the kit cannot make",
    "software-kit",
    "fail-over",
    `[rank0]: RuntimeError: copy_d2d_baseformat_opapi:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:88 NPU function error: call aclnnInplaceCopy failed, error code is 561103
[ERROR] 2025-11-07-10:00:00 (PID:88, Device:0, RankID:0) ERR00100 PTA call acl api failed
EZ1001: [PID: 88] 2025-11-07-10:00:00.120.100 The param dtype not implemented for DT_FLOAT8_E4M3FN, should be in dtype support list [DT_FLOAT,DT_FLOAT16,DT_BFLOAT16].
`,
  ),
  fault(
    "a convolution has no kernel for this chip",
    "software-kit",
    "fail-over",
    `[rank0]: RuntimeError: InnerRun:build/CMakeFiles/torch_npu.dir/compiler_depend.ts:218 OPS function error: Conv3D, error code is 500002
[ERROR] 2025-04-30-10:00:00 (PID:88, Device:0, RankID:0) ERR01100 OPS call acl api failed
[Error]: The execution of the operator fails.
E40021: Failed to compile Op [Conv3D]. (oppath: [Compile /usr/local/Ascend/ascend-toolkit/latest/opp/built-in/op_impl/ai_core/tbe/impl/conv3d.py failed with errormsg/stack])
`,
  ),
  fault(
    "HCCL's library is not on the path",
    "software-kit",
    "fix-job",
    'Traceback (most recent call last):\n  File "/opt/conda/lib/python3.10/site-packages/torch_npu/__init__.py", line 14, in <module>\n    import torch_npu.npu\nImportError: libhccl.so: cannot open shared object file: No such file or directory. Please check that the cann package is installed.\n',
  ),
  fault(
    "the driver of the cards does not come up",
    "software-kit",
    "evict-node",
    'dcmi module initialize failed. ret is -8005\nTraceback (most recent call last):\n  File "train.py", line 4, in <module>\nRuntimeError: Initialize:torch_npu/csrc/core/npu/sys_ctrl/npu_sys_ctrl.cpp:217 NPU function error: aclrtSetDevice(device_id), error code is 507033\n',
  ),
  fault(
    "an id of a card that is not there",
    "workload",
    "fix-job",
    `RuntimeError: Initialize:torch_npu/csrc/core/npu/sys_ctrl/npu_sys_ctrl.cpp:217 NPU function error: aclrtSetDevice(device_id), error code is 107001
[ERROR] 2026-11-24-10:00:00 (PID:88, Device:8, RankID:8) ERR00100 PTA call acl api failed
[Error]: Invalid device ID.
        Check whether the device ID is valid.
EE1001: [PID: 88] 2026-11-24-10:00:00.120.100 The argument is invalid.Reason: Set device failed, invalid device, set device=8, valid device range is [0, 8)
`,
  ),
  fault(
    "two processes share a card, one of them asleep",
    "instability",
    "restart",
    `RuntimeError: ProcessGroupHCCL.cpp:1064 NPU function error: AclrtSetOpWaitTimeout(kOpWaitTimeout), error code is 507049
EE9999[PID: 43311] 2026-08-31-10:00:00.100.100 (EE9999):  The error from device(chipId:1, dieId:0), serial number is 6. there is a fftsplus sdma error, sdma channel is 2, sdmaState=0x6, sdmaTslotid=0x4, irqStatus=0x0, cqeStatus=0x70000.[FUNC:ProcessCoreErrors][FILE:device_error_proc.cc][LINE:1714]
`,
  ),
  fault(
    "the old run still holds the card",
    "software-kit",
    "restart",
    `[ERROR] TDT(927000,python):2024-05-21-11:57:54.160.645 [process_mode_manager.cpp:290]tsd client wait response fail, device response code[1]. unknown device error.
EJ0001: 2024-05-21-11:57:54.167.645 Failed to initialize the HCCP process. Reason: Maybe the last training process is running.
        Solution: Wait for 10s after killing the last training process and try again.
`,
  ),
  fault(
    "an ECC error inside an AI core",
    "memory",
    "evict-node",
    `[rank1]: RuntimeError: ACL stream synchronize failed, error code:507015
EZ9999: [PID: 91] 2026-11-24-10:00:00.100.200 The error from device(chipId:1, dieId:0), serial number is 1, there is an aicore error, core id is 3, error code = 0x100, dump info: pc start: 0x1240c0010000
        The extend info: errcode:(0x100, 0, 0) errorStr: ecc error, hardware fault. fixp_error0 info: 0x0, fixp_error1 info: 0x0 fsmId:0, tslot:0, thread:0, ctxid:0, blk:0, sublk:0, subErrType:4.
`,
  ),
  fault(
    "a cube instruction read NaN",
    "numerics",
    "restart",
    `[rank1]: RuntimeError: ACL stream synchronize failed, error code:507015
EZ9999: [PID: 91] 2026-11-24-10:00:00.100.200 The error from device(chipId:1, dieId:0), serial number is 1, there is an aicore error, core id is 3, error code = 0x200, dump info: pc start: 0x1240c0010000
        The extend info: errcode:(0x200, 0, 0) errorStr: The input (L0A/L0B/L0C) data of the cube instruction contains NaN or Inf. fixp_error0 info: 0x0, fsmId:0, tslot:0
`,
  ),
  fault(
    "显存不足: 一个中文的训练日志",
    "memory",
    "fix-job",
    `${steps}2026-11-24 10:00:00 - ERROR - 训练失败: NPU 显存不足, 尝试申请 2.00 GiB\n2026-11-24 10:00:01 - ERROR - 进程退出\n`,
  ),
  fault(
    "芯片掉卡: a card is gone, told in Chinese",
    "instability",
    "evict-node",
    `${steps}2026-11-24 10:00:00 [ERROR] 健康检查: NPU 3 掉卡, npu-smi 查询不到该芯片\n`,
  ),
];
