/** What two looks at devices show: new errors from old ones, what lasts from what passes, what went away. */
import { expect, test } from "vitest";
import { deviceFindings } from "./device-findings.ts";
import { blankReading, type DeviceReading } from "./device-reading.ts";
import { newMemory } from "./look.ts";
import { findingsOf } from "./watch-devices.ts";

const well: DeviceReading = { ...blankReading, platform: "nvidia", index: 0, busId: "0000:10:00.0", uncorrectable: 0 };
const codes = (now: Partial<DeviceReading>, before?: Partial<DeviceReading>): string[] =>
  deviceFindings([{ ...well, ...now }], before === undefined ? [] : [{ ...well, ...before }]).map(({ code }) => code);

test.each<[string, Partial<DeviceReading>, Partial<DeviceReading> | undefined, string[]]>([
  ["nothing is wrong", {}, undefined, []],
  ["nothing is known", { uncorrectable: undefined, celsius: undefined }, {}, []],
  ["errors at the first look are of earlier", { uncorrectable: 3 }, undefined, ["earlier-memory-errors"]],
  ["errors that come", { uncorrectable: 3 }, { uncorrectable: 2 }, ["uncorrectable-memory"]],
  ["errors that stay", { uncorrectable: 3 }, { uncorrectable: 3 }, []],
  ["a counter that was reset", { uncorrectable: 0 }, { uncorrectable: 3 }, []],
  ["rows", { remapPending: true, remapFailed: true }, {}, ["remap-failed", "remap-pending"]],
  ["hot memory", { memoryCelsius: 96 }, {}, ["memory-hot"]],
  ["memory at its limit", { memoryCelsius: 95 }, {}, []],
  ["heat once", { slowedByHeat: true }, {}, []],
  ["heat twice", { slowedByHeat: true }, { slowedByHeat: true }, ["slowed-by-heat"]],
  ["power twice", { slowedByPower: true }, { slowedByPower: true }, ["slowed-by-power"]],
  ["a low clock once", { clockShare: 0.5 }, { clockShare: 1 }, []],
  ["a low clock twice", { clockShare: 0.5 }, { clockShare: 0.6 }, ["slow-clock"]],
  ["lost", { isLost: true }, {}, ["lost"]],
])("%s", (_, now, before, expected) => expect(codes(now, before)).toEqual(expected));

test("a device that is no longer listed is lost, once; a tool that says nothing loses none", () => {
  const memory = newMemory();
  const two = [well, { ...well, index: 1, busId: "0000:11:00.0" }];
  const look = (readings: readonly DeviceReading[]) => findingsOf({ state: "seen", readings, findings: [] }, memory);
  expect(look(two)).toEqual([]);
  expect(look([])).toEqual([]);
  expect(look([well])).toMatchObject([{ code: "lost", device: { index: 1 } }]);
  expect(look([well])).toEqual([]);
});
