/** How many logs after public reports are diagnosed rightly: faults and alarms are counted apart, so that neither hides the other. */
import { describe, expect, test } from "vitest";
import type { Case } from "./cases-faults.ts";
import { faults } from "./cases-faults.ts";
import { more } from "./cases-more.ts";
import { ascendReports } from "./cases-reports-ascend.ts";
import { freshReports } from "./cases-reports-fresh.ts";
import { lastReports } from "./cases-reports-last.ts";
import { nvidiaReports } from "./cases-reports-nvidia.ts";
import { platformReports } from "./cases-reports-platform.ts";
import { secondReports } from "./cases-reports-second.ts";
import { thirdReports } from "./cases-reports-third.ts";
import { trapReports } from "./cases-reports-traps.ts";
import { wideReports } from "./cases-reports-wide.ts";
import { wideAscendReports } from "./cases-reports-wide-ascend.ts";
import { wideTraps } from "./cases-reports-wide-traps.ts";
import { traps } from "./cases-traps.ts";
import { half } from "./report-case.ts";
import { score, share } from "./score.ts";

const reports = [...nvidiaReports, ...ascendReports, ...platformReports, ...trapReports];
const sets: readonly (readonly [string, readonly Case[]])[] = [
  ["half A", reports.filter(({ name }) => half(name) === "A")],
  ["half B", reports.filter(({ name }) => half(name) === "B")],
  ["fresh", freshReports],
  ["last", lastReports],
  ["wide", [...wideReports, ...wideAscendReports, ...wideTraps]],
  ["second", secondReports],
  ["third", thirdReports],
  ["older", [...faults, ...more, ...traps]],
];

test("there are at least a hundred faults, and at least sixty traps", () => {
  const all = sets.flatMap(([, cases]) => cases);
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  expect(all.filter(({ cause }) => cause !== null).length).toBeGreaterThanOrEqual(100);
  expect(all.filter(({ cause }) => cause === null).length).toBeGreaterThanOrEqual(60);
});

describe.each(sets)("%s", (_, cases) => {
  test("nine causes of ten, with their ranks and codes, and 85 actions of a hundred are right", () => {
    const scores = cases.filter(({ cause }) => cause !== null).map(score);
    const wrong = scores.filter(({ causeRight, actionRight }) => !causeRight || !actionRight);
    const told = wrong.map(
      ({ name, rootCause }) =>
        `${name}: ${rootCause?.category} ${rootCause?.action} ${rootCause?.code} rank ${rootCause?.rank}`,
    );
    expect(
      share(scores, ({ causeRight }) => causeRight),
      told.join("\n"),
    ).toBeGreaterThanOrEqual(0.9);
    expect(
      share(scores, ({ actionRight }) => actionRight),
      told.join("\n"),
    ).toBeGreaterThanOrEqual(0.85);
  });

  test("no healthy log raises an alarm", () => {
    const alarms = cases.filter(({ cause }) => cause === null).map(score);
    expect(alarms.filter(({ rootCause }) => rootCause !== null).map(({ name }) => name)).toEqual([]);
  });
});
