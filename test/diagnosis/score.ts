/** Diagnoses a case as the verb would and says what of the answer is right. */
import type { Finding } from "../../src/diagnosis/diagnosis.ts";
import { attemptInName, rankInName } from "../../src/diagnosis/inputs.ts";
import { createObserver } from "../../src/diagnosis/observe.ts";
import { rankCauses } from "../../src/diagnosis/rank-causes.ts";
import { createScanner } from "../../src/diagnosis/scan.ts";
import type { Case } from "./cases-faults.ts";

export function diagnose(files: Case["files"]) {
  const logs = Object.entries(files).map(([name, text], index) => {
    const observer = createObserver(name, index, rankInName(name));
    const scanner = createScanner(observer);
    scanner.push(Buffer.from(text));
    scanner.end();
    return { ...observer.facts(), attempt: attemptInName(name) };
  });
  return rankCauses(logs);
}

export interface Scored {
  readonly name: string;
  readonly rootCause: Finding | null;
  /** Category, and rank and code where the case gives them. */
  readonly causeRight: boolean;
  readonly actionRight: boolean;
}

export function score({ name, files, cause }: Case): Scored {
  const { rootCause } = diagnose(files);
  if (cause === null || rootCause === null) {
    const right = cause === rootCause;
    return { name, rootCause, causeRight: right, actionRight: right };
  }
  const causeRight =
    rootCause.category === cause.category &&
    (cause.rank === undefined || rootCause.rank === cause.rank) &&
    (cause.code === undefined || rootCause.code === cause.code);
  return { name, rootCause, causeRight, actionRight: rootCause.action === cause.action };
}

export const share = (scores: readonly Scored[], right: (one: Scored) => boolean): number =>
  scores.filter(right).length / scores.length;
