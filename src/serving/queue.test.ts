/** The line of waiting requests: turns of clients, its end, and who leaves it. */
import { expect, test } from "vitest";
import { createQueue } from "./queue.ts";

const never = new AbortController().signal;

test("clients take turns, and each one's requests keep their order", async () => {
  const queue = createQueue({ places: 1, waitingMax: 10 });
  const order: string[] = [];
  const first = await queue.enter(never, "a");
  const enter = async (client: string, name: string): Promise<void> => {
    const leave = await queue.enter(never, client);
    order.push(name);
    leave?.();
  };
  const all = [
    enter("a", "a1"),
    enter("a", "a2"),
    enter("a", "a3"),
    enter("b", "b1"),
    enter("c", "c1"),
    enter("b", "b2"),
  ];
  first?.();
  first?.(); // gives nothing back twice
  await Promise.all(all);
  expect(order).toEqual(["a1", "b1", "c1", "a2", "b2", "a3"]);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("a full line turns away, and who leaves it makes room", async () => {
  const queue = createQueue({ places: 1, waitingMax: 1 });
  const leave = await queue.enter(never);
  const gone = new AbortController();
  const waiting = queue.enter(gone.signal, "a");
  expect(await queue.enter(never, "b")).toBeUndefined();
  gone.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  const next = queue.enter(never, "b");
  expect(queue.waiting).toBe(1);
  leave?.();
  (await next)?.();
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});
