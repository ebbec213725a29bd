/**
 * One look at all NVIDIA devices of this host: `nvidia-smi`'s two queries and new Xids in the kernel's log.
 * Knows: the order of the queries, which answers are no answer. Does not know: thresholds, when to look again.
 */
import type { DeviceFinding } from "./device-findings.ts";
import type { DeviceReading } from "./device-reading.ts";
import type { Look, LookMemory } from "./look.ts";
import {
  exitMeaning,
  isUnknownField,
  lostDevices,
  nvidiaQueries,
  parseDevices,
  parseRows,
  parseXids,
} from "./nvidia-smi.ts";
import type { ToolResult, Tools } from "./run-tool.ts";

export const nvidiaTool = "nvidia-smi";

export async function lookAtNvidia(tools: Tools, memory: LookMemory): Promise<Look> {
  let result = await tools.run(nvidiaTool, nvidiaQueries.devices(memory.isOld));
  if (result.state === "done" && isUnknownField(result.stdout + result.stderr)) {
    memory.isOld = !memory.isOld;
    result = await tools.run(nvidiaTool, nvidiaQueries.devices(memory.isOld));
  }
  if (result.state === "absent") return { state: "absent" };
  if (result.state === "failed") return { state: "seen", readings: [], findings: [unreadable(result.why)] };
  const readings = parseDevices(result.stdout);
  const findings = lostFindings(result, memory.readings);
  if (result.code === 15 && findings.length === 0)
    findings.push({ device: undefined, code: "lost", says: whyNothing(result) });
  if (readings.length === 0 && findings.length === 0) findings.push(unreadable(whyNothing(result)));
  const rows = readings.length === 0 ? undefined : await tools.run(nvidiaTool, nvidiaQueries.rows);
  findings.push(...(await newXids(tools, memory, readings)));
  // Devices before Ampere have no rows to remap, and old drivers no such query: that says nothing against them.
  if (rows?.state !== "done") return { state: "seen", readings, findings };
  const byBus = parseRows(rows.stdout);
  const whole = readings.map((reading) => {
    const row = byBus.get(reading.busId ?? "");
    return row === undefined
      ? reading
      : { ...reading, remapPending: reading.remapPending || row.pending, remapFailed: row.failed };
  });
  return { state: "seen", readings: whole, findings };
}

const unreadable = (why: string): DeviceFinding => ({
  device: undefined,
  code: "unreadable",
  says: `${nvidiaTool} ${why}`,
});

function lostFindings(
  result: Extract<ToolResult, { state: "done" }>,
  before: readonly DeviceReading[],
): DeviceFinding[] {
  return lostDevices(`${result.stdout}\n${result.stderr}`).map(({ busId, says }) => ({
    device: before.find((reading) => busId !== undefined && reading.busId === busId),
    code: "lost",
    says,
  }));
}

function whyNothing({ code, stdout, stderr }: Extract<ToolResult, { state: "done" }>): string {
  const meaning = exitMeaning(code);
  const said = (stdout + stderr).trim().split("\n")[0]?.slice(0, 200) ?? "";
  const how = code === 0 ? "printed no device" : `ended with ${code}`;
  return [how, ...(meaning === undefined ? [] : [meaning]), ...(said === "" ? [] : [said])].join(": ");
}

/** What the driver has written since the last look; the first look only notes where the log ends. Without the right to read it: nothing. */
async function newXids(tools: Tools, memory: LookMemory, readings: readonly DeviceReading[]): Promise<DeviceFinding[]> {
  const log = await tools.run("dmesg", []);
  if (log.state !== "done" || log.code !== 0) return [];
  const known = memory.kernelSeconds;
  const lastStamp = /^(?:<\d+>)?\[\s*(\d+\.\d+)\]/.exec(log.stdout.trimEnd().split("\n").at(-1) ?? "")?.[1];
  memory.kernelSeconds = Math.max(known ?? 0, Number(lastStamp ?? 0));
  if (known === undefined) return [];
  return parseXids(log.stdout)
    .filter(({ seconds }) => seconds > known)
    .map(({ busId, says }) => ({
      device: [...readings, ...memory.readings].find((reading) => busId !== undefined && reading.busId === busId),
      code: "xid",
      says,
    }));
}
