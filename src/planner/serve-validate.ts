/**
 * Scores published inference rows: predicted, measured, error, and whether the answer interpolates.
 * Knows: which constants a row may be scored with. Does not know: where rows come from, how results are shown.
 */
import { findAccelerator } from "../catalog/accelerators.ts";
import { inferenceErrors } from "../catalog/data/inference-errors.ts";
import { inferenceFit } from "../catalog/data/inference-fit.ts";
import { type InferenceConstants, inferenceConstants } from "../catalog/inference-constants.ts";
import { findModel } from "../catalog/models.ts";
import { parameterCounts } from "../spec/parameter-counts.ts";
import { type Likeness, servingAccuracy } from "./serve-accuracy.ts";
import { predictRow } from "./serve-predict.ts";
import { type PreparedRow, prepareRow } from "./serve-readings.ts";
import { InferenceRow, rowFingerprint } from "./serve-rows.ts";
import type { ValidationRow } from "./validate.ts";

/** Whether a row of unknown kind is about inference: it has the fields that only such rows have. */
export function isInferenceRow(row: unknown): boolean {
  return typeof row === "object" && row !== null && ("phase" in row || "isl" in row || "tput_out_per_dev" in row);
}

/** Index of the left-out fit of each public row, by fingerprint. */
const leftOutOf = new Map<number, number>(
  inferenceFit.leftOut.flatMap(([prints], index) => prints.map((print) => [print, index] as const)),
);

/** Constants fitted without the row's configuration when the row is a public one; the committed ones otherwise. */
export function constantsFor(row: InferenceRow): InferenceConstants {
  const index = leftOutOf.get(rowFingerprint(row));
  const deltas = index === undefined ? undefined : inferenceFit.leftOut[index]?.[1];
  if (!deltas) return inferenceConstants;
  const changed: Record<string, number> = { ...inferenceConstants };
  for (let i = 0; i + 1 < deltas.length; i += 2) {
    const name = inferenceFit.names[deltas[i] ?? -1];
    if (name) changed[name] = (changed[name] ?? 1) * Math.exp((deltas[i + 1] ?? 0) / 1000);
  }
  return changed;
}

/** What makes a prepared row like a published configuration. */
export function likenessOf(prepared: PreparedRow): Likeness {
  const system = prepared.readings[0];
  const architecture = findModel(prepared.modelId)?.architecture();
  return {
    accelerator: system?.accelerator.id ?? "",
    chip: system?.chip ?? "",
    engine: system?.engine.family ?? "vllm",
    kind: system?.shape.latent ? "latent" : system?.shape.experts ? "mixture" : "dense",
    parameters: architecture ? parameterCounts(architecture).total : 0,
    format: system?.format.name ?? "",
    devices: system?.split.devices ?? 1,
    promptTokens: prepared.promptTokens,
    outputTokens: prepared.outputTokens,
  };
}

/** Scores rows in order; a row that does not parse or cannot be predicted comes back with its reason. */
export function validateInference(rows: readonly unknown[]): ValidationRow[] {
  return rows.map(validateOne);
}

function validateOne(given: unknown, index: number): ValidationRow {
  const parsed = InferenceRow.safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue ? `${issue.path.join(".")}: ${issue.message}` : "does not parse";
    return unpredicted(`row ${index + 1}`, "unknown", "unknown", `not an inference row: ${where}`);
  }
  const row = parsed.data;
  const family = row.group ?? "unknown";
  const accelerator = findAccelerator(row.accelerator)?.id ?? row.accelerator;
  try {
    const preparation = prepareRow(row);
    if ("reason" in preparation) return unpredicted(row.id, family, accelerator, preparation.reason);
    const { ready } = preparation;
    const { predicted, low, high } = predictRow(ready, constantsFor(row));
    if (!Number.isFinite(predicted))
      return unpredicted(row.id, family, accelerator, "no reading of the row gives a finite figure");
    const { measured, quantity } = ready.measurement;
    return {
      id: row.id,
      predicted,
      measured,
      quantity,
      error: Math.abs(predicted - measured) / measured,
      basis: servingAccuracy(likenessOf(ready), ownConfiguration(row)).basis,
      family,
      accelerator,
      ...(high > low ? { range: [low, high] as const } : {}),
    };
  } catch (error) {
    return unpredicted(row.id, family, accelerator, error instanceof Error ? error.message : String(error));
  }
}

function ownConfiguration(row: InferenceRow): string | undefined {
  const index = leftOutOf.get(rowFingerprint(row));
  return index === undefined ? undefined : inferenceErrors[index]?.[0];
}

function unpredicted(id: string, family: string, accelerator: string, reason: string): ValidationRow {
  return {
    id,
    predicted: null,
    measured: null,
    quantity: null,
    error: null,
    basis: null,
    reason,
    family,
    accelerator,
  };
}
