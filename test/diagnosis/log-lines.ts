/** Lines of healthy training logs, as Megatron-LM prints them. */
const pad = (n: number): string => String(n).padStart(2, "0");

export const tick = (minute: number): string => `[2026-11-24 10:${pad(minute % 60)}:00.123456]`;

/** One iteration line. */
export const iteration = (n: number, loss = "2.443476E+00"): string =>
  ` ${tick(n % 20)} iteration ${String(n).padStart(8)}/   10000 | consumed samples: ${String(n * 1024).padStart(12)} | elapsed time per iteration (ms): 1234.5 | throughput per GPU (TFLOP/s/GPU): 412.3 | learning rate: 1.500000E-04 | global batch size:  1024 | lm loss: ${loss} | loss scale: 1.0 | grad norm: 1.234 | number of skipped iterations:   0 | number of nan iterations:   0 |`;
