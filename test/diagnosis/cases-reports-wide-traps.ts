/** Healthy logs in formats that the older traps leave out: alarming words, and nothing that ended the job. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { trap } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const more = `${iteration(3)}\n${iteration(4)}\n${iteration(5)}\n`;

export const wideTraps: readonly Case[] = [
  trap("a link of an NVLink unit reports what it corrected", {
    "kern.log":
      "Nov 24 10:00:30 n9 kernel: NVRM: Xid (PCI:0018:01:00): 145, RLW_RXPIPE Nonfatal XC0 i0 Link 13 (0x0409a0c2 0x00000008 0x00000001 0x00000000 0x00100000 0x00000004)\n",
    "train.log": `${steps}${more}`,
  }),
  trap("a kernel's log of months, of which nothing is today", {
    dmesg: `[Sun Jul 28 09:15:27 2024] NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024
[Wed Jul 31 23:14:18 2024] NVRM: GPU Board Serial Number: 1650423013443
[Wed Jul 31 23:14:18 2024] NVRM: Xid (PCI:0000:00:05): 43, pid=1045242, name=pt_main_thread, Ch 00000008
[Mon Aug  5 03:54:13 2024] NVRM: Xid (PCI:0000:00:07): 31, pid=2512125, name=python3.10, Ch 00000008, intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_8 faulted @ 0x73ac_1c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_WRITE
`,
    "train.log":
      "2024-08-09 13:00:00,100 - root - INFO - step: 10  loss:  7.76543  grad_norm:  2.3456  memory: 45.12GiB(56.78%)  tps: 5,678\n2024-08-09 13:10:00,100 - root - INFO - step: 20  loss:  6.76543  grad_norm:  2.3456  memory: 45.12GiB(56.78%)  tps: 5,678\n2024-08-09 13:20:00,100 - root - INFO - Training completed\n",
  }),
  trap(
    "a server that failed some requests and answers the others",
    `(APIServer pid=1) INFO:     10.233.74.90:4936 - "POST /v1/chat/completions HTTP/1.1" 500 Internal Server Error
(APIServer pid=1) ERROR 11-24 10:00:00 [serving_chat.py:240] Error in preprocessing prompt inputs
(APIServer pid=1) ERROR 11-24 10:00:00 [serving_chat.py:240] Traceback (most recent call last):
(APIServer pid=1) ERROR 11-24 10:00:00 [serving_chat.py:240] jinja2.exceptions.TemplateError: Conversation roles must alternate user/assistant/user/assistant/...
(APIServer pid=1) INFO:     10.233.74.90:45454 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request
(APIServer pid=1) INFO:     10.233.74.91:4775 - "POST /v1/chat/completions HTTP/1.1" 200 OK
(APIServer pid=1) INFO:     10.233.74.91:4776 - "POST /v1/chat/completions HTTP/1.1" 200 OK
(APIServer pid=1) INFO:     10.233.74.91:4777 - "POST /v1/chat/completions HTTP/1.1" 200 OK
`,
  ),
  trap(
    "communicators are closed after the end",
    `${steps}${more}[after training is done] datetime: 2026-11-24 10:40:00
n1:14051:14895 [0] NCCL INFO [Service thread] Connection closed by localRank 3
n1:14053:14893 [2] NCCL INFO [Service thread] Connection closed by localRank 3
n1:14054:14825 [3] NCCL INFO comm 0x9bc5a80 rank 11 nranks 16 cudaDev 3 busId 4e000 - Abort COMPLETE
`,
  ),
  trap(
    "a plugin of the network that is not installed",
    `qgpu2008:21283:21283 [0] NCCL INFO NET/Plugin : Plugin load (libnccl-net.so) returned 2 : libnccl-net.so: cannot open shared object file: No such file or directory
qgpu2008:21283:21283 [0] NCCL INFO NET/Plugin : No plugin found, using internal implementation
libfabric:85:1747438790::core:core:fi_getinfo_():1392<warn> fi_getinfo: provider efa output empty list
libfabric:462:1673041636:efa:core:rxr_info_to_rxr():506<warn> FI_HMEM capability requires RDMA, which this device does not support.
${steps}`,
  ),
  trap("a daemon of Slurm complains at its start", {
    "slurmd.log": `[2020-12-30T05:11:27.540] error: Domain socket directory /var/spool/slurmd: No such file or directory
[2020-12-30T05:11:27.552] error: xcpuinfo_hwloc_topo_load: failed (load will be required after read failures).
[2020-12-30T05:11:27.552] error: Node configuration differs from hardware: Procs=16:16(hw) Boards=1:1(hw) SocketsPerBoard=16:1(hw)
[2020-12-30T05:11:27.642] slurmd started on Wed, 30 Dec 2020 05:11:27 +0000
[2020-12-30T05:11:51.872] Launching batch job 25 for UID 3521375391
`,
  }),
  trap(
    "a client whose name cannot be told",
    `[rank0]:[W601 13:34:02.514812658 socket.cpp:207] [c10d] The hostname of the client socket cannot be retrieved. err=-3
[W socket.cpp:663] [c10d] The client socket has failed to connect to [n1]:29500 (errno: 111 - Connection refused).
[W socket.cpp:663] [c10d] The client socket has failed to connect to [n1]:29500 (errno: 111 - Connection refused).
${steps}`,
  ),
  trap(
    "a first start without a checkpoint",
    `WARNING: could not find the metadata file /ckpt/latest_checkpointed_iteration.txt
    will not load any checkpoints and will start from random
(min, max) time across ranks (ms):
    load-checkpoint ................................: (0.41, 0.56)
${steps}`,
  ),
  trap(
    "libraries that are registered twice",
    `2026-11-24 10:00:00.100000: E external/local_xla/xla/stream_executor/cuda/cuda_dnn.cc:9261] Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN when one has already been registered
2026-11-24 10:00:00.100000: E external/local_xla/xla/stream_executor/cuda/cuda_blas.cc:1515] Unable to register cuBLAS factory: Attempting to register factory for plugin cuBLAS when one has already been registered
2026-11-24 10:00:00.200000: W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT
${steps}`,
  ),
  trap(
    "a deadline of HCCL that is set to never",
    `(NPURayWorkerWrapper pid=44419) [rank7]:[W609 06:57:47.819535026 compiler_depend.ts:877] Warning: The HCCL execution timeout was set to never timeout, so it is bigger than watchdog timeout 1800000ms which is set by init_process_group! The plog may not be recorded. You can disable watchdog by 'export HCCL_ASYNC_ERROR_HANDLING=0'. (function ProcessGroupHCCL) [repeated 26x across cluster]
${steps}`,
  ),
  trap(
    "a slow data pipeline of MindSpore",
    `[WARNING] MD(17532,fffd117fa1e0,python):2023-03-09-20:18:49.009.973 [mindspore/ccsrc/minddata/dataset/engine/datasetops/data_queue_op.cc:832] DetectPerBatchTime] Bad performance attention, it takes more than 25 seconds to fetch a batch of data from dataset pipeline, which might result \`GetNext\` timeout problem. You may test dataset processing performance(with creating dataset iterator) and optimize it.
[EVENT] TDT(946748,main):2025-05-19-15:59:07.755.479 [process_mode_manager.cpp:371][InitTsdClient][tid:947062] [TsdClient] deviceId[0] begin to init hdc client
epoch: 1 step: 10, loss is 2.41
epoch: 1 step: 20, loss is 2.22
epoch: 1 step: 30, loss is 2.10
`,
  ),
  trap(
    "a rollout prints what the model answered",
    `(main_task pid=11) step:11 - actor/pg_loss:0.012 - timing_s/step:91.2 - perf/throughput:812.1
(main_task pid=11) [prompt] Why does my program end?
(main_task pid=11) [response] You may see
(main_task pid=11) Traceback (most recent call last):
(main_task pid=11)   File "app.py", line 3, in <module>
(main_task pid=11) RuntimeError: CUDA error: an illegal memory access was encountered
(main_task pid=11) [ground_truth] 42
(main_task pid=11) [score] 0.0
(main_task pid=11) step:12 - actor/pg_loss:0.011 - timing_s/step:90.1 - perf/throughput:815.0
(main_task pid=11) step:13 - actor/pg_loss:0.013 - timing_s/step:90.3 - perf/throughput:814.2
(main_task pid=11) step:14 - actor/pg_loss:0.010 - timing_s/step:90.2 - perf/throughput:814.9
`,
  ),
  trap(
    "a signal that Lightning passes over",
    `Epoch 9:  99%|█████████▉| 19999/20000 [5:43:21<00:01,  0.90it/s, v_num=0txx, train_loss=3.400]
[rank: 0] Received SIGTERM: 15
Bypassing SIGTERM: 15
Epoch 9: 100%|██████████| 20000/20000 [5:43:23<00:00,  0.90it/s, v_num=0txx, train_loss=3.970]
\`Trainer.fit\` stopped: \`max_epochs=10\` reached.
`,
  ),
  trap(
    "a server that is not ready at once",
    `  Normal   Started    2m                 kubelet  Started container vllm
  Warning  Unhealthy  70s (x6 over 2m)   kubelet  Readiness probe failed: Get "http://10.1.2.3:8000/health": dial tcp 10.1.2.3:8000: connect: connection refused
  Normal   Pulled     2m                 kubelet  Container image "vllm:v0.11" already present on machine
`,
  ),
  trap(
    "a second attempt that goes to its end",
    `[rank3]: RuntimeError: CUDA error: unspecified launch failure
E1124 10:05:03.200000 900 torch/distributed/elastic/multiprocessing/api.py:869] failed (exitcode: 1) local_rank: 3 (pid: 953) of binary: /usr/bin/python3
I1124 10:05:04.000000 900 torch/distributed/elastic/agent/server/api.py:874] [default] Worker group FAILED. 2/3 attempts left; will restart worker group
I1124 10:05:04.100000 900 torch/distributed/elastic/agent/server/api.py:699] [default] Stopping worker group
${more}[after training is done] datetime: 2026-11-24 10:40:00
`,
  ),
  trap(
    "Ray moves objects to disk",
    `\u001b[36m(raylet)\u001b[0m Spilled 10240 MiB, 40 objects, write throughput 812 MiB/s. Set RAY_verbose_spill_logs=0 to disable this message.
\u001b[36m(RayTrainWorker pid=89392)\u001b[0m FutureWarning: torch.cuda.amp.GradScaler is deprecated
(autoscaler +12m3s) Tip: use \`ray status\` to view detailed cluster status.
(RayTrainWorker pid=89392) {'loss': 1.21, 'grad_norm': 0.8, 'learning_rate': 1e-05, 'epoch': 0.1}
(RayTrainWorker pid=89392) {'loss': 1.20, 'grad_norm': 0.7, 'learning_rate': 1e-05, 'epoch': 0.2}
`,
  ),
  trap(
    "a script that clears what an older run left",
    `+ pkill -9 sglang
+ sleep 3
+ ray stop --force
/scripts/run.sh: line 4:  4411 Killed                  python -m http.server
[2026-11-24 10:00:00 TP0] Prefill batch. #new-seq: 1, #new-token: 512, #cached-token: 0
[2026-11-24 10:00:01] INFO:     10.0.0.3:3391 - "POST /generate HTTP/1.1" 200 OK
[2026-11-24 10:00:02] INFO:     10.0.0.3:3392 - "POST /generate HTTP/1.1" 200 OK
`,
  ),
  trap(
    "a loss scale that is still being found",
    `[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 65536, reducing to 32768
[2026-11-24 10:00:00,100] [INFO] [loss_scaler.py:190:update_scale] [deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 32768, but hysteresis is 2. Reducing hysteresis to 1
 iteration        5/  120000 | elapsed time per iteration (ms): 16491.5 | learning rate: 0.000E+00 | loss scale: 268435456.0 | number of skipped iterations:   5 | number of nan iterations:   0 |
 iteration       10/  120000 | elapsed time per iteration (ms): 1993.9 | learning rate: 1.500E-04 | lm loss: 9.100000E+00 | loss scale: 8388608.0 | number of skipped iterations:   0 | number of nan iterations:   0 |
`,
  ),
  trap("a machine that boots", {
    dmesg: `[    0.512345] ACPI Error: No handler for Region [POWR] (00000000abcd) [IPMI] (20210730/evregion-130)
[    8.100000] mlx5_core 0000:ab:00.0: Port module event: module 0, Cable plugged
[    8.200000] mlx5_core 0000:ab:00.0 mlx5_5: Port: 1 Link INIT
[    9.300000] EXT4-fs (md127p3): mounted filesystem with ordered data mode. Opts: errors=remount-ro. Quota mode: none.
[   12.400000] NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  570.158.01  Release Build  (dvs-builder@U22-I3-B10-02-5)
[   12.500000] workqueue: ib_cache_event_task [ib_core] hogged CPU for >10000us 4 times, consider switching to WQ_UNBOUND
`,
  }),
  trap(
    "检查结果正常",
    "[2026-11-24 10:00:00] 健康检查: 未发现错误, HBM ECC 错误计数: 0, 网口状态正常\n[2026-11-24 10:00:01] 上传日志超时, 第 1 次重试成功\nepoch: 1 step: 10, loss is 2.41\nepoch: 1 step: 20, loss is 2.22\n",
  ),
];
