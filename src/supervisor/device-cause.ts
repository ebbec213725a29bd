/**
 * What the telemetry of devices adds to a fault: evidence for a person, and a cause where it is more specific than the log.
 * Knows: notes of this attempt, what each kind of them suggests. Does not know: tools, what is done about it (decide).
 */
import { diagnoseLines } from "../diagnosis/diagnose.ts";
import type { LogCause } from "../journal/event.ts";
import type { DeviceFindingCode } from "../spec/device-finding.ts";
import type { FaultAction, FaultCategory, FaultKind } from "../spec/vocabulary.ts";
import type { DeviceNote, View } from "./view.ts";

interface Meaning {
  /** 0: it explains a crash or a hang by itself; 1: it explains slowness; 2: worth knowing. */
  readonly weight: 0 | 1 | 2;
  readonly category: FaultCategory;
  readonly action: FaultAction;
}

const meanings: Readonly<Record<DeviceFindingCode, Meaning>> = {
  lost: { weight: 0, category: "instability", action: "evict-node" },
  "uncorrectable-memory": { weight: 0, category: "memory", action: "evict-node" },
  "remap-failed": { weight: 0, category: "memory", action: "evict-node" },
  unhealthy: { weight: 1, category: "instability", action: "restart" },
  xid: { weight: 1, category: "instability", action: "restart" },
  "memory-hot": { weight: 1, category: "instability", action: "restart" },
  "slowed-by-heat": { weight: 1, category: "instability", action: "evict-node" },
  "slowed-by-power": { weight: 1, category: "instability", action: "evict-node" },
  "slow-clock": { weight: 1, category: "instability", action: "evict-node" },
  "remap-pending": { weight: 2, category: "memory", action: "none" },
  "earlier-memory-errors": { weight: 2, category: "memory", action: "none" },
  unreadable: { weight: 2, category: "software-kit", action: "none" },
};

/** Lines of evidence kept per fault. */
const linesMax = 4;

/** Notes that bear on a rank's fault: of its own device, and of devices that no rank can be told of; the gravest first. */
function bearing(view: View, rank: number | null): DeviceNote[] {
  return [...view.devices.values()]
    .filter((note) => note.device.finding !== "unreadable")
    .filter((note) => rank === null || note.rank === null || note.rank === rank)
    .sort((a, b) => weightOf(a) - weightOf(b) || Number(b.rank === rank) - Number(a.rank === rank));
}

const weightOf = (note: DeviceNote): number => meanings[note.device.finding].weight;
const words = ({ device, what, detail }: DeviceNote): string => `${device.name}: ${what}: ${detail}`;

/** `nvidia 3: uncorrectable memory errors: 2 …`, at most four lines. */
export function deviceEvidence(view: View, rank: number | null): string[] {
  return view.devices.size === 0 ? [] : bearing(view, rank).slice(0, linesMax).map(words);
}

/** Causes in the log that a broken device has as its echo. */
const echoes: ReadonlySet<FaultCategory> = new Set<FaultCategory>(["interconnect", "software-kit", "workload"]);

/** Faults that a broken device may be behind. */
const broken: ReadonlySet<FaultKind> = new Set<FaultKind>([
  ...([
    "process-signal",
    "process-exit",
    "program-error",
    "hang",
    "nan",
    "straggler",
    "link-silent",
    "link-down",
  ] as const),
]);

/** The log's cause, or the device's where that explains the fault by itself and the log names none or only an echo. */
export function withDevices(
  view: View,
  { kind, rank }: { readonly kind: FaultKind; readonly rank: number | null },
  logged: LogCause | undefined,
): LogCause | undefined {
  if (view.devices.size === 0 || !broken.has(kind)) return logged;
  if (logged !== undefined && !echoes.has(logged.category)) return logged;
  for (const note of bearing(view, rank)) {
    // What slows a device down explains why its own rank is slow, and nothing else.
    const cause = causeOf(note, kind === "straggler" && note.rank === rank ? 1 : 0);
    if (cause !== undefined) return cause;
  }
  return logged;
}

function causeOf(note: DeviceNote, weightMax: 0 | 1): LogCause | undefined {
  const { device, detail } = note;
  const evidence = [{ file: device.name, line: 1, text: detail.slice(0, 1000) }];
  if (device.finding === "xid") {
    // The rule base knows which Xids are the device's and which the program's.
    const found = diagnoseLines([{ name: "kernel log", rank: note.rank ?? undefined, lines: [detail] }]).rootCause;
    if (found === null || found.category === "workload") return undefined;
    const { code, category, action, why } = found;
    return { code: code.slice(0, 200), category, action, rank: note.rank, why: why.slice(0, 2000), evidence };
  }
  const { weight, category, action } = meanings[device.finding];
  if (weight > weightMax) return undefined;
  return { code: device.finding, category, action, rank: note.rank, why: words(note).slice(0, 2000), evidence };
}
