/**
 * Reads what most hand-written training loops print: a line that names a step and its loss, or one that says what begins now.
 * Knows: the common forms (nanoGPT, MaxText, `key=value`, JSON lines). Does not know: ranks, time. A step without a loss on its
 * line is not taken for one: "step 1: loading data" is no progress.
 */
import { number, type Reading, stepNumber } from "./reading.ts";

const figure = String.raw`[-+]?(?:\d[\d,]*\.?\d*(?:e[-+]?\d+)?|nan|inf(?:inity)?)\b`;
const stepName = "(?:global[_ ]?step|train[_ ]?step|step|iteration|iter)s?";
const step = new RegExp(
  String.raw`(?:^|[\s[({,|"':>\]])(?:completed )?${stepName}["']?\s*[:=#]?\s*(\d{1,15})(?:\s*\/\s*(\d{1,15}))?(?![\d.])`,
  "i",
);
const loss = new RegExp(
  String.raw`(?<!\b(?:val|valid|validation|eval|evaluation|test|dev)[ _-]?)(?:^|[\s[({,|"'])(?:train(?:ing)?[_ ]?)?loss["']?\s*[:=]?\s*(${figure})`,
  "i",
);
const gradNorm = new RegExp(String.raw`\bgrad(?:ient)?[_ ]?norm["']?\s*[:=]?\s*(${figure})`, "i");
const milliseconds = new RegExp(
  String.raw`\b(?:time|dt|elapsed)["']?\s*[:=]?\s*(${figure.replace(String.raw`\b`, "")})\s*ms\b`,
  "i",
);
const seconds = new RegExp(String.raw`\b(?:seconds|(?:iter |step )?time \(s\))["']?\s*[:=]\s*(${figure})`, "i");

/** Said before a silence: "Saving model checkpoint to …", "***** Running Evaluation *****", "evaluating on 100 batches". */
const saving =
  /^[^{]{0,120}?\bsaving (?:(?:the|a|model|full|training|optimizer) ){0,2}(?:checkpoint|model|state|weights)\b/i;
const validating =
  /^[^{]{0,120}?\b(?:running (?:evaluation|validation|prediction)|evaluating|validating|start(?:ing)? (?:evaluation|validation)|evaluation (?:begins|started)|validation dataloader \d+:)/i;

/**
 * Lightning's progress bar: `Epoch 3:  45%|████▌     | 45/100 [00:04<00:05,  9.85it/s, v_num=0, train_loss=0.123]`. It counts
 * batches and begins anew with each epoch.
 */
const lightning =
  /\bEpoch (\d{1,9})(?:\/-?\d+)?:\s+\d+%\|[^|]*\|\s*(\d{1,9})\/(\d{1,9}) \[[^\]]*?\b(?:train_)?loss(?:_step)?=([^,\]\s]+)/;

/** `step 12/100 loss 2.31`, `iter 10: loss 10.12, time 123.45ms`, `{"step": 12, "loss": 2.3}`. */
export function readPlain(line: string): Reading | undefined {
  const bar = line.includes("Epoch ") ? lightning.exec(line) : null;
  if (bar !== null) {
    const [, epoch, batch, batches, shown] = bar.map(String);
    return { says: "step", step: Number(epoch) * Number(batches) + Number(batch), loss: number(shown) };
  }
  const at = step.exec(line);
  const found = at === null ? null : loss.exec(line);
  const value = stepNumber(at?.[1]);
  if (at === null || found === null || value === undefined) return phaseOf(line);
  const elapsed = number(milliseconds.exec(line)?.[1]);
  return {
    says: "step",
    step: value,
    total: stepNumber(at[2]),
    loss: number(found[1]),
    gradNorm: number(gradNorm.exec(line)?.[1]),
    seconds: elapsed === undefined ? number(seconds.exec(line)?.[1]) : elapsed / 1000,
  };
}

function phaseOf(line: string): Reading | undefined {
  if (saving.test(line)) return { says: "phase", phase: "save" };
  return validating.test(line) ? { says: "phase", phase: "validate" } : undefined;
}
