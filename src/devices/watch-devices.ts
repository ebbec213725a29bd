/**
 * Looks at this host's devices every so often while an attempt runs, and tells what is wrong with them.
 * Knows: both platforms' tools, how often. Does not know: ranks, the journal, what is done about a finding.
 */
import { systemClock } from "../host/clock.ts";
import { type DeviceFinding, deviceFindings } from "./device-findings.ts";
import { type Look, type LookMemory, newMemory } from "./look.ts";
import { lookAtAscend } from "./look-ascend.ts";
import { lookAtNvidia } from "./look-nvidia.ts";
import { openTools, type ToolLimits, type Tools } from "./run-tool.ts";

export interface DeviceWatch {
  /** Looks once more, now or when the look under way has ended; resolves when all is told, or at once where there is no tool. */
  lookNow(): Promise<void>;
  /** Ends the tools that still run; nothing is told any more. */
  close(): void;
}

type LookAt = (tools: Tools, memory: LookMemory) => Promise<Look>;
const platforms: readonly LookAt[] = [lookAtNvidia, lookAtAscend];
/** Looking takes at most this share of the time: what takes long is asked rarely. */
const lookShare = 0.2;

/**
 * Looks at once and then every `seconds`. A platform without its tool is not looked at again; one whose tool hangs, fails or
 * prints what is none of it is told as `unreadable`.
 */
export function watchDevices(given: {
  readonly seconds: number;
  readonly limits?: Partial<ToolLimits>;
  readonly onFinding: (finding: DeviceFinding) => void;
}): DeviceWatch {
  const { seconds, limits, onFinding } = given;
  const watches = platforms.map((lookAt) => watchPlatform(lookAt, { seconds, limits: limits ?? {}, onFinding }));
  return {
    async lookNow() {
      await Promise.all(watches.map((watch) => watch.lookNow()));
    },
    close() {
      for (const watch of watches) watch.close();
    },
  };
}

function watchPlatform(
  lookAt: LookAt,
  {
    seconds,
    limits,
    onFinding,
  }: { seconds: number; limits: Partial<ToolLimits>; onFinding: (finding: DeviceFinding) => void },
): DeviceWatch {
  const tools = openTools(limits);
  const memory = newMemory();
  let isOver = false;
  let timer: NodeJS.Timeout | undefined;
  let looking: Promise<void> = Promise.resolve();
  const look = async (): Promise<void> => {
    if (isOver) return;
    clearTimeout(timer);
    const started = systemClock.monotonicSeconds();
    const seen = await lookAt(tools, memory);
    if (isOver) return;
    if (seen.state === "absent") {
      isOver = true;
      return;
    }
    for (const finding of findingsOf(seen, memory)) onFinding(finding);
    const took = systemClock.monotonicSeconds() - started;
    timer = setTimeout(next, Math.max(seconds, took / lookShare) * 1000);
    timer.unref();
  };
  const next = (): Promise<void> => {
    looking = looking.then(look);
    return looking;
  };
  next();
  return {
    lookNow: next,
    close() {
      isOver = true;
      clearTimeout(timer);
      tools.close();
    },
  };
}

/** What the look itself found and what the figures show, one of each kind per device; remembers the figures. */
export function findingsOf(seen: Extract<Look, { state: "seen" }>, memory: LookMemory): DeviceFinding[] {
  const all = [...seen.findings, ...deviceFindings(seen.readings, memory.readings)];
  memory.looks++;
  // A tool that gave nothing has not made the devices go away.
  if (seen.readings.length > 0) memory.readings = seen.readings;
  const found = new Map<string, DeviceFinding>();
  for (const finding of all) {
    const { device, code, says } = finding;
    const key = `${device?.platform} ${device?.index} ${code} ${code === "xid" || device === undefined ? says : ""}`;
    if (!found.has(key)) found.set(key, finding);
  }
  return [...found.values()];
}
