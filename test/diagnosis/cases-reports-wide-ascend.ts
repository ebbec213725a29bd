/** Failures of Ascend's stack, after public reports and error references, that the older cases leave out: the machine's lines as facts, the words and runs around them ours. */
import type { Case } from "./cases-faults.ts";
import { fault } from "./report-case.ts";

export const wideAscendReports: readonly Case[] = [
  fault(
    "the compiler of operators is not installed for this Python",
    "software-kit",
    "fix-job",
    `RuntimeError: [ERROR] HCCL error in: torch_npu/csrc/distributed/ProcessGroupHCCL.cpp:64
[ERROR] 2024-10-09-10:06:30 (PID:1506967, Device:1, RankID:1) ERR02200 DIST call hccl api failed.
EC0010: Failed to import Python module [ModuleNotFoundError: No module named 'tbe.common.repository_manager.utils.repository_manager_log'.].
        Solution: Check that all required components are properly installed and the specified Python path matches the Python installation directory. (If the path does not match the directory, run set_env.sh in the installation package.)
        TraceBack (most recent call last):
        [GraphOpt][InitializeInner][InitTbeFunc] Failed to init tbe.[FUNC:InitializeInner][FILE:tbe_op_store_adapter.cc][LINE:1623]
`,
  ),
  fault(
    "a card does not start for a worker",
    "instability",
    "evict-node",
    `(EngineCore_1 pid=113803) (VllmWorker rank=0 pid=114020) ERROR 07-01 08:38:50 [multiproc_executor.py:492]     torch_npu._C._npu_setDevice(device_id)
(EngineCore_1 pid=113803) (VllmWorker rank=0 pid=114020) ERROR 07-01 08:38:50 [multiproc_executor.py:492] RuntimeError: Initialize:torch_npu/csrc/core/npu/sys_ctrl/npu_sys_ctrl.cpp:146 NPU function error: c10_npu::SetDevice(device_id_), error code is 507033
(EngineCore_1 pid=113803) (VllmWorker rank=0 pid=114020) ERROR 07-01 08:38:50 [multiproc_executor.py:492] [ERROR] 2025-07-01-08:38:50 (PID:114020, Device:-1, RankID:1) ERR00100 PTA call acl api failed
`,
  ),
  fault(
    "an operator of the control processor fails in MindSpore",
    "instability",
    "restart",
    `[ERROR] DEVICE(44814,7f3352ffd700,python):2023-06-01-22:47:58.744.915 [mindspore/ccsrc/plugin/device/ascend/hal/hardware/ascend_graph_executor.cc:195] RunGraph] run task error!
[ERROR] DEVICE(44814,7f3352ffd700,python):2023-06-01-22:47:58.744.961 [mindspore/ccsrc/plugin/device/ascend/hal/hardware/ascend_utils.cc:35] ReportErrorMessage] Ascend error occurred, error message:
E39999: Inner Error!
E39999  Aicpu kernel execute failed, device_id=0, stream_id=12, task_id=2.[FUNC:PrintAicpuErrorInfo][FILE:task.cc][LINE:747]
        Aicpu kernel execute failed, device_id=0, stream_id=12, task_id=2, fault op_name=[FUNC:GetError][FILE:stream.cc][LINE:846]
        rtStreamSynchronize execute failed, reason=[the model stream execute failed][FUNC:FuncErrorReason][FILE:error_message_manage.cc][LINE:45]

Traceback (most recent call last):
  File "/srv/train.py", line 124, in <module>
    train(args=args)
RuntimeError: Run task for graph:kernel_graph_37 error! The details refer to 'Ascend Error Message'.
`,
  ),
  fault(
    "an operator of the control processor fails, and only warnings say so",
    "instability",
    "restart",
    `[W730 06:16:22.869118032 compiler_depend.ts:526] Warning: NPU warning, error code is 507018[Error]:
[Error]: The aicpu execution is abnormal.
        Rectify the fault based on the error information in the ascend log.
EH9999: Inner Error!
        rtDeviceSynchronizeWithTimeout execute failed, reason=[aicpu exception][FUNC:FuncErrorReason][FILE:error_message_manage.cc][LINE:53]
EH9999: [PID: 56178] 2025-07-30-06:16:22.730.302 wait for compute device to finish failed, runtime result = 507018.[FUNC:ReportCallError][FILE:log_inner.cpp][LINE:161]
        TraceBack (most recent call last):
 (function npuSynchronizeDevice)
`,
  ),
  fault(
    "a kernel of llama.cpp uses an unaligned address",
    "software-kit",
    "restart",
    `llm_load_tensors:        CANN0 model buffer size =  2354.66 MiB
/app/ggml/src/ggml-cann.cpp:63: CANN error
CANN error: EZ9999: Inner Error!
EZ9999: 2024-10-31-12:08:42.276.420  The error from device(0), serial number is 3, there is an aivec error, core id is 0, error code = 0x10, dump info: pc start: 0x8001240801311a4, current: 0x124080131744, vec error info: 0x1ebe7caf, mte error info: 0, ifu error info: 0xfdf646ef6900, ccu error info: 0x6b8e3406005b7aca, cube error info: 0, biu error info: 0, aic error mask: 0x6de01200c0122c8, para base: 0x124000262840, errorStr: Illegal instruction, which is usually caused by unaligned UUB addresses.[FUNC:PrintCoreErrorInfo][FILE:device_error_proc.cc][LINE:537]
`,
  ),
  fault(
    "a kernel leaves its buffer",
    "software-kit",
    "restart",
    `[ERROR] aclrtSynchronizeStream(stream) failed: 507035 (/srv/npu_validation/Relu/relu/main.cpp:92)
[ERROR] RecentErrMsg: EZ9999: Inner Error!
EZ9999[PID: 1919644] 2026-06-12-10:53:47.898.886 (EZ9999):  The error from device(chipId:2, dieId:0), serial number is 118, there is an exception of aivec error, core id is 10, error code = 0x4000000000000000, dump info: pc start: 0x124800000000, current: 0x12480000008c, vec error info: 0xf01b, mte error info: 0xc10600005e, ifu error info: 0x200007f878400, ccu error info: 0x6c000036, cube error info: 0, biu error info: 0, aic error mask: 0x6500020bd00028c, para base: 0x12c100000000.[FUNC:PrintCoreInfo][FILE:device_error_core_proc.cc][LINE:645]
        TraceBack (most recent call last):
       The extend info: errcode:(0x4000000000000000, 0, 0) errorStr: VEC instruction error: the ub address out of bounds. fixp_error0 info: 0x600005e, fixp_error1 info: 0xc1, fsmId:0, tslot:1, thread:0, ctxid:0, blk:0, sublk:0, subErrType:4.[FUNC:PrintCoreInfo][FILE:device_error_core_proc.cc][LINE:658]
       Kernel task happen error, retCode=0x31, [vector core exception].[FUNC:PreCheckTaskErr][FILE:davinci_kernel_task.cc][LINE:1729]
`,
  ),
  fault(
    "a process is gone, its peers wait for its record",
    "instability",
    "restart",
    `[W compiler_depend.ts:487] Warning: NPU warning, error code is 507048[Error]:
[Error]: The execution of the internal task times out.
Rectify the fault based on the error information in the ascend log.
EI0002: [PID: 7277] 2024-11-28-11:59:30.645.648 The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify record from remote rank [unknown].base information: [streamID:[2282987520], taskID[5], tag[AllReduce_90.90.92.240%enp189s0f0_60000_0_1732766162316022], AlgType(level 0-1-2):[fullmesh-ring-ring].] task information: [
there are(is) 1 abnormal device(s):
        Cluster Exception Location[IP/ID]:[90.90.92.240/1], Arrival Time:[Thu Nov 28 11:56:34 2024], Discoverer:[90.90.92.240/0], ExceptionType:[Heartbeat Lost Occurred], Possible Reason:1. Process has exited, 2. Network Disconnected
]
        Possible Cause: 1. An exception occurs during the execution on some NPUs in the cluster. As a result, collective communication operation failed.2. The execution speed on some NPU in the cluster is too slow to complete a communication operation within the timeout interval. (default 1800s, You can set the interval by using HCCL_EXEC_TIMEOUT.)
`,
  ),
  fault(
    "a collective runs out of time, in the newer words",
    "interconnect",
    "restart",
    "[ERROR] HCCL(858209,all_reduce_test):2025-12-10-19:52:32.589.097 [task_exception_handler.cc:27] [858274][TaskExecStage][Timeout][HOST]Task run failed, base information is streamID:[1740], taskID[23], tag[AllReduce_127.0.0.1%enp_60000_0_1765367469], AlgType(level 0-1-2):[fullmesh-ring-ring].\n",
  ),
  fault(
    "kernels of the toolkit were not built into the extension",
    "software-kit",
    "fix-job",
    `(EngineCore_DP0 pid=626) ERROR 12-05 07:51:00 [core.py:708] EngineCore failed to start.
(EngineCore_DP0 pid=626) ERROR 12-05 07:51:00 [core.py:708]     out = torch.ops._C.rotary_embedding(positions, query, key)
(EngineCore_DP0 pid=626) ERROR 12-05 07:51:00 [core.py:708] AttributeError: '_OpNamespace' '_C' object has no attribute 'rotary_embedding'
(APIServer pid=500) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}
[ERROR] 2025-12-05-07:51:28 (PID:1532, Device:-1, RankID:-1) ERR99999 UNKNOWN applicaiton exception
`,
  ),
  fault(
    "device memory cannot be had, in the driver's words",
    "memory",
    "fix-job",
    "[rank2]: RuntimeError: NPU function error: aclrtMallocAlign32, error code is 207001\n[rank2]: EL0004: [PID: 8213] 2026-11-24-10:00:00.100.200 Failed to allocate memory.\n[rank2]:         Possible Cause: Available memory is insufficient.\n[rank2]:         Solution: Close applications not in use.\n",
    { rank: 2 },
  ),
  fault(
    "ranks call a collective with different sizes",
    "workload",
    "fix-job",
    "[rank1]: EI0005: [PID: 4411] 2026-11-24-10:00:00.100.200 The arguments for collective communication are inconsistent between ranks: parameter count, local 1024, remote 2048\n[rank1]: RuntimeError: [ERROR] HCCL error in: build/CMakeFiles/torch_npu.dir/compiler_depend.ts:64\n",
  ),
  fault(
    "ranks run different versions of HCCL",
    "software-kit",
    "fix-job",
    "[rank9]: EI0008: [PID: 4411] 2026-11-24-10:00:00.100.200 The HCCL versions are inconsistent: tag HcclAllReduce, local 1.82.22, remote 1.84.1.\n[rank9]: [ERROR] 2026-11-24-10:00:01 (PID:4411, Device:1, RankID:9) ERR02200 DIST call hccl api failed.\n",
  ),
  fault(
    "no engine has the operator",
    "software-kit",
    "fail-over",
    'E40021: 2023-06-01-22:47:58.100.200 Failed to compile Op [Conv3DBackpropInputD_12]. (oppath: [Compile /usr/local/Ascend/opp/built-in/op_impl/ai_core/tbe/impl/conv3d_backprop_input_d.py failed with errormsg/stack: File "x.py", line 12])\nRuntimeError: Compile graph kernel_graph_1 failed.\n[ERROR] GE(512,python):2023-06-01-22:47:58.200.200 [graph_manager.cc:1204] PreRun: EZ3003: No supported Ops kernel and engine are found for [Conv3DBackpropInputD_12], optype [Conv3DBackpropInputD].\n',
  ),
  fault(
    "MindSpore finds no memory on the device",
    "memory",
    "fix-job",
    "[ERROR] DEVICE(2420702,fffe06ffd1e0,python):2023-11-20-15:34:32.886.561 [mindspore/ccsrc/plugin/device/ascend/hal/device/ascend_memory_adapter.cc:221] MallocStaticDevMem] Out of Memory!!! Request memory size: 1310720000B, device HBM memory size 32212254720B\nRuntimeError: Malloc for kernel output failed, Memory isn't enough, node:Default/network/Cast-op12\n",
  ),
  fault(
    "a node of MindSpore's cluster is lost",
    "instability",
    "restart",
    "[ERROR] DISTRIBUTED(120,ffff8,python):2026-11-24-10:00:00.100.200 [mindspore/ccsrc/distributed/cluster/topology/meta_server_node.cc:396] UpdateTopoState] The node: 3 is timed out. It may exit with exception, please check this node's log.\n[ERROR] DISTRIBUTED(121,ffff8,python):2026-11-24-10:00:01.100.200 [mindspore/ccsrc/distributed/cluster/topology/compute_graph_node.cc:173] Heartbeat] The state of the cluster is error, total nodes num: 8\n",
  ),
  fault(
    "an argument that MindSpore refuses",
    "workload",
    "fix-job",
    "Traceback (most recent call last):\n  File \"/srv/train.py\", line 12, in <module>\n    ms.set_context(device_target=\"Ascend\", mode=2)\nValueError: For 'context.set_context', the argument 'mode' should be context.GRAPH_MODE (0) or context.PYNATIVE_MODE (1), but got 2.\n",
  ),
  fault(
    "损失值异常: 训练被停止",
    "numerics",
    "restart",
    "[2026-11-24 10:00:00] iteration 118/ 2000 | elapsed time per iteration (ms): 812.1 | lm loss: 7.1E+00 |\n[2026-11-24 10:00:08] [ERROR] 检测到 loss 为 nan, 训练终止\n",
  ),
  fault(
    "torch_npu 的进程被系统杀死",
    "memory",
    "fix-job",
    "[2026-11-24 10:00:00] 第 118 步, 用时 812 毫秒\n11月 24 10:00:07 worker-3 kernel: Memory cgroup out of memory: Killed process 4411 (python3) total-vm:812345678kB, anon-rss:402653184kB, file-rss:0kB\n[ERROR] 2026-11-24-10:00:09 (PID:4410, Device:0, RankID:24) ERR02200 DIST call hccl api failed.\n",
  ),
];
