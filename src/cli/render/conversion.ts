/**
 * Tells what a conversion wrote, would write, or what became of it since, in lines.
 * Knows: the three reports. Does not know: terminals, how they came about.
 */
import type { ConversionPlan } from "../../porting/convert/conversion-plan.ts";
import type { ConversionReport } from "../../porting/convert/convert.ts";
import type { VerifyReport } from "../../porting/convert/verify-conversion.ts";
import { hanging, type Line, line, table } from "./layout.ts";
import { bytes, decimal } from "./quantities.ts";

export function conversionLines(report: ConversionReport, destination: string): Line[] {
  const quantized = report.quantizedTensors > 0 ? `, ${report.quantizedTensors} of them in signed bytes` : "";
  return [
    line(`ported to ${destination}`, "good"),
    ...hanging("  from    ", `${report.source.path} (${report.source.modelType})`),
    ...hanging("  weights ", `${decimal(report.parameters)} parameters, ${report.tensors} tensors${quantized}`),
    ...hanging(
      "  size    ",
      `${bytes(report.bytes)} in ${report.files.length} files, each with its SHA-256 in port.json`,
    ),
    line(`next: dualgauge port --verify ${destination}`),
  ];
}

export function planLines({ source, format, target, types, checks, ...plan }: ConversionPlan): Line[] {
  return [
    line(`${source.modelType}, ${bytes(source.bytes)}, to ${format}: ${bytes(plan.bytes)} in ${plan.shards} shards`),
    ...table(
      ["  type", "tensors", "bytes"],
      types.map((type) => [`  ${type.dtype}`, String(type.tensors), bytes(type.bytes)]),
      [1, 2],
    ),
    line(`on ${target.chip} with CANN ${target.toolkit}`),
    ...table(
      ["  needs", "there", "why"],
      checks.map(({ need, has, why }) => [`  ${need}`, has, why]),
      [],
    ),
    plan.runs ? line("it can run there", "good") : line("it cannot run there", "bad"),
  ];
}

export function verifyLines({ path, files, tensors, problems, ...report }: VerifyReport): Line[] {
  if (problems.length > 0)
    return [line(`${path} is not what was written`, "bad"), ...problems.map((one) => line(`  ${one}`))];
  return [line(`${path}: ${files} files, ${tensors} tensors, ${bytes(report.bytes)}, all as written`, "good")];
}
