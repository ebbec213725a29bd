/**
 * The simulator beside what large training systems published: interruptions, mean time to failure, effective training time.
 * Knows: which inputs a source gives, which are ranges, how a row is judged. Does not know: files, how a table is printed.
 *
 * An input that a source does not give is a range, never a guess towards the result: the prediction is then a range as
 * well. "others only" rows use no figure of the system itself but its size and length.
 */
import { type ReliabilityRecord, ratePrior, reliabilityRecord, reliabilityRecords } from "../catalog/reliability.ts";
import { gammaQuantile } from "../planner/evidence-distributions.ts";
import { secondsPerDay } from "../spec/quantities.ts";
import { completionDistribution } from "./completion.ts";
import type { RunQuestionInput } from "./run-question.ts";

export interface PublishedRow {
  system: string;
  quantity: string;
  /** What the prediction was made from. */
  from: "own rate" | "others only";
  predicted: readonly [number, number];
  published: number;
  /** A bound is met by a prediction that reaches beyond it. */
  bound: "value" | "at least";
  agrees: boolean;
  note: string;
}

/** Bounds for what a source leaves out: MegaScale's detection and catch-up limits, checkpoint stalls from 3 s (Llama 3) to 149 s (synchronous DCP). */
const unknown = { detectSeconds: [0, 600], restartSeconds: [0, 900], checkpointSeconds: [3, 149] } as const;

/** Every row, deterministic in `seed`; `replicas` of each simulated end of a range. */
export function publishedRows(replicas: number, seed: number): PublishedRow[] {
  const rows: PublishedRow[] = [];
  for (const record of reliabilityRecords) {
    const { days, interruptions } = record.published;
    if (days !== undefined && interruptions !== undefined && !record.excludedFromPrior)
      rows.push(interruptionsFromOthers(record, days, interruptions));
  }
  rows.push(...llama3Rows(replicas, seed), ...mttfRows(replicas, seed));
  for (const record of reliabilityRecords) {
    const published = record.published.ettr ?? record.published.ettrAtLeast;
    if (published !== undefined) rows.push(ettrRow(record, published, replicas, seed));
  }
  return rows;
}

/** Interruptions that the prior of all other systems expects of one of this size and length, 90 % interval. */
function interruptionsFromOthers(record: ReliabilityRecord, days: number, published: number): PublishedRow {
  const prior = ratePrior({ without: record.id });
  const exposure = (record.devices / record.devicesPerNode) * days;
  const end = (p: number): number => (gammaQuantile(prior.shape, p) / prior.nodeDays) * exposure;
  // Over these exposures the rate's spread dwarfs the counting error of a Poisson number.
  const predicted = [end(0.05), end(0.95)] as const;
  const agrees = published >= predicted[0] && published <= predicted[1];
  const quantity = `interruptions in ${days} days`;
  return row(record, quantity, "others only", predicted, published, agrees, "90 % interval of the pooled prior");
}

function row(
  record: ReliabilityRecord,
  quantity: string,
  from: PublishedRow["from"],
  predicted: readonly [number, number],
  published: number,
  agrees: boolean,
  note: string,
): PublishedRow {
  return { system: record.system, quantity, from, predicted, published, bound: "value", agrees, note };
}

/** A question of this system's size and rate; `end` picks the end of every range that its source leaves open. */
function questionFor(record: ReliabilityRecord, days: number, end: 0 | 1): RunQuestionInput {
  const { detectSeconds, restartSeconds, checkpointSeconds } = { ...unknown, ...record };
  const { spareNodes: spares } = record;
  return {
    productiveSeconds: 10 * days * secondsPerDay,
    horizonSeconds: days * secondsPerDay,
    checkpoint: {
      stallSeconds: checkpointSeconds[end],
      ...(record.checkpointIntervalSeconds === undefined ? {} : { intervalSeconds: record.checkpointIntervalSeconds }),
    },
    pools: [
      {
        nodes: record.devices / record.devicesPerNode,
        failuresPerNodeDay: record.failuresPerNodeDay,
        detectSeconds: detectSeconds[end],
        restartSeconds: restartSeconds[end],
        ...(spares === undefined ? {} : { spares }),
      },
    ],
  };
}

/** The 54-day snapshot played: unexpected and planned interruptions, and the share of device causes. */
function llama3Rows(replicas: number, seed: number): PublishedRow[] {
  const record = reliabilityRecord("llama-3-h100");
  const { interruptions = 0, plannedInterruptions = 0, days = 0 } = record.published;
  const question = questionFor(record, days, 1);
  const pools = question.pools.map((pool) => ({
    ...pool,
    maintenance: { perDay: plannedInterruptions / days, seconds: 0 },
  }));
  const played = completionDistribution({ ...question, pools }, replicas, seed);
  const spread = 1.645 * Math.sqrt(interruptions);
  const faults = played.failuresExpected;
  const predicted = [faults - spread, faults + spread] as const;
  const agrees = interruptions >= predicted[0] && interruptions <= predicted[1];
  return [
    row(
      record,
      `unexpected interruptions in ${days} days`,
      "own rate",
      predicted,
      interruptions,
      agrees,
      "simulated; checks the event count, not the rate",
    ),
  ];
}

/** Mean time to failure against size: simulated uptime over faults. */
function mttfRows(replicas: number, seed: number): PublishedRow[] {
  const rsc = reliabilityRecord("rsc-1-a100");
  const cases = [
    { record: rsc, devices: 16384, hours: 1.8, note: "the paper's projection" },
    { record: rsc, devices: 131072, hours: 0.23, note: "the paper's projection" },
    { record: rsc, devices: 1024, hours: 7.9, note: "measured over all jobs of this size, users' own errors included" },
    { record: reliabilityRecord("llama-3-h100"), devices: 16384, hours: 3.093, note: "54 days over 419 interruptions" },
    { record: reliabilityRecord("bloom-176b-a100"), devices: 384, hours: 168, note: "about one device a week" },
    {
      record: reliabilityRecord("ascend-vendor-claim"),
      devices: 10000,
      hours: 24,
      note: "vendor's bound on hardware alone",
    },
  ];
  return cases.map(({ record, devices, hours, note }) => {
    // Two years, so that the mean over replicas is sharp for the small systems as well.
    const question = { ...questionFor({ ...record, devices }, 730, 0), checkpoint: { stallSeconds: 10 } };
    const { failuresExpected } = completionDistribution(question, Math.max(20, replicas / 5), seed);
    const mttf = (730 * 24) / failuresExpected;
    const agrees = Math.abs(mttf / hours - 1) < 0.05;
    return row(
      record,
      `MTTF at ${devices.toLocaleString("en-US")} devices, hours`,
      "own rate",
      [mttf, mttf],
      hours,
      agrees,
      note,
    );
  });
}

function ettrRow(record: ReliabilityRecord, published: number, replicas: number, seed: number): PublishedRow {
  const days = record.published.days ?? 54;
  const at = (end: 0 | 1): number => completionDistribution(questionFor(record, days, end), replicas, seed).goodput;
  const predicted = [at(1), at(0)] as const;
  const bound = record.published.ettr === undefined ? "at least" : "value";
  // A published "about 0.9" is good to two digits.
  const reaches = predicted[1] >= published - 0.005;
  const agrees = bound === "at least" ? reaches : reaches && predicted[0] <= published + 0.005;
  return {
    system: record.system,
    quantity: "effective training time",
    from: "own rate",
    predicted,
    published,
    bound,
    agrees,
    note: ettrNotes[record.id] ?? "",
  };
}

const ettrNotes: Readonly<Record<string, string>> = {
  "opt-175b-a100": "33 ideal days of 56: restarts by hand, divergences and a deleted cluster are not faults",
  "ascend-vendor-claim": "availability, the vendor's statement",
  "rsc-1-a100": "runs above 1,024 devices",
};
