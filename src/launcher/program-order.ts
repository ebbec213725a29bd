/**
 * The agent's order for an attempt of somebody's own program.
 * Knows: which files and variables each rank gets. Does not know: how the program is watched (program/).
 */
import { AgentOrder } from "./agent-record.ts";
import type { AttemptFiles } from "./local-observe.ts";
import type { ProgramOrder } from "./program-attempt.ts";
import { attemptMark, elasticEnv } from "./worker-env.ts";

export function programOrder(
  { epoch, nodes, graceSeconds, program }: ProgramOrder,
  files: AttemptFiles,
  { epochFile, port }: { epochFile: string; port: number },
): AgentOrder {
  const { run, command, cwd, env, workersPerNode: perNode, adapter, steps, step } = program;
  const { checkpoint, telemetrySeconds } = program;
  return AgentOrder.parse({
    ...{ v: 1, run, epoch, epochFile, records: files.records, graceSeconds },
    workers: nodes.map((_, rank) => ({
      rank,
      command: [...command],
      env: {
        // Lines must come when they are printed, not when a buffer is full; a program may be told otherwise by its own env.
        PYTHONUNBUFFERED: "1",
        ...env,
        ...elasticEnv({ rank, ranks: nodes.length, perNode, port, run, epoch }),
        [attemptMark]: files.folder,
        DUALGAUGE_EVENTS: files.told(rank),
      },
      log: files.log(rank),
      errors: files.errors(rank),
      told: files.told(rank),
      events: files.events(rank),
    })),
    program: { cwd, mark: files.folder, adapter, steps, step, checkpoint, telemetrySeconds },
  });
}
