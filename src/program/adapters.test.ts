/** Lines as the frameworks print them, and near misses that must not be taken for a step. */
import { describe, expect, test } from "vitest";
import { readers } from "./adapters.ts";
import { number } from "./reading.ts";

const megatron =
  " [2026-08-22 15:22:22.123456] iteration      100/   10000 | consumed samples:       102400 | elapsed time per iteration (ms): 1234.5 | throughput per GPU (TFLOP/s/GPU): 412.3 | learning rate: 1.500000E-04 | global batch size:  1024 | lm loss: 7.123456E+00 | loss scale: 1.0 | grad norm: 1.234 | number of skipped iterations:   0 | number of nan iterations:   0 |";

describe("Megatron-LM", () => {
  test("a training line", () => {
    expect(readers.megatron(megatron)).toEqual({
      ...{ says: "step", step: 100, total: 10_000, loss: 7.123456, gradNorm: 1.234, seconds: 1.2345 },
      ...{ consumedTokens: undefined, skipped: 0, nanSteps: 0 },
    });
  });
  test("a missing loss field is NaN, but not where the steps were skipped", () => {
    const without = megatron.replace(/ lm loss: \S+ \|/, "");
    expect(readers.megatron(without)).toMatchObject({ step: 100, loss: Number.NaN });
    expect(readers.megatron(without.replace("skipped iterations:   0", "skipped iterations:   1"))).toMatchObject({
      loss: undefined,
      skipped: 1,
    });
  });
  test("MindSpeed's line, with consumed tokens", () => {
    const line =
      "INFO [2026-06-22 19:25:38] >>  iteration        2/    2000 | consumed samples:         16 | consumed tokens:       1357 | elapsed time per iteration (ms): 1331.74 | learning rate: 3.333333E-07 | global batch size:     8 | lm loss: 2.443476E+00 | grad norm: 3.1";
    expect(readers.mindspeed(line)).toMatchObject({ step: 2, consumedTokens: 1357, gradNorm: 3.1, seconds: 1.33174 });
  });
  test.each([
    ["saving checkpoint at iteration     100 to /ck in torch_dist format", "save"],
    ["  successfully saved checkpoint from iteration     100 to /ck [ t 1/8, p 1/4 ]", "compute"],
    ["Evaluating on 1024 samples", "validate"],
    [" loading distributed checkpoint from /ck at iteration 100", "load"],
  ])("%s", (line, phase) => expect(readers.megatron(line)).toEqual({ says: "phase", phase }));
  test.each([
    "iteration 5 failed | retrying",
    "the iteration 12 | of the book",
    "iteration 99999999999999999999/ 1 | elapsed time per iteration (ms): 1 |",
  ])("%s is no step", (line) => expect(readers.megatron(line)).toBeUndefined());
});

test("torchtitan, coloured", () => {
  const line =
    "\u001b[31mstep: 10  \u001b[32mloss:  7.76543  \u001b[38;2;180;60;0mgrad_norm:  2.3456  \u001b[36mmemory: 45.12GiB(56.78%)  \u001b[34mtps: 5,678  tflops: 123.45  mfu: 39.58%\u001b[39m";
  expect(readers.torchtitan(line)).toEqual({ says: "step", step: 10, loss: 7.76543, gradNorm: 2.3456 });
  expect(readers.torchtitan("Saving the checkpoint (or staging if async is enabled).")).toMatchObject({
    phase: "save",
  });
});

test("DeepSpeed: engine, pipeline and timer lines", () => {
  expect(
    readers.deepspeed(
      "[2022-03-11 02:06:58,985] [INFO] [logging.py:69:log_dist] [Rank 0] step=40, skipped=2, lr=[5e-05], mom=[[0.9, 0.999]]",
    ),
  ).toEqual({ says: "step", step: 40 });
  expect(readers.deepspeed("steps: 10 loss: 2.3100 iter time (s): 1.200 samples/sec: 6.6")).toEqual({
    ...{ says: "step", step: 10, loss: 2.31, seconds: 1.2 },
  });
  expect(readers.deepspeed("epoch=0/micro_step=34/global_step=34, RunningAvgSamplesPerSec=7.8")).toMatchObject({
    step: 34,
  });
});

describe("plain", () => {
  test.each([
    ["step 12/100 loss 2.31", { step: 12, total: 100, loss: 2.31 }],
    ["iter 10: loss 10.1234, time 123.45ms, mfu 12.34%", { step: 10, loss: 10.1234, seconds: 0.12345 }],
    ["completed step: 12, seconds: 1.234, TFLOP/s/device: 201.000, loss: 5.4", { step: 12, seconds: 1.234, loss: 5.4 }],
    ['{"step": 7, "loss": 2.5, "grad_norm": 0.5}', { step: 7, loss: 2.5, gradNorm: 0.5 }],
    ["global_step=3 train_loss=nan", { step: 3, loss: Number.NaN }],
  ])("%s", (line, reading) => expect(readers.plain(line)).toMatchObject(reading));
  test.each(["step 1: loading data", "loss function built", "time step 3.5 loss 1", "footstep 3 loss 2", ""])(
    "%s is no step",
    (line) => expect(readers.plain(line)).toBeUndefined(),
  );
});

test("numbers", () => {
  expect(["1,234.5", "7E-1", "-inf", "nan", "0x1", "", "1e999"].map((text) => number(text))).toEqual([
    ...[1234.5, 0.7, Number.NEGATIVE_INFINITY, Number.NaN, undefined, undefined, Number.POSITIVE_INFINITY],
  ]);
});
