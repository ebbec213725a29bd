/**
 * The parts of `dualgauge port` that work on Hugging Face checkpoints of any size: convert, plan, verify.
 * Knows: their order and exit codes. Does not know: options' names (port.ts), formats (porting/convert).
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { AscendChip } from "../catalog/ascend-serving.ts";
import { openCheckpointSource } from "../porting/convert/checkpoint-source.ts";
import { describeConversion, type PlannedFormat } from "../porting/convert/conversion-plan.ts";
import { type ConversionRequest, convert } from "../porting/convert/convert.ts";
import { verifyConversion } from "../porting/convert/verify-conversion.ts";
import { printDocument, words } from "./output.ts";
import { conversionLines, planLines, verifyLines } from "./render/conversion.ts";
import { line } from "./render/layout.ts";

interface Output {
  readonly json: boolean | undefined;
  readonly signal: AbortSignal;
}

/** A directory with weights of somebody else's making: no checkpoint, no run, no export of the embedded engine. */
export function isHuggingFace(path: string): boolean {
  const has = (name: string): boolean => existsSync(join(path, name));
  return has("config.json") && !has("manifest.json") && !has("prefill.onnx");
}

function isExport(path: string): boolean {
  return existsSync(join(path, "config.json")) && !existsSync(join(path, "manifest.json"));
}

export async function runConversion(
  request: Omit<ConversionRequest, "source" | "onProgress" | "signal"> & { readonly source: string },
  { json, signal }: Output,
): Promise<void> {
  // A checkpoint's own file is read: no export in between, so weights go from float32 to signed bytes in one rounding.
  const source = isHuggingFace(request.source) || isExport(request.source) ? request.source : undefined;
  const opened = source ?? (await openCheckpointSource(request.source));
  const report = await convert({ ...request, source: opened, signal, onProgress });
  if (json) printDocument(report);
  else words({}).print(conversionLines(report, request.destination));
}

export function runPlan(
  request: { source: string; format: PlannedFormat; capacityTokens?: number | undefined },
  target: { chip: AscendChip; toolkit: string },
  { json }: Pick<Output, "json">,
): void {
  const plan = describeConversion(request, target);
  if (json) printDocument(plan);
  else words({}).print(planLines(plan));
  if (!plan.runs) process.exitCode = 1;
}

export async function runVerify(path: string, { json, signal }: Output): Promise<void> {
  const report = await verifyConversion(path, { signal, onProgress });
  if (json) printDocument(report);
  else words({}).print(verifyLines(report));
  if (report.problems.length > 0) process.exitCode = 1;
}

function onProgress(text: string): void {
  words({ json: true }).print([line(text, "quiet")]);
}
