/**
 * Predicts published training runs and says how far off each prediction is.
 * Knows: which constants a row may be predicted with. Does not know: files, tables.
 */
import { calibration } from "../catalog/calibration.ts";
import { constantsWithout } from "../catalog/calibration-left-out.ts";
import { constantsFrom } from "../cost/constants.ts";
import { parameterCounts } from "../spec/parameter-counts.ts";
import { accuracyBadge, type RunTraits } from "./accuracy.ts";
import { type PreparedCase, predictCase, prepareCase } from "./training-case.ts";
import { configurationKey, type TrainingCase, TrainingRow, trainingCase } from "./training-rows.ts";
import type { ValidationRow } from "./validate.ts";

/** One row: predicted with the constants fitted without its configuration when it is a published one, else with the committed ones. */
export function validateTrainingRow(value: unknown): ValidationRow {
  const parsed = TrainingRow.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    return unpredicted(value, `${issue?.path.join(".") ?? "row"}: ${issue?.message ?? "not a training run"}`);
  }
  const run = trainingCase(parsed.data);
  if ("reason" in run) return unpredicted(value, run.reason);
  return validateCase(run);
}

/** The same for a case that has been read already. */
export function validateCase(run: TrainingCase): ValidationRow {
  const known = {
    id: run.id,
    measured: run.measured,
    quantity: run.quantity,
    family: run.family,
    accelerator: run.accelerator,
  };
  const nothing = { ...known, predicted: null, error: null, basis: null };
  const prepared = prepareCase(run);
  if ("reason" in prepared) return { ...nothing, reason: prepared.reason };
  const key = configurationKey(run);
  const { predicted, low, high } = predictCase(prepared, constantsFrom(constantsWithout(key) ?? calibration.constants));
  if (!Number.isFinite(predicted))
    return { ...nothing, reason: "the model gives no finite figure for this configuration" };
  return {
    ...known,
    predicted,
    error: Math.abs(predicted - run.measured) / run.measured,
    basis: accuracyBadge(traitsOf(prepared), key).basis,
    range: [low, high],
  };
}

/** What a case is compared by when its nearest neighbours are looked up. */
export function traitsOf({ run, settings }: PreparedCase): RunTraits {
  const counts = run.architecture ? parameterCounts(run.architecture) : null;
  return {
    accelerator: run.accelerator,
    stack: run.stack,
    precision: run.precision === "fp16" ? "bf16" : run.precision,
    mixture: run.architecture?.moe !== null && run.architecture?.moe !== undefined,
    activeParameters: counts?.active ?? 1,
    devices: run.devices ?? settings[0]?.devices ?? 1,
    seq: run.seq ?? settings[0]?.seq ?? 4096,
  };
}

function unpredicted(value: unknown, reason: string): ValidationRow {
  const text = (key: string): string => {
    const field =
      typeof value === "object" && value !== null
        ? Object.entries(value).find(([name]) => name === key)?.[1]
        : undefined;
    return typeof field === "string" ? field : "unknown";
  };
  return {
    id: text("id"),
    predicted: null,
    measured: null,
    quantity: null,
    error: null,
    basis: null,
    family: text("family"),
    accelerator: text("accelerator"),
    reason,
  };
}
