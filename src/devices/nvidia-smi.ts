/**
 * Reads what `nvidia-smi` prints: its queries as CSV, its complaints, its exit codes.
 * Knows: fields and texts of nvidia-smi 470 to 575 (manual page; `--help-query-gpu`). Does not know: how it is started, what a
 * reading means.
 */
import { blankReading, busIdOf, type DeviceReading, figure } from "./device-reading.ts";

/** Both names of one field: drivers before 535 call clocks' event reasons throttle reasons. */
const reasonsFields = ["clocks_event_reasons.active", "clocks_throttle_reasons.active"] as const;
const fields = [
  ...["index", "pci.bus_id", "name", "temperature.gpu", "temperature.memory", "power.draw", "utilization.gpu"],
  ...["memory.used", "memory.total", "ecc.errors.uncorrected.volatile.total", "retired_pages.pending"],
];
const rowFields = ["gpu_bus_id", "remapped_rows.pending", "remapped_rows.failure"];
const format = "--format=csv,noheader,nounits";

/** Arguments of the two queries; `isOld` names fields as drivers before 535 do. */
export const nvidiaQueries = {
  devices: (isOld: boolean): string[] => [`--query-gpu=${[...fields, reasonsFields[isOld ? 1 : 0]].join(",")}`, format],
  rows: [`--query-remapped-rows=${rowFields.join(",")}`, format],
} as const;

/** Whether it refused because it does not know a field. */
export const isUnknownField = (output: string): boolean =>
  /^Field ".{1,200}" is not a valid field to query/m.test(output);

/** Bits of `clocks_event_reasons.active`, as nvml.h has them. */
const heatBits = 0x20n | 0x40n;
const powerBrakeBit = 0x80n;
const slowdownBit = 0x08n;

/**
 * Devices of `--query-gpu`'s output, in its order. Lines that are no row of it are left out, but for those that say that a
 * device is lost. A field that a device lacks is undefined.
 */
export function parseDevices(output: string): DeviceReading[] {
  return output.split("\n").flatMap((line): DeviceReading[] => {
    const cells = line.split(",").map((cell) => cell.trim());
    const [
      index,
      busId,
      model,
      celsius,
      memoryCelsius,
      watts,
      utilization,
      used,
      total,
      uncorrectable,
      pages,
      reasons,
    ] = cells;
    const number = figure(index);
    if (cells.length !== fields.length + 1 || number === undefined) return [];
    const bits = /^0x[0-9a-f]{1,16}$/i.test(reasons ?? "") ? BigInt(reasons ?? 0) : 0n;
    const percent = figure(utilization);
    return [
      {
        ...blankReading,
        ...{ platform: "nvidia", index: number, busId: busIdOf(busId), model },
        ...{ celsius: figure(celsius), memoryCelsius: figure(memoryCelsius), watts: figure(watts) },
        utilization: percent === undefined ? undefined : percent / 100,
        memoryUsedBytes: mebibytes(used),
        memoryBytes: mebibytes(total),
        uncorrectable: figure(uncorrectable),
        remapPending: pages === "Yes",
        slowedByHeat: (bits & heatBits) !== 0n,
        // A slowdown of the hardware that heat does not explain is the power supply's.
        slowedByPower: (bits & powerBrakeBit) !== 0n || ((bits & slowdownBit) !== 0n && (bits & heatBits) === 0n),
        isLost: cells.some((cell) => /^\[(?:GPU is lost|Unknown Error)\]$/i.test(cell)),
      },
    ];
  });
}

const mebibytes = (text: string | undefined): number | undefined => {
  const value = figure(text);
  return value === undefined ? undefined : value * 2 ** 20;
};

/** Of `--query-remapped-rows`'s output, the devices (by bus) with a row that waits for a reset or could not be replaced. */
export function parseRows(output: string): Map<string, { pending: boolean; failed: boolean }> {
  const found = new Map<string, { pending: boolean; failed: boolean }>();
  for (const line of output.split("\n")) {
    const [bus, pending, failed] = line.split(",").map((cell) => cell.trim());
    const busId = busIdOf(bus);
    if (busId === undefined || failed === undefined) continue;
    const isYes = (cell: string | undefined): boolean => cell === "Yes" || cell === "1";
    found.set(busId, { pending: isYes(pending), failed: isYes(failed) });
  }
  return found;
}

const lostTexts = /Unable to determine the device handle for (?:GPU|gpu)\s?\S*|GPU is lost|fallen off the bus/;

/** Buses of devices that it says it cannot reach, and its own sentence. `Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost. …` */
export function lostDevices(output: string): { busId: string | undefined; says: string }[] {
  return output
    .split("\n")
    .filter((line) => lostTexts.test(line))
    .map((line) => ({ busId: busIdOf(line), says: line.trim().replace(/\s+/g, " ").slice(0, 300) }));
}

/** What its exit codes mean (manual page, RETURN VALUE); undefined for those that say no more than their text. */
export function exitMeaning(code: number | null): string | undefined {
  const meanings: Readonly<Record<number, string>> = {
    4: "it may not read them",
    8: "a device lacks its power cables",
    9: "the driver is not loaded",
    10: "the kernel sees an interrupt fault of a device",
    12: "the driver's library is missing",
    14: "a device's InfoROM is corrupt",
    15: "a device has fallen off the bus",
  };
  return code === null ? undefined : meanings[code];
}

/** `NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, GPU has fallen off the bus.` in the kernel's log, with its seconds since boot. */
export function parseXids(log: string): { seconds: number; busId: string | undefined; xid: number; says: string }[] {
  return [
    ...log.matchAll(/^(?:<\d+>)?\[\s*(\d+\.\d+)\][^\n]{0,80}?(NVRM: Xid \(PCI:([0-9a-f:.]+)\): (\d+),[^\n]{0,500})/gim),
  ].map(([, seconds, says = "", bus, xid]) => ({
    seconds: Number(seconds),
    busId: busIdOf(bus),
    xid: Number(xid),
    says,
  }));
}
