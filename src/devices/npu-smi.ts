/**
 * Reads what `npu-smi info` prints: its table of all chips, and `-t ecc`, `health`, `common` and `memory` of one.
 * Knows: the forms of npu-smi 23.0 to 26.0, with and without a DDR and a Phy-ID column. Does not know: how it is started, what a
 * reading means.
 */
import { blankReading, busIdOf, type DeviceReading, figure } from "./device-reading.ts";

export const npuTable: readonly string[] = ["info"];
export const npuDetails = ["ecc", "health", "common", "memory"] as const;
export type NpuDetail = (typeof npuDetails)[number];
export const npuQuery = (detail: NpuDetail, npu: number): string[] => ["info", "-t", detail, "-i", String(npu)];

/** A chip of the table; `npu` is its card, which the other queries ask for. */
export interface NpuRow extends DeviceReading {
  readonly npu: number;
}

/**
 * Chips of `npu-smi info`, numbered in the order of the table as CANN numbers devices. Each has two rows: of its card
 * (`| 0     910B3 | OK | 101.8  43  0 / 0 |`) and of the chip (`| 0 | 0000:C1:00.0 | 0  0 / 0  3318 / 65536 |`). The table of
 * processes below it has no such pair.
 */
export function parseTable(output: string): NpuRow[] {
  const found: NpuRow[] = [];
  let card:
    | { npu: number; model: string; health: string; watts: number | undefined; celsius: number | undefined }
    | undefined;
  for (const line of output.split("\n")) {
    if (!line.startsWith("|")) continue;
    const cells = line.split("|").map((cell) => cell.trim());
    const [, head = "", second = "", third = ""] = cells;
    if (cells.length !== 5) continue;
    // A model's name is more than a number, which the chip's second column is.
    const named = /^(\d{1,4})\s+(\S*[^\d\s].*)$/.exec(head);
    const state = /^(OK|Warning|Alarm|Critical|UNKNOWN|NA|Unknown|Offline|Loss)$/i.exec(second)?.[1];
    if (named !== null && state !== undefined) {
      const [watts, celsius] = third.split(/\s+/);
      card = {
        npu: Number(named[1]),
        model: named[2] ?? "",
        health: state,
        watts: figure(watts),
        celsius: figure(celsius),
      };
      continue;
    }
    const chip = /^\d{1,4}(?:\s+\d{1,4})?$/.exec(head);
    if (chip === null || card === undefined || !(busIdOf(second) !== undefined || second === "NA")) continue;
    const pairs = [...third.matchAll(/(\d+)\s*\/\s*(\d+)/g)];
    const [used, total] = pairs.at(-1)?.slice(1) ?? [];
    const core = figure(/^(\S+)/.exec(third)?.[1]);
    const { npu, model, health, watts, celsius } = card;
    found.push({
      ...blankReading,
      ...{ platform: "ascend", index: found.length, npu, model, busId: busIdOf(second), watts, celsius },
      utilization: core === undefined ? undefined : core / 100,
      memoryUsedBytes: used === undefined ? undefined : Number(used) * 2 ** 20,
      memoryBytes: total === undefined ? undefined : Number(total) * 2 ** 20,
      complaint: /^(?:Warning|Alarm|Critical)$/i.test(health) ? `Health ${health}` : undefined,
      isLost: /^(?:Offline|Loss)$/i.test(health),
    });
  }
  return found;
}

/** `Name : value` lines, the first of each name; of several chips or the card's controller only the first block counts. */
function values(output: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of output.split("\n")) {
    const at = line.indexOf(":");
    const name = line.slice(0, at).trim().toLowerCase();
    if (at > 0 && !found.has(name)) found.set(name, line.slice(at + 1).trim());
  }
  return found;
}

/** What one more query says of a chip, to be laid over its row of the table. */
export function parseDetail(detail: NpuDetail, output: string, row: DeviceReading): Partial<DeviceReading> {
  const said = values(output);
  switch (detail) {
    case "ecc": {
      const counts = [...said]
        .filter(([name]) => /double[- ]bit error count$/.test(name))
        .map(([, text]) => figure(text));
      const known = counts.filter((count) => count !== undefined);
      return known.length === 0 ? {} : { uncorrectable: known.reduce((sum, count) => sum + count, 0) };
    }
    case "health": {
      const health = said.get("health status") ?? said.get("health");
      if (health === undefined || /^(?:OK|NA|UNKNOWN)$/i.test(health)) return {};
      const why = [said.get("error code"), said.get("error information")].filter(
        (text) => text !== undefined && text !== "NA",
      );
      return { complaint: [`Health ${health}`, ...why].join(", ").slice(0, 300) };
    }
    case "common": {
      const [rated, now] = [figure(said.get("aicore freq(mhz)")), figure(said.get("aicore curfreq(mhz)"))];
      const isBusy = (figure(said.get("aicore usage rate(%)")) ?? 0) >= 50 || (row.utilization ?? 0) >= 0.5;
      // An idle chip lowers its clock by itself.
      return isBusy && rated !== undefined && now !== undefined && rated > 0 ? { clockShare: now / rated } : {};
    }
    case "memory": {
      const celsius = figure(said.get("hbm temperature(c)") ?? said.get("hbm temperature (c)"));
      return celsius === undefined ? {} : { memoryCelsius: celsius };
    }
    default:
      return detail satisfies never;
  }
}
