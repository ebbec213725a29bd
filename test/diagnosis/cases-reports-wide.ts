/** Failures in frameworks and formats that the older cases leave out, after public reports: the machine's lines as facts, the words and runs around them ours. */
import type { Case } from "./cases-faults.ts";
import { iteration } from "./log-lines.ts";
import { fault } from "./report-case.ts";

const steps = `${iteration(1)}\n${iteration(2)}\n`;
const eight = [0, 1, 2, 3, 4, 5, 6, 7];
const died =
  "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker unexpectedly exits with a connection error code 2. End of file. There are some potential root causes. (1) The process is killed by SIGKILL by OOM killer due to high memory usage. (2) ray stop --force is called. (3) The worker is crashed unexpectedly due to SIGSEGV or other unexpected errors.\n";
const actorDied = `ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.\n\tclass_name: create_colocated_worker_cls.<locals>.WorkerDict\n\tactor_id: f20da4dcf474d8bb05e952bb03000000\n\tpid: 5226\n\tname: OvenE5WorkerDict_2:5\n\tip: 10.7.34.138\n${died}`;

export const wideReports: readonly Case[] = [
  fault(
    "an adapter breaks under ranks that mpirun tags",
    "interconnect",
    "evict-node",
    [12, 14, 13]
      .map(
        (rank) =>
          `2019-06-02T16:13:44.884Z: [1,${rank}]<stdout>:container-e275-01-000057:81${rank}:864 [0] transport/net_ib.cu:80 NCCL WARN NET/IB : Got async event : local catastrophic error\n2019-06-02T16:13:44.884Z: [1,${rank}]<stdout>:\n2019-06-02T16:13:44.884Z: [1,${rank}]<stdout>:container-e275-01-000057:81${rank}:864 [0] misc/ibvwrap.cu:220 NCCL WARN Call to ibv_get_async_event failed\n`,
      )
      .join(""),
  ),
  fault(
    "mpirun saw a process being killed",
    "instability",
    "restart",
    `[1,2]<stderr>:horovod.common.exceptions.HorovodInternalError: Horovod has been shut down. This was caused by an exception on one of the ranks or an attempt to allreduce, allgather or broadcast a tensor after one of the ranks finished execution. If the shutdown was caused by an exception, you should see the exception in the log before the first shutdown message.
--------------------------------------------------------------------------
Primary job  terminated normally, but 1 process returned
a non-zero exit code. Per user-direction, the job has been aborted.
--------------------------------------------------------------------------
--------------------------------------------------------------------------
mpirun noticed that process rank 5 with PID 40217 on node gpu-4 exited on signal 9 (Killed).
--------------------------------------------------------------------------
`,
    { rank: 5 },
  ),
  fault(
    "a task of JAX stops answering",
    "instability",
    "restart",
    `I1115 16:00:39.451247 140641718562816 trainer.py:501] Training: step 198
I1115 16:00:39.451110 140427877240832 trainer.py:501] Training: step 199
2022-11-15 16:03:15.140058: E external/org_tensorflow/tensorflow/core/distributed_runtime/coordination/coordination_service.cc:954] /job:jax_worker/replica:0/task:37 has been set to ERROR in coordination service: UNAVAILABLE: Task /job:jax_worker/replica:0/task:37 heartbeat timeout. This indicates that the remote task has failed, got preempted, or crashed unexpectedly. [type.googleapis.com/tensorflow.CoordinationServiceError='']
2022-11-15 16:03:15.141001: F external/org_tensorflow/tensorflow/compiler/xla/pjrt/distributed/client.h:75] Terminating process because the coordinator detected missing heartbeats. This most likely indicates that another task died; see the other task logs for more details. Status: UNAVAILABLE
`,
    { rank: 37 },
  ),
  fault(
    "XLA finds no memory on the device",
    "memory",
    "fix-job",
    `I1124 10:00:01.000001 140641718562816 max_utils.py:12] completed step: 3, seconds: 2.1, TFLOP/s/device: 310.2, Tokens/s/device: 7012.1, total_weights: 65536, loss: 9.812
Traceback (most recent call last):
  File "/app/MaxText/train.py", line 801, in <module>
    app.run(main)
jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.
BufferAssignment OOM Debugging.
`,
  ),
  fault(
    "not all hosts of JAX come",
    "interconnect",
    "restart",
    `Traceback (most recent call last):
  File "/root/train.py", line 89, in main
    jax.distributed.initialize(coordinator_address="10.1.0.3:1234", num_processes=8, process_id=0)
jaxlib.xla_extension.XlaRuntimeError: DEADLINE_EXCEEDED: Barrier timed out. Barrier_id: PjRT_Client_Connect. Timed out task names:
/job:jax_worker/replica:0/task:1
/job:jax_worker/replica:0/task:6

Additional GRPC error information from remote target unknown_target_for_coordination_leader while calling /tensorflow.CoordinationService/Barrier:
`,
  ),
  fault(
    "Ray kills a worker because its node is short of memory",
    "memory",
    "fix-job",
    `(RayTrainWorker pid=89392) step 10 loss 2.31
(raylet, ip=10.0.7.57) [2026-11-24 10:02:10,001 E 4012 4012] (raylet) node_manager.cc:3065: 1 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed due to other reasons at node (ID: 201f2cc4, IP: 10.0.7.57) over the last time period. To see more information about the Workers killed on this node, use \`ray logs raylet.out -ip 10.0.7.57\`
${actorDied}`,
  ),
  fault(
    "an actor of Ray is gone and nothing says why",
    "instability",
    "restart",
    `(TorchTrainer pid=89392) Worker 0 has failed.
2024-09-03 01:27:26,208\tERROR tune_controller.py:1331 -- Trial task failed for trial TorchTrainer_551a2_00000
Traceback (most recent call last):
  File "/home/ray/anaconda3/lib/python3.9/site-packages/ray/_private/worker.py", line 863, in get_objects
    raise value
${actorDied}`,
  ),
  fault(
    "a rollout worker touches memory that is not its own",
    "software-kit",
    "restart",
    `\u001b[36m(WorkerDict pid=3175143, ip=10.49.193.113)\u001b[0m INFO 02-21 04:32:47 model_runner_base.py:120] Writing input of failed execution to /tmp/err_execute_model_input_20250221-043247.pkl...
\u001b[36m(WorkerDict pid=3175143, ip=10.49.193.113)\u001b[0m WARNING 02-21 04:32:47 model_runner_base.py:143] Failed to pickle inputs of failed execution: CUDA error: an illegal memory access was encountered
\u001b[36m(WorkerDict pid=3175143, ip=10.49.193.113)\u001b[0m [rank3]:[E221 04:32:48.821000 ProcessGroupNCCL.cpp:1595] [PG ID 2 PG GUID 3 Rank 3] Process group watchdog thread terminated with exception: CUDA error: an illegal memory access was encountered
\u001b[36m(WorkerDict pid=3175143, ip=10.49.193.113)\u001b[0m Fatal Python error: Aborted
Traceback (most recent call last):
  File "/verl/verl/trainer/main_ppo.py", line 163, in run_ppo
    ray.get(main_task.remote(config, compute_score))
${actorDied}`,
    { rank: 3 },
  ),
  fault(
    "a scheduler of SGLang finds no memory",
    "memory",
    "fix-job",
    `[2026-11-24 10:00:31 TP2] Capture cuda graph begin. This can take up to several minutes. avail mem=1.21 GB
[2026-11-24 10:00:33 TP2] Scheduler hit an exception: Traceback (most recent call last):
  File "/sgl-workspace/sglang/python/sglang/srt/managers/scheduler.py", line 2012, in run_scheduler_process
    scheduler = Scheduler(server_args, port_args, gpu_id, tp_rank, dp_rank)
torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 448.00 MiB. GPU 2 has a total capacity of 79.11 GiB of which 311.31 MiB is free.

[2026-11-24 10:00:33] Received sigquit from a child proces. It usually means the child failed.
`,
  ),
  fault(
    "schedulers of SGLang crash in native code",
    "instability",
    "restart",
    `[2025-04-26 20:55:30 TP0] max_total_num_tokens=412312, chunked_prefill_size=8192
Fatal Python error: Segmentation fault
[2025-04-26 20:55:31] Rank 0 scheduler is dead. Please check if there are relevant logs.
[2025-04-26 20:55:32] Child process unexpectedly failed with an exit code 11. pid=293198
[2025-04-26 20:55:32] Child process unexpectedly failed with an exit code 11. pid=293197
[2025-04-26 20:55:32] Exit code: -11
Traceback (most recent call last):
  File "/usr/lib/python3.10/runpy.py", line 196, in _run_module_as_main
EOFError
`,
  ),
  fault(
    "multicast over the switches of NVLink cannot be set up",
    "interconnect",
    "evict-node",
    `[rank4]: torch.distributed.DistBackendError: NCCL error in: /opt/pytorch/torch/csrc/distributed/c10d/NCCLUtils.cpp:93, unhandled cuda error (run with NCCL_DEBUG=INFO for details), NCCL version 2.29.3
[rank4]: ncclUnhandledCudaError: Call to CUDA function failed.
[rank4]: Last error:
[rank4]: Failed to bind NVLink SHARP (NVLS) Multicast memory of size 2097152 : CUDA error 401 'the operation cannot be performed in the present state'.
[rank4]: This is usually caused by a system or configuration error in the Fabric Manager or NVSwitches.
[rank4]: Disable NVLS (NCCL_NVLS_ENABLE=0) if you wish to avoid this error in the future.
`,
  ),
  fault(
    "a host behind the cloud's adapter is not reachable",
    "interconnect",
    "restart",
    `  | 2024-11-28T07:42:11.527Z | algo-1:17779:17852 [6] NCCL INFO NET/OFI Creating one domain per process
  | 2024-11-28T07:58:12.801Z | algo-1:17779:18990 [6] nccl_net_ofi_rdma_process_completions:412 NCCL WARN NET/OFI Request 0x7f0a0c4ad0 completed with error. RC: 113. Error: 4125 (unreachable remote). Completed length: 0
  | 2024-11-28T07:58:12.802Z | algo-1:17779:18990 [6] NCCL INFO proxy.cc:694 -> 2
  | 2024-11-28T07:58:13.100Z | [rank6]: torch.distributed.DistBackendError: NCCL error in: ProcessGroupNCCL.cpp:2251, unhandled system error, NCCL version 2.21.5
`,
  ),
  fault(
    "a link of a GB200 fails, queues of all processes are taken down",
    "interconnect",
    "evict-node",
    {
      "kern.log": `Nov 24 10:00:01 n9 kernel: NVRM: Xid (PCI:0019:01:00): 149, NETIR_LINK_EVT Fatal XC0 i0 Link 00 (0x025001c6 0x00000000 0x00000000 0x00000000 0x00000000 0x00000000)
Nov 24 10:00:01 n9 kernel: NVRM: Xid (PCI:0019:01:00): 45, pid=1818990, name=python3, Ch 00000001 caused by previous Xid 149
Nov 24 10:00:01 n9 kernel: NVRM: Xid (PCI:0008:01:00): 45, pid=1818992, name=python3, Ch 0000000c caused by previous Xid 145
`,
      "train.log":
        "[rank9]: torch.AcceleratorError: CUDA error: unspecified launch failure\nSearch for `cudaErrorLaunchFailure' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information.\n",
    },
    { code: "Xid 149" },
  ),
  fault("a GPU does not come up any more", "instability", "evict-node", {
    "journal.txt": `May 27 16:50:10 n4 kernel: NVRM: osInitNvMapping: *** Cannot attach gpu
May 27 16:50:10 n4 kernel: NVRM: RmInitAdapter: osInitNvMapping failed, bailing out of RmInitAdapter
May 27 16:50:10 n4 kernel: NVRM: GPU 0000:09:00.0: RmInitAdapter failed! (0x22:0x56:894)
May 27 16:50:10 n4 kernel: NVRM: GPU 0000:09:00.0: rm_init_adapter failed, device minor number 0
`,
  }),
  fault("a GPU wants to be reset", "instability", "evict-node", {
    dmesg:
      "[373871.354096] NVRM: nvAssertOkFailedNoLog: Assertion failed: Reset required [NV_ERR_RESET_REQUIRED] (0x00000062) returned from status @ kernel_channel.c:2827\n",
    "train.log":
      'Traceback (most recent call last):\n  File "/srv/check.py", line 3, in <module>\ntorch.AcceleratorError: CUDA error: CUDA-capable device(s) is/are busy or unavailable\nSearch for `cudaErrorDevicesUnavailable\' in https://docs.nvidia.com/cuda/cuda-runtime-api/group__CUDART__TYPES.html for more information.\n',
  }),
  fault(
    "the time of a Lightning job is over",
    "preemption",
    "restart",
    `Epoch 10:  93%|█████████▎| 18625/20000 [5:43:21<25:20,  0.90it/s, v_num=0txx, train_loss=3.400]
Epoch 10:  93%|█████████▎| 18626/20000 [5:43:21<25:19,  0.90it/s, v_num=0txx, train_loss=3.400]

slurmstepd: error: *** STEP 55595933.0 ON maestro-3017 CANCELLED AT 2025-01-10T15:27:25 DUE TO TIME LIMIT ***
srun: Job step aborted: Waiting up to 32 seconds for job step to finish.
[rank: 0] Received SIGTERM: 15
Bypassing SIGTERM: 15

Epoch 10:  93%|█████████▎| 18626/20000 [5:43:21<25:19,  0.90it/s, v_num=0txx, train_loss=3.970]
Epoch 10:  93%|█████████▎| 18627/20000 [5:43:23<25:18,  0.90it/s, v_num=0txx, train_loss=3.970]
srun: error: maestro-3017: task 0: Terminated
`,
  ),
  fault(
    "memory of the host is used up while a checkpoint is made",
    "memory",
    "fix-job",
    `${steps}srun: error: as01r3b17: task 3: Out Of Memory
srun: Terminating StepId=4777403.0
slurmstepd: error: *** STEP 4777403.0 ON as01r3b17 CANCELLED AT 2024-08-16T19:36:54 ***
slurmstepd: error: Detected 1 oom_kill event in StepId=4777403.0. Some of the step tasks have been OOM Killed.
/usr/lib/python3.10/multiprocessing/resource_tracker.py:224: UserWarning: resource_tracker: There appear to be 23 leaked semaphore objects to clean up at shutdown
  warnings.warn('resource_tracker: There appear to be %d '
`,
  ),
  fault(
    "a shell says that its program was killed",
    "instability",
    "restart",
    `Setting rerun_state_machine.current_iteration to 0...
[rank41]:[W1125 19:49:13.737053108 ProcessGroupNCCL.cpp:1781] [PG ID 0 PG GUID 0(default_pg) Rank 41] Failed to check the "should dump" flag on TCPStore, (maybe TCPStore server has shut down too early), with error: Connection reset by peer
/nemo_run/scripts/pretrain.sh: line 7: 3297567 Killed                  bash -c 'numactl --cpunodebind=$((SLURM_LOCALID/4)) --membind=$((SLURM_LOCALID/4)) python /lustre/run_script.py --model_size 405b'
srun: error: gb-12: task 40: Exited with exit code 137
`,
  ),
  fault(
    "a full store ends a save on some ranks, its writer on others",
    "storage",
    "free-space",
    `(MegatronTrainRayActor pid=32440) [rank2]: RuntimeError: [enforce fail at inline_container.cc:664] . unexpected pos 704 vs 598
(MegatronTrainRayActor pid=32441) [rank3]: OSError: [Errno 28] No space left on device
(MegatronTrainRayActor pid=32442) [rank5]: RuntimeError: [enforce fail at inline_container.cc:664] . unexpected pos 704 vs 598
`,
  ),
  fault(
    "a trainer's logger prints the traceback of its child",
    "storage",
    "free-space",
    `2025-10-31 03:10:58,101 - SimpleTuner - INFO - [rank0]: Saving the checkpoint at step 500
2025-10-31 03:11:02,477 - SimpleTuner - INFO - [rank0]:     raise result
2025-10-31 03:11:02,477 - SimpleTuner - INFO - [rank0]: torch.distributed.checkpoint.api.CheckpointException: CheckpointException ranks:dict_keys([0, 1, 2, 3])
2025-10-31 03:11:02,478 - SimpleTuner - INFO - [rank0]: Traceback (most recent call last): (RANK 0)
2025-10-31 03:11:02,478 - SimpleTuner - INFO - [rank0]:   File "/workspace/venv/lib/python3.11/site-packages/torch/distributed/checkpoint/utils.py", line 192, in reduce_scatter
2025-10-31 03:11:02,479 - SimpleTuner - INFO - [rank0]: OSError: [Errno 122] Disk quota exceeded: '/workspace/output/checkpoint-500/__0_0.distcp'
2025-10-31 03:11:03,001 - SimpleTuner - ERROR - Training subprocess exited with code 1
`,
  ),
  fault(
    "Paddle's kernel touches memory that is not its own",
    "software-kit",
    "restart",
    `[2026/11/24 10:00:00] ppocr INFO: epoch: [1/500], global_step: 10, lr: 0.000001, loss: 3.1, avg_batch_cost: 1.2 s, ips: 53.1 samples/s
[2026/11/24 10:00:12] ppocr INFO: epoch: [1/500], global_step: 20, lr: 0.000001, loss: 3.0, avg_batch_cost: 1.2 s, ips: 53.1 samples/s
--------------------------------------
C++ Traceback (most recent call last):
--------------------------------------
0   paddle::framework::SignalHandle(char const*, int)
----------------------
Error Message Summary:
----------------------
ExternalError: CUDA error(700), an illegal memory access was encountered.
  [Hint: Please search for the error code(700) on website.] (at /paddle/paddle/fluid/platform/device/gpu/gpu_info.cc:275)

I1121 02:35:53.560647 3004662 tcp_store.cc:257] receive shutdown event and so quit from MasterDaemon run loop
LAUNCH INFO 2022-11-21 02:35:54,384 Pod failed
LAUNCH ERROR 2022-11-21 02:35:54,385 Container failed !!!
`,
  ),
  fault(
    "Paddle finds no memory on the device",
    "memory",
    "fix-job",
    `----------------------
Error Message Summary:
----------------------
ResourceExhaustedError:

Out of memory error on GPU 3. Cannot allocate 2.000000GB memory on GPU 3, 31.748535GB memory has been allocated and available memory is only 0.0GB.

Please check whether there is any other process using GPU 3.
  (at /paddle/paddle/fluid/memory/allocation/cuda_allocator.cc:87)
LAUNCH ERROR 2022-11-21 02:35:54,385 Container failed !!!
`,
  ),
  fault(
    "TensorFlow finds no memory on the device",
    "memory",
    "fix-job",
    `2021-07-22 05:04:29.383019: I tensorflow/stream_executor/platform/default/dso_loader.cc:48] Successfully opened dynamic library libcublas.so.11
2021-07-22 05:05:10.100000: W tensorflow/core/framework/op_kernel.cc:1651] OP_REQUIRES failed at matmul_op.cc:481 : Resource exhausted: OOM when allocating tensor with shape[32768,4096] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc
Traceback (most recent call last):
  File "train.py", line 145, in <module>
tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor with shape[32768,4096] and type float on /job:localhost/replica:0/task:0/device:GPU:0 by allocator GPU_0_bfc [Op:MatMul]
`,
  ),
  fault(
    "heads that cannot be shared among the ranks",
    "workload",
    "fix-job",
    `using world size: 8, data-parallel size: 1, context-parallel size: 1, tensor-model-parallel size: 8
${eight.map((rank) => `[rank${rank}]: Traceback (most recent call last):\n[rank${rank}]:   File "/opt/Megatron-LM/megatron/core/utils.py", line 70, in ensure_divisibility\n[rank${rank}]: AssertionError: 28 is not divisible by 8\n`).join("")}W1124 10:00:00.100000 900 torch/distributed/elastic/multiprocessing/api.py:897] Sending process 951 closing signal SIGTERM
`,
  ),
  fault(
    "the meeting point of torchrun is not there",
    "interconnect",
    "restart",
    `Traceback (most recent call last):
  File "/opt/venv/lib/python3.11/site-packages/torch/distributed/elastic/rendezvous/c10d_rendezvous_backend.py", line 114, in _call_store
    return getattr(self._store, store_op)(*args, **kwargs)
torch.distributed.DistStoreError: Connection reset by peer

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/opt/venv/bin/torchrun", line 8, in <module>
torch.distributed.elastic.rendezvous.api.RendezvousConnectionError: The connection to the C10d store has failed. See inner exception for details.
`,
  ),
  fault("a rank's array does not fit, its peer sees a reset", "memory", "fix-job", {
    "rank_0.log":
      'Traceback (most recent call last):\n  File "/srv/train.py", line 50, in <module>\nRuntimeError: [../third_party/gloo/gloo/transport/tcp/pair.cc:525] Read error [10.0.0.4]:33411: Connection reset by peer\n',
    "rank_1.log":
      'Traceback (most recent call last):\n  File "/srv/data.py", line 20, in load\n    table = np.zeros((60000, 27500))\nnumpy.core._exceptions._ArrayMemoryError: Unable to allocate 12.3 GiB for an array with shape (60000, 27500) and data type float64\n',
  }),
  fault("one rank's all-to-all is late, another is told to dump", "interconnect", "restart", {
    "rank_0.log": `[rank0]:[E804 23:05:54.816499929 ProcessGroupNCCL.cpp:1849] [PG ID 0 PG GUID 0(default_pg) Rank 0] Observed flight recorder dump signal from another rank via TCPStore.
[rank0]:[E804 23:05:54.817424543 ProcessGroupNCCL.cpp:1914] [PG ID 0 PG GUID 0(default_pg) Rank 0] Received a dump signal due to a collective timeout from  rank 13 and we will try our best to dump the debug info. Last enqueued NCCL work: 1261, last completed NCCL work: 1259.This is most likely caused by incorrect usages of collectives, e.g., wrong sizes used across ranks, the order of collectives is not same for all ranks or the scheduled collective, for some reason, didn't run. Additionally, this can be caused by GIL deadlock or other reasons such as network errors or bugs in the communications library (e.g. NCCL), etc.
`,
    "rank_13.log":
      "[rank13]:[E804 23:05:54.410000000 ProcessGroupNCCL.cpp:685] [Rank 13] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=1260, OpType=ALLTOALL_BASE, NumelIn=8388608, NumelOut=8388608, Timeout(ms)=600000) ran for 600023 milliseconds before timing out.\n",
  }),
  fault(
    "an error is glued to a progress bar",
    "interconnect",
    "restart",
    `\r  1%|          | 1020/100000 [45:37<51:20:55,  1.87s/it]\r  1%|          | 1021/100000 [45:39<51:20:53,  1.87s/it][rank2]:[E723 01:58:45.510486595 ProcessGroupNCCL.cpp:632] [Rank 2] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=45390, OpType=ALLREDUCE, NumelIn=544997376, NumelOut=544997376, Timeout(ms)=600000) ran for 600061 milliseconds before timing out.
[rank2]:[E723 01:58:45.511299168 ProcessGroupNCCL.cpp:2268] [PG ID 1 PG GUID 1 Rank 2]  failure detected by watchdog at work sequence id: 45390 PG status: last enqueued work: 45403, last completed work: 45389
`,
  ),
  fault(
    "a progress bar ends in an exception",
    "workload",
    "fix-job",
    `\r 12%|█▏        | 120/1000 [10:00<1:13:20,  5.00s/it]Traceback (most recent call last):
  File "/srv/sft.py", line 90, in <module>
    trainer.train()
RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
\r 12%|█▏        | 120/1000 [10:01<1:13:27,  5.01s/it]
`,
  ),
  fault(
    "files that are open are too many",
    "software-kit",
    "fix-job",
    `${steps}[rank5]: RuntimeError: Too many open files. Communication with the workers is no longer possible. Please increase the limit using \`ulimit -n\` in the shell or change the sharing strategy by calling \`torch.multiprocessing.set_sharing_strategy('file_system')\` at the beginning of your code
`,
    { rank: 5 },
  ),
  fault(
    "a process that saves cannot be forked",
    "memory",
    "fix-job",
    `${steps}[rank8]: Traceback (most recent call last):
[rank8]:   File "/opt/megatron/dist_checkpointing/strategies/async_utils.py", line 120, in schedule_async_call
[rank8]:   File "/usr/lib/python3.12/multiprocessing/popen_fork.py", line 67, in _launch
[rank8]: OSError: [Errno 12] Cannot allocate memory
`,
  ),
  fault(
    "the system of switches is not up",
    "software-kit",
    "evict-node",
    '/opt/venv/lib/python3.11/site-packages/torch/cuda/__init__.py:129: UserWarning: CUDA initialization: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 802: system not yet initialized (Triggered internally at ../c10/cuda/CUDAFunctions.cpp:108.)\n  return torch._C._cuda_getDeviceCount() > 0\nTraceback (most recent call last):\n  File "/srv/train.py", line 20, in <module>\nRuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 802: system not yet initialized\n',
  ),
  fault(
    "flash attention was built for another PyTorch",
    "software-kit",
    "fix-job",
    'Traceback (most recent call last):\n  File "/srv/train.py", line 4, in <module>\n    from flash_attn import flash_attn_func\nImportError: /opt/venv/lib/python3.10/site-packages/flash_attn_2_cuda.cpython-310-x86_64-linux-gnu.so: undefined symbol: _ZN3c104cuda9SetDeviceEi\n',
  ),
  fault(
    "a container gets no GPU from its runtime",
    "instability",
    "evict-node",
    `  Warning  Failed     12s (x3 over 60s)  kubelet            Error: failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: error during container init: error running hook #0: exit status 1, stdout: , stderr: Auto-detected mode as 'legacy'
nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown
  Warning  BackOff    1s (x4 over 59s)   kubelet            Back-off restarting failed container trainer in pod train-0_ml
`,
  ),
  fault(
    "a node goes down in an orderly way",
    "preemption",
    "restart",
    `Status:           Failed
Reason:           Terminated
Message:          Pod was terminated in response to imminent node shutdown.
Containers:
  trainer:
    State:          Terminated
      Reason:       Error
      Exit Code:    143
`,
  ),
  fault("a store does not answer, tasks hang, collectives run out of time", "storage", "restart", {
    messages: `Nov 24 10:00:00 n3 kernel: nfs: server nas01 not responding, still trying
Nov 24 10:04:10 n3 kernel: INFO: task python3:88123 blocked for more than 120 seconds.
Nov 24 10:04:10 n3 kernel:       Not tainted 5.15.0-105-generic #115-Ubuntu
`,
    "train.log": [0, 1, 2, 3]
      .map(
        (rank) =>
          `[rank${rank}]:[E1124 10:10:31.100000000 ProcessGroupNCCL.cpp:632] [Rank ${rank}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=77, OpType=BROADCAST, NumelIn=1, NumelOut=1, Timeout(ms)=600000) ran for 600023 milliseconds before timing out.\n`,
      )
      .join(""),
  }),
  fault(
    "batch sizes that do not agree",
    "workload",
    "fix-job",
    "[rank0]: AssertionError: Check batch related parameters. train_batch_size is not equal to micro_batch_per_gpu * gradient_acc_step * world_size 256 != 4 * 8 * 1\n[2023-04-15 15:31:39,267] [INFO] [launch.py:428:sigkill_handler] Killing subprocess 6293\n[2023-04-15 15:31:39,501] [ERROR] [launch.py:434:sigkill_handler] ['/usr/bin/python3', '-u', 'main.py', '--local_rank=0'] exits with return code = 1\n",
  ),
  fault(
    "a host that pdsh cannot reach",
    "interconnect",
    "restart",
    "[2026-11-24 10:00:00,100] [INFO] [runner.py:463:main] Using IP address of 10.0.0.1 for node gpu-1\ngpu-2: ssh: connect to host gpu-2 port 22: No route to host\npdsh@gpu-1: gpu-2: ssh exited with exit code 255\n",
  ),
  fault(
    "a loss that is not finite ends the run",
    "numerics",
    "restart",
    `[11/24 10:00:00 d2.utils.events]:  eta: 1:02:03  iter: 119  total_loss: 2.1  loss_cls: 1.0  time: 0.3123  data_time: 0.0101  lr: 0.0012  max_mem: 7123M
[11/24 10:00:06 d2.utils.events]:  eta: 1:02:01  iter: 139  total_loss: 9.8  loss_cls: 7.0  time: 0.3122  data_time: 0.0101  lr: 0.0014  max_mem: 7123M
[11/24 10:00:08 d2.engine.train_loop]: ERROR: Exception during training:
Traceback (most recent call last):
  File "/opt/detectron2/engine/train_loop.py", line 155, in train
    self.run_step()
FloatingPointError: Loss became infinite or NaN at iteration=146!
loss_dict = {'loss_cls': nan, 'loss_box_reg': nan}
`,
  ),
  fault(
    "shared memory is full, as srun tells it",
    "memory",
    "fix-job",
    `${steps}srun: error: n7: task 61: Bus error (core dumped)\nsrun: launch/slurm: _step_signal: Terminating StepId=77.0\nsrun: error: n0: tasks 0-7: Terminated\n`,
    { rank: 61 },
  ),
  fault(
    "a service logs its exception as a field",
    "workload",
    "fix-job",
    `{"ts":"2026-11-24T10:00:00.100Z","level":"info","logger":"train","msg":"step 10 loss 2.1","rank":3}
{"ts":"2026-11-24T10:00:09.100Z","level":"error","logger":"train","msg":"step failed","exc_info":"Traceback (most recent call last):\\n  File \\"/srv/train.py\\", line 88, in step\\n    loss.backward()\\nRuntimeError: CUDA error: device-side assert triggered\\nCUDA kernel errors might be asynchronously reported at some other API call","rank":3}
`,
    { rank: 3 },
  ),
  fault(
    "lines as a container runtime stores them",
    "memory",
    "fix-job",
    `2026-11-24T10:00:00.123456789Z stdout F step 10 loss 2.1
2026-11-24T10:00:09.123456789Z stderr F [rank2]: Traceback (most recent call last):
2026-11-24T10:00:09.123456790Z stderr P [rank2]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 2 has a total capacity
2026-11-24T10:00:09.123456791Z stderr F  of 79.15 GiB of which 1.02 GiB is free.
`,
    { rank: 2 },
  ),
  fault(
    "a crash that glog reports",
    "instability",
    "restart",
    `*** SIGSEGV (@0x10) received by PID 11743 (TID 0x7fbd1ffff700) from PID 16; stack trace: ***
    @     0x7facbd838294        976  (unknown)
    @     0x7fadfda3d090    1120528  (unknown)
`,
  ),
  fault(
    "memory for a stream of NCCL",
    "memory",
    "fix-job",
    "gpu1:1042:1098 [2] misc/strongstream.cc:395 NCCL WARN Cuda failure 'out of memory'\ngpu1:1042:1098 [2] NCCL INFO init.cc:1501 -> 1\n[rank2]: RuntimeError: NCCL Error 1: unhandled cuda error (run with NCCL_DEBUG=INFO for details)\n",
  ),
  fault(
    "a watchdog that does not move itself",
    "instability",
    "restart",
    "[rank6]:[F1124 10:44:20.100000000 ProcessGroupNCCL.cpp:1557] [PG ID 0 PG GUID 0(default_pg) Rank 6] [PG ID 0 PG GUID 0(default_pg) Rank 6] Terminating the process after attempting to dump debug info, due to ProcessGroupNCCL watchdog hang.\n",
  ),
];
