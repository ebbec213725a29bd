/**
 * One look at all Ascend devices of this host: `npu-smi info`, and what it says of each chip alone.
 * Knows: the order of the queries, and that each of them takes about a second. Does not know: thresholds, when to look again.
 */
import type { DeviceFinding } from "./device-findings.ts";
import type { DeviceReading } from "./device-reading.ts";
import type { Look, LookMemory } from "./look.ts";
import { type NpuRow, npuDetails, npuQuery, npuTable, parseDetail, parseTable } from "./npu-smi.ts";
import type { Tools } from "./run-tool.ts";

export const ascendTool = "npu-smi";

export async function lookAtAscend(tools: Tools, memory: LookMemory): Promise<Look> {
  const result = await tools.run(ascendTool, npuTable);
  if (result.state === "absent") return { state: "absent" };
  const why = result.state === "failed" ? result.why : undefined;
  if (why !== undefined || result.state !== "done")
    return { state: "seen", readings: [], findings: [unreadable(why ?? "")] };
  const rows = parseTable(result.stdout);
  if (rows.length === 0) {
    const said = (result.stdout + result.stderr).trim().split("\n")[0]?.slice(0, 200) ?? "";
    return { state: "seen", readings: [], findings: [unreadable(`ended with ${result.code} and no device: ${said}`)] };
  }
  const readings: DeviceReading[] = [];
  const findings: DeviceFinding[] = [];
  for (const row of rows) {
    const detailed = await details(tools, row);
    // One that does not answer is not asked about the rest: each question may take as long again.
    if (typeof detailed === "string") {
      findings.push(unreadable(`of NPU ${row.npu} ${detailed}`));
      const before = memory.readings.find(({ index }) => index === row.index);
      readings.push({ ...row, uncorrectable: before?.uncorrectable });
    } else readings.push(detailed);
  }
  return { state: "seen", readings, findings };
}

async function details(tools: Tools, row: NpuRow): Promise<DeviceReading | string> {
  let reading: DeviceReading = row;
  for (const detail of npuDetails) {
    const result = await tools.run(ascendTool, npuQuery(detail, row.npu));
    if (result.state === "failed") return result.why;
    // A detail that this card or version does not have is refused; that says nothing against it.
    if (result.state === "done" && result.code === 0)
      reading = { ...reading, ...parseDetail(detail, result.stdout, row) };
  }
  return reading;
}

const unreadable = (why: string): DeviceFinding => ({
  device: undefined,
  code: "unreadable",
  says: `${ascendTool} ${why}`,
});
