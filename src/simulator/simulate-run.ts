/**
 * Simulates one training run with its faults, repairs, restarts and failovers, event by event.
 * Knows: the question, the order of events, seeded draws. Does not know: how many replicas are run or what is made of them.
 *
 * Faults of all nodes are one superposed Poisson process, thinned while nodes are young and by eviction of lemons, so the
 * cost is per fault, not per node and hour. A restart is not an event: faults that fall into it start it over.
 */
import { secondsPerDay } from "../spec/quantities.ts";
import { random } from "../spec/random.ts";
import { checkpointInterval } from "./checkpoint-interval.ts";
import { type AliasTable, aliasTable, Draws, drawIndex, gammaOfMeanOne } from "./draws.ts";
import { EventQueue } from "./event-queue.ts";
import { Progress } from "./progress.ts";
import { RepairShop } from "./repair-shop.ts";
import type { RunQuestion, SimulatedPool } from "./run-question.ts";

export interface RunOutcome {
  completed: boolean;
  /** Seconds from start to the last checkpoint, or to the horizon. */
  wallSeconds: number;
  /** Work kept (seconds at first-pool speed) over wall seconds: ETTR while the run stays on the first pool. */
  goodput: number;
  /** Faults that interrupted the run, outages included. */
  faults: number;
  /** Faults of idle nodes while the run stood and waited for a repair: they interrupt nothing but delay it further. */
  faultsWhileWaiting: number;
  plannedStops: number;
  stragglersSwapped: number;
  lemonsEvicted: number;
  failovers: number;
  finalPool: string;
  /** Where the wall seconds went that were not work kept; computing at less than first-pool speed is `slowSeconds`. */
  lost: {
    checkpointSeconds: number;
    reworkSeconds: number;
    restartSeconds: number;
    waitingSeconds: number;
    slowSeconds: number;
  };
}

const FAULT = 0;
const FINISH = 1;
const OUTAGE = 2;
const MAINTENANCE = 3;
const STRAGGLES = 4;
const STRAGGLER_FOUND = 5;
const PATIENCE_ENDS = 6;
const HORIZON = 7;
const REPAIRED = 8;
const SLOTS = 9;

/** After so many faults in a row without a checkpoint, or in one replica at all, the run is taken not to finish. */
const FAULTS_IN_ROW_MAX = 10_000;
const FAULTS_MAX = 1_000_000;
/** Share of the infant decay after which the rate that faults are drawn at is worked out anew; at most so many are thinned. */
const agedEnough = 1 / 64;
const never = Number.POSITIVE_INFINITY;

/** One simulator serves many replicas of one question, so that tables are built once. */
export class RunSimulator {
  private readonly question: RunQuestion;
  private readonly horizon: number;
  private readonly pools: readonly PoolTables[];
  private readonly queue = new EventQueue(SLOTS);
  private readonly progress = new Progress();
  private readonly faultDraws = new Draws(random(0, "simulated-faults"));
  private readonly causeDraws = new Draws(random(0, "simulated-causes"));
  private readonly repairDraws = new Draws(random(0, "simulated-repairs"));
  private readonly otherDraws = new Draws(random(0, "simulated-stragglers-and-outages"));

  private readonly rateDraws = random(0, "simulated-rate");
  private readonly workDraws = random(0, "simulated-work");

  private pool!: SimulatedPool;
  private tables!: PoolTables;
  private poolIndex = 0;
  private now = 0;
  /** When the current restart ends; Infinity while nodes are missing. */
  private upAt = 0;
  private speed = 1;
  private rateFactor = 1;
  private productiveSeconds = 0;
  /** Faults per second at which the next fault is drawn, when that was worked out, and how much of it is infant mortality's. */
  private hazardDrawn = 0;
  private hazardAt = 0;
  private youngHazard = 0;
  private young = false;
  private lemons = 0;
  private readonly shop = new RepairShop();
  private missing = 0;
  private straggling = false;
  private faultsInRow = 0;
  private durableAtFault = 0;
  private readonly causeNames: readonly string[];
  private readonly counts: Int32Array;
  private outages = 0;
  private faults = 0;
  private faultsWhileWaiting = 0;
  private plannedStops = 0;
  private stragglersSwapped = 0;
  private lemonsEvicted = 0;
  private reworkSeconds = 0;
  private waitingSeconds = 0;
  private slowSeconds = 0;
  private waitingSince = 0;

  constructor(question: RunQuestion) {
    this.question = question;
    this.horizon =
      question.horizonSeconds ?? Math.max(10 * question.productiveSeconds, 2 * (question.deadlineSeconds ?? 0));
    const causeNames = [...new Set(question.pools.flatMap(({ causes }) => causes.map(({ name }) => name)))];
    this.pools = question.pools.map((pool) => new PoolTables(question, pool, causeNames));
    this.counts = new Int32Array(causeNames.length);
    this.causeNames = causeNames;
  }

  run(seed: number): RunOutcome {
    this.reset(seed);
    const { queue } = this;
    let completed = false;
    for (;;) {
      // A horizon is always pending, so the queue never runs dry.
      queue.next();
      const { time, slot } = queue;
      if (slot === FAULT) this.onFaultTime(time);
      else {
        this.advance(time);
        if (slot === FINISH) {
          completed = true;
          break;
        }
        if (slot === HORIZON) break;
        this.onRareEvent(slot, time);
      }
      if (this.faultsInRow > FAULTS_IN_ROW_MAX || this.faults + this.faultsWhileWaiting > FAULTS_MAX) {
        this.upAt = never;
        this.advance(this.horizon);
        break;
      }
    }
    return this.outcome(completed);
  }

  private reset(seed: number): void {
    this.faultDraws.reset(seed, "simulated-faults");
    this.causeDraws.reset(seed, "simulated-causes");
    this.repairDraws.reset(seed, "simulated-repairs");
    this.otherDraws.reset(seed, "simulated-stragglers-and-outages");
    const { rateShape, workDeviation, productiveSeconds } = this.question;
    this.rateDraws.reseed(seed, "simulated-rate");
    this.workDraws.reseed(seed, "simulated-work");
    this.rateFactor = rateShape === undefined ? 1 : gammaOfMeanOne(this.rateDraws, rateShape);
    this.productiveSeconds =
      productiveSeconds * (workDeviation === undefined ? 1 : Math.exp(workDeviation * this.workDraws.normal()));
    this.queue.clear();
    this.progress.reset();
    this.counts.fill(0);
    this.now = 0;
    this.outages =
      this.faults =
      this.faultsWhileWaiting =
      this.plannedStops =
      this.stragglersSwapped =
      this.lemonsEvicted =
        0;
    this.reworkSeconds = this.waitingSeconds = this.slowSeconds = 0;
    this.queue.schedule(HORIZON, this.horizon);
    this.enter(0, 0);
  }

  /** Starts on pool `index`, working from second `upAt`. */
  private enter(index: number, upAt: number): void {
    this.poolIndex = index;
    this.tables = this.pools[index]!;
    this.pool = this.tables.pool;
    this.progress.interval = this.tables.interval;
    this.progress.stall = this.question.checkpoint.stallSeconds;
    this.progress.persist = this.question.checkpoint.persistSeconds;
    this.lemons = Math.round(this.pool.nodes * (this.pool.lemons?.share ?? 0));
    this.shop.reset(this.pool.spares, this.pool.repairCrews);
    this.missing = this.faultsInRow = 0;
    this.straggling = false;
    this.speed = this.pool.relativeSpeed;
    this.upAt = upAt;
    this.setHazard();
    this.scheduleFault();
    this.scheduleRare(OUTAGE, this.pool.outages?.perDay ?? 0);
    this.scheduleRare(MAINTENANCE, this.pool.maintenance?.perDay ?? 0);
    this.scheduleRare(STRAGGLES, (this.pool.stragglers?.perNodeDay ?? 0) * this.pool.nodes);
    this.queue.schedule(STRAGGLER_FOUND, never);
    this.queue.schedule(PATIENCE_ENDS, never);
    this.queue.schedule(REPAIRED, never);
    this.scheduleFinish();
  }

  /** Brings progress up to second `to`; nothing happens before `upAt`. */
  private advance(to: number): void {
    const from = this.now > this.upAt ? this.now : this.upAt;
    if (to > from) {
      const before = this.progress.computeSeconds;
      this.progress.advance(from, to, this.speed);
      if (this.speed !== 1) this.slowSeconds += (this.progress.computeSeconds - before) * (1 - this.speed);
    }
    this.now = to;
  }

  private onFaultTime(time: number): void {
    const { tables } = this;
    this.advance(time);
    if (this.young && this.thinned()) {
      this.scheduleFault();
      this.scheduleFinish();
      return;
    }
    const cause = drawIndex(tables.causes, this.causeDraws.uniform());
    this.counts[tables.causeIndex[cause]!]!++;
    if (this.lemons > 0 && this.perhapsEvictLemon()) this.setHazard();
    this.interrupt(time, tables.leaves[cause] === 1);
    this.scheduleFault();
    this.scheduleFinish();
  }

  /** Work since the last durable checkpoint is gone; the run restarts at once, or when a node comes free. The caller schedules the end. */
  private interrupt(time: number, nodeLeaves: boolean): void {
    const { pool, progress } = this;
    if (this.upAt === never) this.faultsWhileWaiting++;
    else this.faults++;
    this.reworkSeconds += progress.rollBack() / pool.relativeSpeed;
    if (progress.durable > this.durableAtFault) this.faultsInRow = 0;
    this.durableAtFault = progress.durable;
    // A node that breaks while the run waits for another one says nothing new about the pool.
    if (this.upAt !== never) this.faultsInRow++;
    if (nodeLeaves) {
      if (!this.shop.takeSpare(time)) this.missing++;
      // Where spares never run out, nobody waits for a repair.
      if (this.shop.matters) this.shop.takeIn(time, this.repairDraws.exponential() * pool.repairSeconds);
    }
    const { failover } = this.question;
    if (failover && this.faultsInRow >= failover.faultsWithoutProgress && this.failOver(time)) return;
    if (this.missing > 0) this.wait(time);
    else this.upAt = time + pool.detectSeconds + pool.restartSeconds;
  }

  private onRepaired(time: number): void {
    while (this.missing > 0 && this.shop.takeSpare(time)) this.missing--;
    if (this.missing > 0) {
      this.queue.schedule(REPAIRED, this.shop.nextEnd());
      return;
    }
    this.waitingSeconds += time - this.waitingSince;
    this.upAt = Math.max(time, this.waitingSince + this.pool.detectSeconds) + this.pool.restartSeconds;
    this.queue.schedule(PATIENCE_ENDS, never);
    this.scheduleFinish();
  }

  private wait(time: number): void {
    if (this.upAt !== never) {
      this.waitingSince = time;
      const { failover } = this.question;
      if (failover && this.poolIndex + 1 < this.pools.length)
        this.queue.schedule(PATIENCE_ENDS, time + failover.waitSeconds);
    }
    this.upAt = never;
    this.queue.schedule(REPAIRED, this.shop.nextEnd());
  }

  /** Moves to the next pool; false when there is none. */
  private failOver(time: number): boolean {
    const { failover, checkpoint } = this.question;
    if (!failover || this.poolIndex + 1 >= this.pools.length) return false;
    if (this.upAt === never) this.waitingSeconds += time - this.waitingSince;
    this.enter(this.poolIndex + 1, time + failover.switchSeconds + checkpoint.stallSeconds);
    return true;
  }

  private onRareEvent(slot: number, time: number): void {
    const { pool } = this;
    switch (slot) {
      case OUTAGE: {
        this.scheduleRare(OUTAGE, pool.outages?.perDay ?? 0);
        this.outages++;
        const index = this.poolIndex;
        this.interrupt(time, false);
        if (index === this.poolIndex) this.delay(pool.outages?.seconds ?? 0);
        return;
      }
      case MAINTENANCE:
        this.scheduleRare(MAINTENANCE, pool.maintenance?.perDay ?? 0);
        this.plannedStops++;
        this.planned(time, pool.maintenance?.seconds ?? 0);
        return;
      case STRAGGLES: {
        const { stragglers } = pool;
        if (!stragglers) return;
        this.scheduleRare(STRAGGLES, stragglers.perNodeDay * pool.nodes);
        if (this.straggling) return;
        this.straggling = true;
        this.speed = pool.relativeSpeed * (1 - stragglers.slowdown);
        this.queue.schedule(STRAGGLER_FOUND, time + this.otherDraws.exponential() * stragglers.detectSeconds);
        this.scheduleFinish();
        return;
      }
      case STRAGGLER_FOUND:
        this.straggling = false;
        this.stragglersSwapped++;
        this.speed = pool.relativeSpeed;
        this.planned(time, 0);
        return;
      case REPAIRED:
        this.onRepaired(time);
        return;
      case PATIENCE_ENDS:
        this.failOver(time);
    }
  }

  /** A stop at a checkpoint: it costs the checkpoint, the stop and a restart, and no work; nothing if the run is down anyway. */
  private planned(time: number, stopSeconds: number): void {
    if (this.upAt <= time) {
      this.progress.save();
      this.upAt = time + this.question.checkpoint.stallSeconds + this.pool.restartSeconds;
    }
    this.delay(stopSeconds);
  }

  private delay(stopSeconds: number): void {
    if (this.upAt !== never) this.upAt += stopSeconds;
    this.scheduleFinish();
  }

  /** Call it after `scheduleFault`: an end that cannot come before the next fault is not worked out, since that fault will. */
  private scheduleFinish(): void {
    const { upAt, now, progress, queue } = this;
    const from = upAt > now ? upAt : now;
    const total = this.productiveSeconds;
    if (from + (total - progress.work) / this.speed >= queue.dueAt(FAULT)) queue.schedule(FINISH, never);
    else queue.schedule(FINISH, from + progress.secondsUntil(total, this.speed));
  }

  private scheduleFault(): void {
    const hazard = this.hazardDrawn;
    this.queue.schedule(FAULT, hazard > 0 ? this.now + this.faultDraws.exponential() / hazard : never);
  }

  private scheduleRare(slot: number, perDay: number): void {
    this.queue.schedule(slot, perDay > 0 ? this.now + (this.otherDraws.exponential() * secondsPerDay) / perDay : never);
  }

  /** Works out faults per second of all nodes now; it only falls until the next call, so later draws can be thinned. */
  private setHazard(): void {
    const { tables, now } = this;
    const { infant } = tables;
    const settled =
      tables.healthyHazard * (this.pool.nodes - this.lemons + this.lemons * tables.lemonFactor) * this.rateFactor;
    this.young = infant !== undefined && now < tables.infancySeconds;
    this.youngHazard = infant && this.young ? settled * infant.excess * Math.exp(-now / infant.decaySeconds) : 0;
    this.hazardDrawn = settled + this.youngHazard;
    this.hazardAt = now;
  }

  /**
   * Whether the fault due now, drawn at an earlier and higher rate, does not happen (thinning: Lewis & Shedler 1979). The
   * rate is worked out only where a straight line below it does not decide; the drawn rate is renewed when it has aged.
   */
  private thinned(): boolean {
    const { infant } = this.tables;
    const aged = (this.now - this.hazardAt) / (infant?.decaySeconds ?? 1);
    const drawn = this.faultDraws.uniform() * this.hazardDrawn;
    if (aged < agedEnough && drawn < this.hazardDrawn - this.youngHazard * aged) return false;
    const rejected = drawn >= this.hazardDrawn + this.youngHazard * Math.expm1(-aged);
    if (aged >= agedEnough) this.setHazard();
    return rejected;
  }

  /** Whether this fault was a lemon's, and if so whether it was its last: its spare is an ordinary node. */
  private perhapsEvictLemon(): boolean {
    const { lemonFactor, evictProbability } = this.tables;
    const ofLemons = this.lemons * lemonFactor;
    if (this.otherDraws.uniform() * (this.pool.nodes - this.lemons + ofLemons) >= ofLemons) return false;
    if (this.otherDraws.uniform() >= evictProbability) return false;
    this.lemons--;
    this.lemonsEvicted++;
    return true;
  }

  /** Faults of the last run by cause name; outages are "pool outage". */
  faultsByCause(): Record<string, number> {
    const faultsByCause: Record<string, number> = {};
    this.causeNames.forEach((name, i) => {
      const count = this.counts[i] ?? 0;
      if (count > 0) faultsByCause[name] = count;
    });
    if (this.outages > 0) faultsByCause["pool outage"] = this.outages;
    return faultsByCause;
  }

  private outcome(completed: boolean): RunOutcome {
    const { progress, now } = this;
    if (this.upAt === never) this.waitingSeconds += now - this.waitingSince;
    const kept = Math.min(progress.work, this.productiveSeconds);
    // The last checkpoint comes when the work is done, not at the end of an interval; the cycle took its stall for work.
    const lastStall = (progress.work - kept) / this.speed;
    return {
      completed,
      wallSeconds: now,
      goodput: kept / now,
      faults: this.faults,
      faultsWhileWaiting: this.faultsWhileWaiting,
      plannedStops: this.plannedStops,
      stragglersSwapped: this.stragglersSwapped,
      lemonsEvicted: this.lemonsEvicted,
      failovers: this.poolIndex,
      finalPool: this.pool.name,
      lost: {
        checkpointSeconds: progress.stallSeconds + lastStall,
        reworkSeconds: this.reworkSeconds,
        restartSeconds: now - progress.stallSeconds - progress.computeSeconds - this.waitingSeconds,
        waitingSeconds: this.waitingSeconds,
        slowSeconds: this.slowSeconds - lastStall * (1 - this.speed),
      },
    };
  }
}

/** What can be worked out once per pool. */
class PoolTables {
  readonly pool: SimulatedPool;
  readonly interval: number;
  readonly causes: AliasTable;
  readonly causeIndex: Int32Array;
  readonly leaves: Uint8Array;
  /** Faults per second of one node that is no lemon, such that the mean over all nodes is the rate asked for. */
  readonly healthyHazard: number;
  readonly lemonFactor: number;
  readonly evictProbability: number;
  readonly infant: SimulatedPool["infantMortality"];
  /** From here on the excess is below a ten-thousandth and left out. */
  readonly infancySeconds: number;

  constructor(question: RunQuestion, pool: SimulatedPool, causeNames: readonly string[]) {
    this.pool = pool;
    this.interval = checkpointInterval(question, pool);
    this.causes = aliasTable(pool.causes.map(({ share }) => share));
    this.causeIndex = Int32Array.from(pool.causes, ({ name }) => causeNames.indexOf(name));
    this.leaves = Uint8Array.from(pool.causes, ({ nodeLeaves }) => (nodeLeaves ? 1 : 0));
    this.lemonFactor = pool.lemons?.rateFactor ?? 1;
    const lemons = Math.round(pool.nodes * (pool.lemons?.share ?? 0));
    const meanFactor = (pool.nodes - lemons + lemons * this.lemonFactor) / pool.nodes;
    this.healthyHazard = pool.failuresPerNodeDay / secondsPerDay / meanFactor;
    this.evictProbability = pool.lemons?.evictAfterFailures === undefined ? 0 : 1 / pool.lemons.evictAfterFailures;
    this.infant = pool.infantMortality;
    this.infancySeconds = this.infant ? Math.max(0, Math.log(this.infant.excess * 1e4)) * this.infant.decaySeconds : 0;
  }
}
