/**
 * Tells what an export holds, in lines.
 * Knows: the port report. Does not know: terminals, how it was written.
 */
import type { PortReport } from "../../porting/port.ts";
import { hanging, type Line, line, table } from "./layout.ts";
import { bytes, decimal } from "./quantities.ts";

export function portLines({
  source,
  destination,
  format,
  platform,
  onnx,
  parameters,
  files,
  ...report
}: PortReport): Line[] {
  const from = source.step === undefined ? source.path : `step ${source.step} of ${source.run ?? source.path}`;
  return [
    line(`ported to ${destination}`, "good"),
    ...hanging("  from    ", `${from}, weights ${source.weightsSha256.slice(0, 12)}`),
    ...hanging("  weights ", `${decimal(parameters)} parameters in ${format}, ${bytes(report.bytes)} in all`),
    ...hanging(
      "  graphs  ",
      `${onnx.operators.length} ONNX operators of set ${onnx.operatorSet}, all known to ${platform}'s toolkit`,
    ),
    ...table(
      ["  file", "bytes", "sha256"],
      files.map((file) => [`  ${file.name}`, String(file.bytes), file.sha256.slice(0, 12)]),
      [1],
    ),
    line(`next: dualgauge compare ${source.path} ${destination} --prompts prompts.txt`),
  ];
}
