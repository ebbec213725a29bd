/** Checks that a fault strikes its rank at its step, as often as it may over all attempts, and is announced first. */
import { expect, test } from "vitest";
import { InjectedFault } from "../spec/emulation.ts";
import { createInjector } from "./injector.ts";

function setUp(faults: Partial<InjectedFault>[], struck: Record<string, number> = {}, rank = 1) {
  const said: unknown[] = [];
  const injector = createInjector({
    ...{ pool: "a", rank, seed: 7, struck },
    faults: faults.map((fault) => InjectedFault.parse(fault)),
    events: { sayDurably: (event) => said.push(event) },
  });
  const due = (step: number): string[] =>
    injector.due(step, ["crash", "nan", "nospace"]).map((one) => {
      injector.announce(one, step);
      return one.id;
    });
  return { due, said };
}

test("strikes its own rank at its step, once, and says so", () => {
  const { due, said } = setUp([
    { kind: "crash", step: 3, rank: 1 },
    { kind: "crash", step: 3, rank: 0 },
    { kind: "hang", step: 3, rank: 1 },
  ]);
  expect([due(2), due(3), due(3), due(4)]).toEqual([[], ["a/0"], [], []]);
  expect(said).toEqual([{ ev: "injected", fault: "a/0", kind: "crash", step: 3 }]);
});

test("strikes of earlier attempts count", () => {
  const faults = [{ kind: "nan", step: 3, rank: 1, times: 2 }] as const;
  expect(setUp([...faults], { "a/0": 1 }).due(3)).toEqual(["a/0"]);
  expect(setUp([...faults], { "a/0": 2 }).due(3)).toEqual([]);
});

test("a probability is drawn from seed, fault and step: the same in every attempt, about as often as it says", () => {
  const faults = [{ kind: "nan", rank: 1, probability: 0.3, times: 1000 }] as const;
  const strikes = () => {
    const { due } = setUp([...faults]);
    return Array.from({ length: 500 }, (_, step) => due(step + 1).length);
  };
  const drawn = strikes();
  expect(strikes()).toEqual(drawn);
  const often = drawn.reduce((sum, one) => sum + one, 0) / 500;
  expect(often).toBeGreaterThan(0.24);
  expect(often).toBeLessThan(0.36);
});

test("a full disk waits for the first write from its step on", () => {
  const { due } = setUp([{ kind: "nospace", step: 3, rank: 1 }]);
  expect([due(2), due(5), due(6)]).toEqual([[], ["a/0"], []]);
});
