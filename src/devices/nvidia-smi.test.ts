/**
 * What nvidia-smi prints, line by line: forms of drivers 470 to 575, written with the field orders of `--query-gpu` that are asked for,
 * and texts of public reports (NVIDIA/open-gpu-kernel-modules 387, NVIDIA/nvidia-docker 1553, AlexeyAB/darknet 86).
 */
import { describe, expect, test } from "vitest";
import { busIdOf } from "./device-reading.ts";
import {
  exitMeaning,
  isUnknownField,
  lostDevices,
  nvidiaQueries,
  parseDevices,
  parseRows,
  parseXids,
} from "./nvidia-smi.ts";

const h100 = (
  index: number,
  fields: { ecc?: string; pages?: string; reasons?: string; memory?: string } = {},
): string => {
  const { ecc = "0", pages = "[N/A]", reasons = "0x0000000000000000", memory = "48" } = fields;
  return `${index}, 00000000:${(index + 16).toString(16).toUpperCase()}:00.0, NVIDIA H100 80GB HBM3, 41, ${memory}, 112.34, 97, 65432, 81559, ${ecc}, ${pages}, ${reasons}`;
};

test("rows of a healthy host", () => {
  const [first, second] = parseDevices(`${h100(0)}\n${h100(1)}\n`);
  expect(first).toMatchObject({
    ...{
      platform: "nvidia",
      index: 0,
      busId: "0000:10:00.0",
      model: "NVIDIA H100 80GB HBM3",
      celsius: 41,
      memoryCelsius: 48,
    },
    ...{ watts: 112.34, utilization: 0.97, uncorrectable: 0, remapPending: false, slowedByHeat: false, isLost: false },
    ...{ memoryUsedBytes: 65432 * 2 ** 20, memoryBytes: 81559 * 2 ** 20 },
  });
  expect(second?.index).toBe(1);
});

test("fields that a device lacks are unknown, not zero", () => {
  const line =
    "0, 00000000:65:00.0, NVIDIA GeForce RTX 3090, 58, N/A, [Not Supported], [N/A], 1, 24576, [N/A], [N/A], [N/A]";
  expect(parseDevices(line)[0]).toMatchObject({
    ...{ celsius: 58, memoryCelsius: undefined, watts: undefined, utilization: undefined, uncorrectable: undefined },
    ...{ remapPending: false, slowedByHeat: false, slowedByPower: false },
  });
});

test.each([
  ["0x0000000000000001", false, false], // idle
  ["0x0000000000000004", false, false], // software power cap: usual under load
  ["0x0000000000000020", true, false],
  ["0x0000000000000048", true, false], // hardware slowdown, by heat
  ["0x0000000000000088", false, true], // hardware slowdown, by the power brake
  ["0x0000000000000008", false, true],
  ["[Unknown Error]", false, false],
])("reasons %s", (reasons, slowedByHeat, slowedByPower) => {
  expect(parseDevices(h100(0, { reasons }))[0]).toMatchObject({ slowedByHeat, slowedByPower });
});

test("a lost device: in its row, in a sentence of its own, by exit code", () => {
  const row = parseDevices(
    "3, 00000000:3B:00.0, [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost], [GPU is lost]",
  );
  expect(row[0]).toMatchObject({ index: 3, isLost: true });
  for (const text of [
    "Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost.  Reboot the system to recover this GPU",
    "Unable to determine the device handle for GPU 0000:3B:00.0: Unknown Error",
    "Unable to determine the device handle for GPU0000:3B:00.0: Unknown Error",
  ]) {
    expect(lostDevices(text)).toEqual([{ busId: "0000:3b:00.0", says: text.replace("  ", " ") }]);
  }
  expect(lostDevices("No devices were found")).toEqual([]);
  expect([exitMeaning(15), exitMeaning(9), exitMeaning(0), exitMeaning(null)]).toEqual([
    ...["a device has fallen off the bus", "the driver is not loaded", undefined, undefined],
  ]);
});

test("rows to be remapped, by bus; both ways of writing yes", () => {
  const rows = parseRows(
    "00000000:10:00.0, No, No\n00000000:11:00.0, Yes, No\n00000000:12:00.0, 0, 1\n00000000:13:00.0, [N/A], [N/A]\n",
  );
  expect([...rows]).toEqual([
    ["0000:10:00.0", { pending: false, failed: false }],
    ["0000:11:00.0", { pending: true, failed: false }],
    ["0000:12:00.0", { pending: false, failed: true }],
    ["0000:13:00.0", { pending: false, failed: false }],
  ]);
});

test("an unknown field is told from other failures, and the older name asked for", () => {
  expect(isUnknownField('Field "clocks_event_reasons.active" is not a valid field to query.\n')).toBe(true);
  expect(isUnknownField("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.")).toBe(false);
  expect(nvidiaQueries.devices(false)[0]).toContain("clocks_event_reasons.active");
  expect(nvidiaQueries.devices(true)[0]).toContain("clocks_throttle_reasons.active");
});

describe("Xids in the kernel's log", () => {
  test("both forms of the kernel's stamp; other lines and the words in a process name are none", () => {
    const log = [
      "[12345.678901] NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
      "<4>[  99.000001] NVRM: Xid (PCI:0000:10:00.0): 48, pid=12, name=python, DBE (double bit error) ECC Error",
      "[12346.0] nvidia-nvlink: Nvlink Core is being initialized",
      "[x] NVRM: Xid (PCI:0000:3b:00): 31",
    ].join("\n");
    expect(parseXids(log).map(({ seconds, busId, xid }) => [seconds, busId, xid])).toEqual([
      [12345.678901, "0000:3b:00.0", 79],
      [99.000001, "0000:10:00.0", 48],
    ]);
  });
});

test("garbage, binary and half a table are no devices", () => {
  for (const text of ["", "garbage", "0, 1, 2", "\u0000\u0001,".repeat(500), "a, ".repeat(12), h100(0).slice(0, 60)]) {
    expect(parseDevices(text)).toEqual([]);
    expect(parseXids(text)).toEqual([]);
    expect(lostDevices(text)).toEqual([]);
  }
  expect(busIdOf("3b:00")).toBeUndefined();
});
