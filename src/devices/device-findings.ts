/**
 * Says what is wrong with devices, from two looks at them: pure.
 * Knows: thresholds. Does not know: tools, ranks, what is done about a finding.
 */
import type { DeviceFindingCode } from "../spec/device-finding.ts";
import type { DeviceReading } from "./device-reading.ts";

export interface DeviceFinding {
  /** undefined: of no device that can be named. */
  readonly device: Pick<DeviceReading, "platform" | "index"> | undefined;
  readonly code: DeviceFindingCode;
  /** What was seen, with its figures; no sentence of the vendor's documentation. */
  readonly says: string;
}

/** What nvidia-smi gives as the highest operating temperature of HBM (`Memory Max Operating Temp`, A100 and H100). */
const memoryCelsiusMax = 95;
/** A chip that computes below this share of its rated clock is throttled. */
const clockShareMin = 0.9;

/** Findings of the look `now`; `before` is the last one, by which what is passing is told from what stays. */
export function deviceFindings(now: readonly DeviceReading[], before: readonly DeviceReading[]): DeviceFinding[] {
  const earlier = new Map(before.map((reading) => [keyOf(reading), reading]));
  const found = now.flatMap((reading) => findingsOf(reading, earlier.get(keyOf(reading))));
  const present = new Set(now.map(keyOf));
  const platforms = new Set(now.map(({ platform }) => platform));
  const gone = before.filter(
    (reading) => platforms.has(reading.platform) && !present.has(keyOf(reading)) && !reading.isLost,
  );
  return [
    ...found,
    ...gone.map((device): DeviceFinding => ({ device, code: "lost", says: `no longer listed${where(device)}` })),
  ];
}

const keyOf = ({ platform, index, busId }: DeviceReading): string => `${platform} ${busId ?? index}`;
const where = ({ busId }: DeviceReading): string => (busId === undefined ? "" : ` (bus ${busId})`);

function findingsOf(now: DeviceReading, before: DeviceReading | undefined): DeviceFinding[] {
  const found: DeviceFinding[] = [];
  const say = (code: DeviceFindingCode, says: string): void => {
    found.push({ device: now, code, says });
  };
  if (now.isLost) say("lost", `the driver does not reach it${where(now)}`);
  const errors = now.uncorrectable ?? 0;
  const known = before?.uncorrectable ?? 0;
  if (errors > known) {
    if (before?.uncorrectable === undefined)
      say("earlier-memory-errors", `${errors} uncorrectable memory errors before the attempt began`);
    else
      say(
        "uncorrectable-memory",
        `${errors} uncorrectable memory errors, ${errors - known} of them since the last look`,
      );
  }
  if (now.remapFailed) say("remap-failed", "a memory row is bad and has no spare");
  if (now.remapPending) say("remap-pending", "bad memory is taken out of use at its next reset");
  if (now.complaint !== undefined) say("unhealthy", now.complaint);
  const hot = now.memoryCelsius ?? 0;
  if (hot > memoryCelsiusMax) say("memory-hot", `memory at ${hot} °C, above ${memoryCelsiusMax} °C`);
  // A clock that is down in one look may be between two kernels.
  const state = `${temperature(now)}${now.watts === undefined ? "" : `, ${now.watts} W`}`;
  if (now.slowedByHeat && before?.slowedByHeat === true) say("slowed-by-heat", `clocks are held down by heat${state}`);
  if (now.slowedByPower && before?.slowedByPower === true)
    say("slowed-by-power", `clocks are held down by its power supply${state}`);
  const share = now.clockShare ?? 1;
  if (share < clockShareMin && (before?.clockShare ?? 1) < clockShareMin) {
    say("slow-clock", `computes at ${(share * 100).toFixed(0)} % of its rated clock${state}`);
  }
  return found;
}

const temperature = ({ celsius }: DeviceReading): string => (celsius === undefined ? "" : `: ${celsius} °C`);
