/**
 * How a run ended, or where it stands: the verdict first, then the figures, then the faults.
 * Knows: the reduced state. Does not know: which command shows it.
 */
import { type FaultReport, trainDocument } from "../../journal/select.ts";
import type { RunState } from "../../journal/state.ts";
import { hanging, type Line, line, table } from "./layout.ts";
import { count, nats, ratio, seconds } from "./quantities.ts";

/** The verdict on a run that finished or failed, with what it cost. */
export function outcome(state: RunState): Line[] {
  const { steps, attempts, failovers, lostSteps, pool, weightsSha256, checkpoint, faults } = trainDocument(state);
  const wall = state.at - state.createdAt - state.interruptedSeconds;
  const figures = [
    count(attempts, "attempt"),
    count(faults.filter((fault) => fault.detectedBy !== null).length, "fault"),
    count(failovers, "fail-over"),
    `${count(lostSteps, "step")} lost`,
    `ETTR ${ratio(trainDocument(state).ettr)}`,
  ].join(", ");
  const head =
    state.phase === "failed"
      ? [
          line(`failed at step ${steps} on pool ${pool ?? "–"} after ${seconds(wall)}`, "bad"),
          ...state.reasons.flatMap((reason) => hanging("  because    ", reason)),
          ...hanging("  seen       ", (state.faults.at(-1)?.detected.evidence ?? []).join("; ") || "nothing more"),
        ]
      : [line(`finished ${count(steps, "step")} on pool ${pool ?? "–"} in ${seconds(wall)}`, "good")];
  const losses = [`training ${nats(state.finished?.finalLoss ?? state.loss)}`];
  if (state.validation) losses.push(`validation ${nats(state.validation.loss)}`);
  return [
    ...head,
    ...hanging("  took       ", figures),
    ...hanging("  loss       ", `${losses.join(", ")} nats/token`),
    ...(weightsSha256 === null ? [] : hanging("  weights    ", `sha256 ${weightsSha256}`)),
    ...(checkpoint === null ? [] : hanging("  checkpoint ", checkpoint)),
    ...notFired(faults),
  ];
}

/** Injected faults that proved nothing, by name: a run that met fewer faults than it was given must not look tested. */
function notFired(faults: readonly FaultReport[]): Line[] {
  return faults
    .filter((fault) => !fault.fired)
    .flatMap((fault) => {
      const when = fault.step === null ? "" : ` at step ${fault.step}`;
      return hanging(
        "  not fired  ",
        `${fault.kind} of rank ${fault.rank} on pool ${fault.pool}${when}: ${fault.why}`,
        "bad",
      );
    });
}

/** All faults, one a line. */
export function faultTable(faults: readonly FaultReport[]): Line[] {
  if (faults.length === 0) return [];
  const cell = (value: number | null, write: (value: number) => string): string =>
    value === null ? "–" : write(value);
  return table(
    ["fault", "kind", "pool", "rank", "step", "seen by", "after", "action", "cost", "lost"],
    faults.map((fault) => [
      fault.id.replace(/^injected:/, ""),
      fault.kind,
      fault.pool,
      cell(fault.rank, String),
      cell(fault.step, String),
      fault.detectedBy ?? (fault.fired ? "nothing" : "not fired"),
      cell(fault.detectSeconds, seconds),
      fault.action ?? "–",
      cell(fault.recoverSeconds, seconds),
      String(fault.lostSteps),
    ]),
    [3, 4, 6, 8, 9],
  );
}
