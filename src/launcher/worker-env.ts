/**
 * The environment that tells a worker who it is: torchelastic's variables, so that any PyTorch program starts unchanged.
 * Knows: their names and how torchelastic numbers ranks. Does not know: what is started.
 */

/** Names the attempt's folder in the environment of all that a worker starts, so that it is found wherever it has gone. */
export const attemptMark = "DUALGAUGE_ATTEMPT";

export function elasticEnv(given: {
  readonly rank: number;
  readonly ranks: number;
  readonly perNode: number;
  readonly port: number;
  readonly run: string;
  readonly epoch: number;
}): Record<string, string> {
  const { rank, ranks, perNode, port, run, epoch } = given;
  const node = Math.floor(rank / perNode);
  return {
    RANK: String(rank),
    LOCAL_RANK: String(rank % perNode),
    WORLD_SIZE: String(ranks),
    LOCAL_WORLD_SIZE: String(perNode),
    GROUP_RANK: String(node),
    GROUP_WORLD_SIZE: String(Math.ceil(ranks / perNode)),
    ROLE_NAME: "default",
    ROLE_RANK: String(rank),
    ROLE_WORLD_SIZE: String(ranks),
    MASTER_ADDR: "127.0.0.1",
    MASTER_PORT: String(port),
    TORCHELASTIC_RUN_ID: run,
    TORCHELASTIC_RESTART_COUNT: String(epoch - 1),
    TORCHELASTIC_USE_AGENT_STORE: "False",
    DUALGAUGE_RUN: run,
    DUALGAUGE_EPOCH: String(epoch),
  };
}
