/**
 * Each adapter against the lines that the real frameworks print: every line here is built from the same fields, widths and formats as
 * the named source file at the named commit builds it. Formats are facts; figures are made up.
 */
import { describe, expect, test } from "vitest";
import { readers } from "./adapters.ts";
import type { StepReading } from "./reading.ts";
import { withoutColours } from "./reading.ts";

const wide = (value: number, width: number): string => String(value).padStart(width);
/** Python's `{:.6E}`, `nan` and `inf` as it writes them in that format. */
const scientific = (value: number): string => {
  if (Number.isNaN(value)) return "NAN";
  const [mantissa = "", power = "0"] = value.toExponential(6).split("e");
  return `${mantissa}E${power.startsWith("-") ? "-" : "+"}${power.replace(/[+-]/, "").padStart(2, "0")}`;
};

interface MegatronLine {
  readonly stamp?: string;
  readonly losses?: Readonly<Record<string, number>>;
  /** Fields between the time and the learning rate. */
  readonly throughput?: string;
  readonly moe?: string;
  readonly gradNorm?: number;
  readonly zeros?: string;
  readonly paramsNorm?: number;
  readonly skipped?: number;
  readonly nan?: number;
  readonly tail?: string;
}

/** training_log of Megatron-LM (megatron/training/training.py, d98e8a64 of 2026-08-22); older versions leave parts out. */
function megatronLine(given: MegatronLine): string {
  const { stamp = " [2026-08-22 15:22:22.123456]", losses = { "lm loss": 7.123456 }, skipped = 0, nan = 0 } = given;
  return [
    `${stamp} iteration ${wide(100, 8)}/${wide(10_000, 8)} |`,
    ` consumed samples: ${wide(102_400, 12)} |`,
    ` elapsed time per iteration (ms): ${(1234.5).toFixed(1)} |`,
    given.throughput ?? "",
    ` learning rate: ${scientific(1.5e-4)} |`,
    ` global batch size: ${wide(1024, 5)} |`,
    // Only what is not negative is printed, which NaN is not.
    ...Object.entries(losses).flatMap(([name, value]) => (value >= 0 ? [` ${name}: ${scientific(value)} |`] : [])),
    given.moe ?? "",
    ` loss scale: ${(1).toFixed(1)} |`,
    given.gradNorm === undefined ? "" : ` grad norm: ${given.gradNorm.toFixed(3)} |`,
    given.zeros === undefined ? "" : ` num zeros: ${given.zeros} |`,
    given.paramsNorm === undefined ? "" : ` params norm: ${given.paramsNorm.toFixed(3)} |`,
    ` number of skipped iterations: ${wide(skipped, 3)} |`,
    ` number of nan iterations: ${wide(nan, 3)} |`,
    given.tail ?? "",
  ].join("");
}

const usual = { says: "step", step: 100, total: 10_000, loss: 7.123456, seconds: 1.2345 } as const;
const megatronLines: readonly (readonly [string, string, Partial<StepReading>])[] = [
  ["core 0.15 and later, with microseconds", megatronLine({ gradNorm: 1.234 }), { gradNorm: 1.234 }],
  [
    "core 0.3 to 0.14, a stamp in seconds",
    megatronLine({ stamp: " [2024-05-01 10:00:00]", gradNorm: 1.234 }),
    { gradNorm: 1.234 },
  ],
  ["before, without a stamp", megatronLine({ stamp: "" }), { gradNorm: undefined }],
  [
    "throughput, energy and power",
    megatronLine({
      throughput:
        " throughput per GPU (TFLOP/s/GPU): 412.3 | energy per GPU (J/iter/GPU): 512.1 | power per GPU (W/GPU): 688.0 |",
    }),
    {},
  ],
  ["skipped samples", megatronLine({ throughput: ` skipped samples: ${wide(12, 12)} |` }), {}],
  ["zeros and norms", megatronLine({ gradNorm: 0.5, zeros: "123456.0", paramsNorm: 1234.567 }), { gradNorm: 0.5 }],
  [
    "a mixture's losses and a predicted token's",
    megatronLine({
      losses: { load_balancing_loss: 1.01, "lm loss": 7.123456, z_loss: 0.002, "mtp_1 loss": 8.5, "indexer loss": 0.1 },
    }),
    {},
  ],
  [
    "NaN in the loss beside losses that are none",
    megatronLine({ losses: { "lm loss": Number.NaN, load_balancing_loss: 1.01, "mtp_1 loss": 8.5 }, nan: 1 }),
    { loss: Number.NaN, nanSteps: 1 },
  ],
  ["a NaN gradient", megatronLine({ gradNorm: Number.NaN }), { gradNorm: Number.NaN }],
  ["all steps skipped by the loss scaler", megatronLine({ losses: {}, skipped: 1 }), { loss: undefined, skipped: 1 }],
  ["a task with a loss of another name", megatronLine({ losses: { "sop loss": 0.69 } }), { loss: 0.69 }],
  // Ascend/MindSpeed-LLM mindspeed_llm/training/training.py, c77308a1 of 2026-08-21.
  [
    "MindSpeed-LLM",
    megatronLine({
      stamp: " [2026-08-21 10:00:00]",
      throughput: " throughput per GPU (TFLOP/s/GPU): 188.2 | core attn ratio (%): 12.5 |",
      tail: " fix-router or fix-sub-seq-length is set, current loss is not reliable, only for test |",
    }),
    {},
  ],
  // mindspeed_llm/fsdp2/utils/train_monitor.py, with the logger's prefix as its documentation shows it.
  [
    "MindSpeed-LLM FSDP2",
    `INFO [2026-06-22 19:25:38] >>  iteration ${wide(100, 8)}/${wide(10_000, 8)} | consumed samples: ${wide(16, 10)} | consumed tokens: ${wide(1357, 10)} | elapsed time per iteration (ms): 1234.50 | tokens/s: 1018.97 | mfu: 0.31 | learning rate: ${scientific(3e-7)} | global batch size: ${wide(8, 5)} | lm loss: ${scientific(7.123456)} | mtp loss: ${scientific(0)} | aux loss: ${scientific(0.01)} | grad norm: 3.100 | max_memory_allocated(GB): 20.10 | max_memory_reserved(GB): 22.00 | cpu_used_memory(GB): 80.00 | cpu_available_memory(GB): 900.00 | cpu_memory_usage(%): 8.2 |`,
    { consumedTokens: 1357, gradNorm: 3.1 },
  ],
  [
    "MindSpeed-LLM FSDP2, NaN",
    ` iteration ${wide(100, 8)}/${wide(10_000, 8)} | consumed samples: 16 | consumed tokens: 1357 | elapsed time per iteration (ms): 1234.50 | learning rate: ${scientific(3e-7)} | global batch size: 8 | lm loss: NAN | mtp loss: NAN | grad norm: nan |`,
    { loss: Number.NaN, gradNorm: Number.NaN },
  ],
  // mindspeed_llm/fsdp2/train/trainer.py: no total, no bar at the end.
  [
    "MindSpeed-LLM FSDP2's simple trainer",
    "iteration: 100 | consumed samples: 800 | elapsed time per iteration (ms): 1234.5 | throughput(samples/s): 6.5 | learning rate: 1.000000E-05 | global batch size:    8 | lm loss: 7.1235 | grad norm: 1.2340",
    { total: undefined, loss: 7.1235, gradNorm: 1.234 },
  ],
  // Megatron-DeepSpeed (megatron/training.py): tokens, and a reader of its own rates at the end.
  [
    "Megatron-DeepSpeed",
    ` iteration ${wide(100, 8)}/${wide(10_000, 8)} | consumed samples: ${wide(96, 12)} | consumed tokens: ${wide(393_216, 12)} | elapsed time per iteration (ms): 1234.5 | learning rate: 3.000E-04 | global batch size: ${wide(96, 5)} | lm loss: 7.123456E+00 | loss scale: 1.0 | actual seqlen: ${wide(4096, 5)} | number of skipped iterations: ${wide(0, 3)} | number of nan iterations: ${wide(0, 3)} | samples per second: 3.714 | tokens per gpu per second (tgs): 633.832 | TFLOPs: 38.61 |`,
    { consumedTokens: 393_216 },
  ],
  // EleutherAI/gpt-neox (megatron/logging.py): fields in another order, the loss under another name.
  [
    "GPT-NeoX",
    ` samples/sec: 51.234 | iteration ${wide(100, 8)}/${wide(10_000, 8)} | elapsed time per iteration (ms): 1234.5 | learning rate: 1.234E-04 | approx flops per GPU: 150.3TFLOPS | lm_loss: 7.123456E+00 | loss scale: 65536.0 | number of skipped iterations: ${wide(0, 3)} | number of nan iterations: ${wide(0, 3)} |`,
    {},
  ],
  ["a prefix of the launcher's", `[default7]:${megatronLine({ stamp: "" })}`, {}],
  ["srun --label", `0:${megatronLine({})}`, {}],
];

describe("Megatron-LM and its forks, step lines", () => {
  test.each(megatronLines)("%s", (_, line, reading) => {
    for (const adapter of ["megatron", "mindspeed", "deepspeed"] as const) {
      expect(readers[adapter](line)).toMatchObject({ ...usual, ...reading });
    }
  });
});

const megatronPhases: readonly (readonly [string, string | undefined])[] = [
  // megatron/training/checkpointing.py, d98e8a64 and core 0.8.
  ["saving checkpoint at iteration     100 to /ck in torch_dist format", "save"],
  ["  scheduled an async checkpoint save at iteration     100 to /ck", "compute"],
  ["  successfully saved checkpoint from iteration     100 to /ck", "compute"],
  [
    "  [2026-08-22 15:22:22.123456] successfully saved checkpoint from iteration     100 to /ck [ t 1/8, gtp_remat 1/1, p 1/4 ]",
    "compute",
  ],
  ["  [2026-08-22 15:22:22.123456] successfully saved local checkpoint from iteration     100", "compute"],
  [" loading distributed checkpoint from /ck at iteration 100", "load"],
  [" loading checkpoint from /ck at iteration 100", "load"],
  [" loading release checkpoint from /ck", "load"],
  ["  successfully loaded checkpoint from /ck [ t 1/8, p 1/4 ] at iteration 100", "compute"],
  // megatron/training/training.py, evaluate and evaluate_and_print_results.
  ["Evaluating on 1024 samples", "validate"],
  ["Evaluating iter 3/10", "validate"],
  [
    " validation loss at iteration 100 on validation set | lm loss value: 2.500000E+00 | lm loss PPL: 1.218249E+01 | ",
    "compute",
  ],
  [" validation loss at iteration 100 | lm loss value: 2.500000E+00 | lm loss PPL: 1.218249E+01 | ", "compute"],
  // Beside the step line.
  [
    "[Rank 0] (after 2 iterations) memory (MB) | allocated: 18244.6 | max allocated: 41299.5 | reserved: 46764.0",
    undefined,
  ],
  [
    "Theoretical memory footprints: weight and optimizer=12345.67 MB, activation=2345.67 MB, total=14691.34 MB",
    undefined,
  ],
  ["(min, max) time across ranks (ms):", undefined],
  ["    forward-backward ...............................: (1022.33, 1023.44)", undefined],
  ["WARNING: could not find the metadata file /ck/latest_checkpointed_iteration.txt", undefined],
  ["> building train, validation, and test datasets ...", undefined],
  ["[after training is done] datetime: 2026-08-22 15:22:22.123456 ", undefined],
];
test.each(megatronPhases)("Megatron-LM beside its steps: %s", (line, phase) =>
  expect(readers.megatron(line)).toEqual(phase === undefined ? undefined : { says: "phase", phase }),
);

/** torchtitan/components/metrics.py, b5bcd76c of 2026-08-21 (00fbaafa prints the loss with four digits), its logger's prefix. */
function titanLine(loss: string, { hasColours = true, gradNorm = " 2.3456" as string | null } = {}): string {
  const colour = (code: string): string => (hasColours ? `\u001b[${code}m` : "");
  const prefix = "[titan] 2026-08-21 10:00:00,123 - root - INFO - ";
  const norm = gradNorm === null ? "" : `${colour("38;2;180;60;0")}grad_norm: ${gradNorm}  `;
  return `${prefix}${colour("31")}step: ${wide(8, 2)}  ${colour("32")}loss: ${loss}  ${norm}${colour("36")}memory: ${(45.12).toFixed(2).padStart(5)}GiB(56.78%)  ${colour("34")}tps: 5,678  ${colour("36")}tflops: 1,123.45  ${colour("35")}mfu: 39.58%${colour("39")}`;
}
const titanLines: readonly (readonly [string, string, object | undefined])[] = [
  ["of 2026", titanLine(" 7.76543"), { says: "step", step: 8, loss: 7.76543, gradNorm: 2.3456 }],
  [
    "of 2025, without colours",
    titanLine(" 7.7654", { hasColours: false }),
    { step: 8, loss: 7.7654, gradNorm: 2.3456 },
  ],
  ["of 2024, without a norm", titanLine(" 7.7654", { gradNorm: null }), { step: 8, loss: 7.7654, gradNorm: undefined }],
  ["NaN", titanLine("     nan", { gradNorm: "    nan" }), { step: 8, loss: Number.NaN, gradNorm: Number.NaN }],
  ["torchrun's prefix", `[rank0]:${titanLine(" 7.76543")}`, { step: 8, loss: 7.76543 }],
  [
    "a fork that shows the total",
    "[rank0]:2025-04-01 00:25:47,084 - root - INFO - step: 640/644 = 99.3789%  loss:  6.2134  memory: 15.15GiB(32.10%)  tps: 9,876",
    { step: 640, total: 644, loss: 6.2134 },
  ],
  [
    "validation",
    "[titan] x - root - INFO - \u001b[33mvalidate step: 10  \u001b[32mloss:  6.1234  \u001b[36mmemory: 45.12GiB(56.78%)  tps: 1",
    { says: "phase", phase: "validate" },
  ],
  ["saving", "[titan] x - root - INFO - Saving the checkpoint.", { says: "phase", phase: "save" }],
  ["staging", "[titan] x - root - INFO - Staging the checkpoint.", { says: "phase", phase: "save" }],
  [
    "staged",
    "[titan] x - root - INFO - Finished staging the checkpoint in 0.42 seconds.",
    { says: "phase", phase: "compute" },
  ],
  [
    "saved, 2025",
    "Finished saving the checkpoint (or staging if async is enabled)in 5.53 seconds.",
    { phase: "compute" },
  ],
  ["the last one", "Saving a model only checkpoint in torch.bfloat16 at last step, step 100.", { phase: "save" }],
  ["after the last one", "Last step checkpoint completed in 3.21s", { phase: "compute" }],
  ["loading", "Loading the checkpoint from outputs/checkpoint/step-100.", { phase: "load" }],
  ["loading weights", "Loading HF safetensors from --model.hf_assets_path: ./assets", { phase: "load" }],
  ["its first words", "Training starts at step 1.", undefined],
];
test.each(titanLines)("torchtitan %s", (_, line, reading) => {
  const read = readers.torchtitan(line);
  if (reading === undefined) expect(read).toBeUndefined();
  else expect(read).toMatchObject(reading);
});

/** deepspeed edaa7221 of 2026-08-22: utils/logging.py's prefix, runtime/engine.py, runtime/pipe/engine.py, utils/timer.py. */
const log = (where: string, message: string): string => `[2026-08-22 02:06:58,985] [INFO] [${where}] ${message}`;
const deepspeedLines: readonly (readonly [string, string, object | undefined])[] = [
  [
    "progress",
    log("logging.py:107:log_dist", "[Rank 0] step=40, skipped=2, lr=[5e-05, 5e-05], mom=[(0.9, 0.999), (0.9, 0.999)]"),
    { says: "step", step: 40 },
  ],
  [
    "progress without a group",
    log("logging.py:107:log_dist", "[Rank -1] step=40, skipped=0, lr=[5e-05], mom=[[0.9, 0.95]]"),
    { step: 40 },
  ],
  [
    "pipeline",
    "steps: 10 loss: 2.3100 iter time (s): 1.200 samples/sec: 6.667",
    { step: 10, loss: 2.31, seconds: 1.2 },
  ],
  [
    "pipeline with more losses",
    "steps: 200 loss: 5.5508 lm loss: 5.5103 moe loss: 0.0405 iter time (s): 0.936 samples/sec: 136.706",
    { step: 200, loss: 5.5508, seconds: 0.936 },
  ],
  ["pipeline, NaN", "steps: 10 loss: nan iter time (s): 1.200 samples/sec: 6.667", { step: 10, loss: Number.NaN }],
  [
    "a fork with the total",
    "step:    10 /  1000 loss: 2.3100 iter time (s): 1.200 samples/sec: 6.667 eta: 1h20m",
    { step: 10, total: 1000, loss: 2.31 },
  ],
  [
    "throughput",
    log(
      "timer.py:264:stop",
      "epoch=0/micro_step=34/global_step=34, RunningAvgSamplesPerSec=7.8, CurrSamplesPerSec=7.7, MemAllocated=18.2GB, MaxMemAllocated=41.3GB",
    ),
    { step: 34 },
  ],
  [
    "its timers are none",
    log(
      "logging.py:107:log_dist",
      "[Rank 0] time (ms) | fwd_microstep: 6567.68 | bwd_microstep: 17950.36 | step_microstep: 1139.27",
    ),
    undefined,
  ],
  [
    "its memory is none",
    log("timer.py:270:stop", "epoch=0/micro_step=34/global_step=34, vm %: 12.3, swap %: 0.0"),
    undefined,
  ],
  [
    "saving",
    log("logging.py:107:log_dist", "[Rank 0] Saving model checkpoint: ck/global_step40/mp_rank_00_model_states.pt"),
    { says: "phase", phase: "save" },
  ],
  [
    "saving a shard",
    log(
      "torch_checkpoint_engine.py:21:save",
      "[Torch] Saving ck/global_step40/zero_pp_rank_0_mp_rank_00_optim_states.pt...",
    ),
    { phase: "save" },
  ],
  [
    "saved",
    log("torch_checkpoint_engine.py:33:commit", "[Torch] Checkpoint global_step40 is ready now!"),
    { phase: "compute" },
  ],
];
test.each(deepspeedLines)("DeepSpeed %s", (_, line, reading) => {
  const read = readers.deepspeed(line);
  if (reading === undefined) expect(read).toBeUndefined();
  else expect(read).toMatchObject(reading);
});

const bar = (percent: number): string => `${"█".repeat(percent / 10)}${" ".repeat(10 - percent / 10)}`;
const plainLines: readonly (readonly [string, string, object | undefined])[] = [
  [
    "nanoGPT train.py",
    "iter 10: loss 10.1234, time 123.45ms, mfu 12.34%",
    { step: 10, loss: 10.1234, seconds: 0.12345 },
  ],
  ["nanoGPT, its evaluation", "step 250: train loss 2.3100, val loss 2.4500", { step: 250, loss: 2.31 }],
  [
    "MaxText",
    "completed step: 12, seconds: 1.234, TFLOP/s/device: 201.000, Tokens/s/device: 9000.000, total_weights: 8192, loss: 5.400",
    { step: 12, loss: 5.4, seconds: 1.234 },
  ],
  [
    "loguru",
    "2026-01-01 10:00:00.123 | INFO     | trainer:train:42 - step 12/100 loss 2.31",
    { step: 12, total: 100, loss: 2.31 },
  ],
  [
    "logging",
    "2026-01-01 10:00:00,123 - INFO - step=12 loss=2.31 grad_norm=0.5",
    { step: 12, loss: 2.31, gradNorm: 0.5 },
  ],
  ["torchrun --tee", "[default3]:step 12 loss 2.31", { step: 12, loss: 2.31 }],
  ["rank in brackets", "[rank0]: step 12, loss: 2.31", { step: 12, loss: 2.31 }],
  ["JSON lines", '{"time": "10:00", "step": 7, "train_loss": 2.5, "grad_norm": 0.5}', { step: 7, loss: 2.5 }],
  // Lightning's TQDMProgressBar (callbacks/progress/tqdm_progress.py) with prog_bar=True; carriage returns end its lines.
  [
    "Lightning",
    `Epoch 3:  40%|${bar(40)}| 40/100 [00:04<00:06,  9.85it/s, v_num=0, train_loss=0.123]`,
    { step: 340, loss: 0.123 },
  ],
  [
    "Lightning, the step's loss",
    `Epoch 0: 100%|${bar(100)}| 100/100 [00:10<00:00,  9.85it/s, v_num=0, train_loss_step=1.5, train_loss_epoch=1.7]`,
    { step: 100, loss: 1.5 },
  ],
  [
    "Lightning, validating",
    `Validation DataLoader 0:  10%|${bar(10)}| 1/10 [00:00<00:01,  9.00it/s]`,
    { says: "phase", phase: "validate" },
  ],
  // transformers/trainer.py: no step beside its loss, so none is read; what it begins is.
  ["Hugging Face's losses", "{'loss': 2.3152, 'grad_norm': 1.05, 'learning_rate': 4.9e-05, 'epoch': 0.08}", undefined],
  [
    "Hugging Face, saving",
    "[INFO|trainer.py:4307] 2026-01-01 10:00:00,123 >> Saving model checkpoint to out/checkpoint-500",
    { says: "phase", phase: "save" },
  ],
  ["Hugging Face, evaluating", "***** Running Evaluation *****", { says: "phase", phase: "validate" }],
  ["a loss of validation alone", "step 12 val loss 2.31", undefined],
  ["shards being loaded", `Loading checkpoint shards: 100%|${bar(100)}| 4/4 [00:10<00:00,  2.50s/it]`, undefined],
  ["tokens being counted", `Map:  40%|${bar(40)}| 400/1000 [00:04<00:06, 98.5 examples/s]`, undefined],
];
test.each(plainLines)("plain: %s", (_, line, reading) => {
  const read = readers.plain(withoutColours(line));
  if (reading === undefined) expect(read).toBeUndefined();
  else expect(read).toMatchObject(reading);
});

test("no reader takes long over a hostile line", () => {
  const lines = [
    "iteration 1/ 2 |".repeat(1000),
    "step 1 ".repeat(2300),
    `Epoch 1: 1%|${"x".repeat(16_000)}`,
    `steps: 1 loss: 1 ${"a ".repeat(8000)}`,
    "loss ".repeat(3200),
    " a".repeat(8000),
  ];
  for (const read of Object.values(readers)) for (const line of lines) expect(() => read(line)).not.toThrow();
});
