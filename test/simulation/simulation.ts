import { type BrakeFlaw, FakeBrake } from './fake-brake.ts'
import type { FinishedJob } from './fake-claims.ts'
import { FakeQueue } from './fake-queue.ts'
import { EPOCH, Host } from './host.ts'
import { judge } from './judge.ts'
import type { Operation, Scenario } from './scenario.ts'
import { Scheduler } from './scheduler.ts'
import { type Doubles, type Servers, SimulatedDaemon } from './simulated-daemon.ts'
import { SimulatedStore, type StoreFlaw } from './simulated-store.ts'

/** What is broken on purpose. */
export interface Flaws extends Doubles {
  store?: StoreFlaw
  brake?: BrakeFlaw
}

interface Report {
  /** The promises that were broken; none: all held. */
  violations: string[]
  fingerprint: number
  steps: number
  trace: string[]
}

/** The longest time after the end that a job of a slow clock, a dry run or a back-off may still take. */
const REST_MS = 400_000

/** Runs the scenario: first the operations and faults, then a time without, then the judgement. */
export async function simulate(scenario: Scenario, flaws: Flaws = {}): Promise<Report> {
  const simulation = new Simulation(scenario, flaws)
  return simulation.run()
}

class Simulation {
  readonly #scenario: Scenario
  readonly #flaws: Flaws
  readonly #scheduler: Scheduler
  readonly #servers: Servers
  readonly #daemons: SimulatedDaemon[] = []
  readonly #offsetsMs: number[]
  readonly #finished: FinishedJob[] = []
  #lives = 0
  #isHealed = false

  constructor(scenario: Scenario, flaws: Flaws) {
    this.#scenario = scenario
    this.#flaws = flaws
    const scheduler = new Scheduler(scenario.seed)
    this.#scheduler = scheduler
    this.#offsetsMs = [...scenario.offsetsMs]
    this.#servers = {
      store: new SimulatedStore({ scheduler, flaw: flaws.store }),
      queue: new FakeQueue({ scheduler }),
      brake: new FakeBrake({ scheduler, flaw: flaws.brake }),
    }
  }

  async run(): Promise<Report> {
    const { orders, operations, spanMs } = this.#scenario
    for (const process of [0, 1]) this.#startProcess(process, false)
    for (const n of orders.keys()) this.#planOrder(n)
    for (const operation of operations) this.#plan(operation)
    this.#scheduler.at(spanMs, '', 'heals', () => this.#heal())
    await this.#scheduler.run(spanMs + REST_MS, () => this.#isHealed && this.#isAllDone())
    const violations = judge({
      scenario: this.#scenario,
      servers: this.#servers,
      daemons: this.#daemons,
      finished: this.#finished,
      endedAt: this.#scheduler.now,
    })
    const { fingerprint, steps, trace } = this.#scheduler
    return { violations, fingerprint, steps, trace }
  }

  #startProcess(process: number, isDryRun: boolean): void {
    const { seed, settings } = this.#scenario
    const name = `${'AB'[process]}${this.#lives++}`
    const offsetMs = this.#offsetsMs[process] as number
    const host = new Host({ name, seed, scheduler: this.#scheduler, offsetMs, isDryRun })
    host.note(`starts${isDryRun ? ' a dry run' : ''}, its clock off by ${offsetMs} ms`)
    this.#daemons[process] = new SimulatedDaemon({
      host,
      servers: this.#servers,
      settings,
      doubles: this.#flaws,
      onFinished: (finished) => this.#finished.push(finished),
    })
  }

  #crash(process: number): void {
    const { host } = this.#daemons[process] as SimulatedDaemon
    host.note('is killed')
    host.crash()
  }

  #planOrder(n: number): void {
    const { store, queue } = this.#servers
    const { placedAt, deadline, jobAfterMs, isBad } = this.#scenario.orders[n] as Scenario['orders'][number]
    const order = { orderId: orderId(n), deadline: EPOCH + this.#timeOf(deadline) }
    const at = this.#timeOf(placedAt) + Math.max(0, -(jobAfterMs ?? 0))
    this.#scheduler.at(at, order.orderId, 'placed', () => store.place({ ...order, isBad }))
    if (jobAfterMs === undefined) return
    this.#scheduler.at(at + jobAfterMs, order.orderId, 'scheduled', () => queue.add({ jobId: order.orderId, ...order }))
  }

  #plan(operation: Operation): void {
    const { kind } = operation
    const order = 'order' in operation ? operation.order % this.#scenario.orders.length : 0
    const at =
      kind === 'pay-late'
        ? this.#timeOf(this.#scenario.orders[order]?.deadline as number) + operation.byMs
        : this.#timeOf(operation.at)
    this.#scheduler.at(Math.min(at, this.#scenario.spanMs - 1), orderId(order), kind, () =>
      this.#do(operation, orderId(order)),
    )
  }

  #do(operation: Operation, orderId: string): void {
    const { store, queue, brake } = this.#servers
    const { kind } = operation
    if (!['pay', 'pay-late', 'withdraw', 'extend', 'sweep', 'crash'].includes(kind))
      this.#scheduler.note('', JSON.stringify(operation))
    switch (kind) {
      case 'pay':
      case 'pay-late':
        void store.pay(orderId, operation)
        break
      case 'withdraw':
        void store.withdraw(orderId)
        break
      case 'extend':
        void store.extend(orderId, operation.byMs).then((deadline) => {
          if (deadline !== undefined && operation.tellsQueue) queue.move(orderId, deadline)
        })
        break
      case 'promote':
        queue.promote(orderId)
        break
      case 'check-again':
        queue.add({ jobId: `again-${orderId}-${this.#scheduler.now}`, orderId, deadline: store.now })
        break
      case 'sweep':
        this.#daemons[operation.process]?.sweeper.wake()
        break
      case 'crash': {
        this.#crash(operation.process)
        this.#scheduler.at(this.#soon(operation.downMs), '', 'restart', () => {
          if (!this.#daemons[operation.process]?.host.isAlive)
            this.#startProcess(operation.process, operation.thenDryRun)
        })
        break
      }
      case 'freeze':
        this.#daemons[operation.process]?.host.freeze(this.#soon(operation.forMs) - this.#scheduler.now)
        break
      case 'set-clock': {
        const { host } = this.#daemons[operation.process] as SimulatedDaemon
        host.offsetMs += operation.byMs
        this.#offsetsMs[operation.process] = host.offsetMs
        break
      }
      case 'store-outage': {
        const outage = { ...operation, isCommitted: operation.isCommitted && operation.code === 'STORE_UNAVAILABLE' }
        store.outage = outage
        this.#scheduler.at(this.#soon(operation.forMs), '', 'store back', () => {
          if (store.outage === outage) store.outage = undefined
        })
        break
      }
      case 'redis-away':
        this.#setRedisAway(true)
        this.#scheduler.at(this.#soon(operation.forMs), '', 'redis back', () => this.#setRedisAway(false))
        break
      case 'redis-emptied':
        queue.empty()
        brake.empty()
        break
      case 'engage':
        if (!queue.isAway) brake.engage('manual')
        break
      case 'release':
        if (!queue.isAway) brake.release(operation.suspendMs)
        break
    }
  }

  #heal(): void {
    this.#scheduler.note('', 'no faults from here on')
    this.#isHealed = true
    this.#servers.store.outage = undefined
    this.#setRedisAway(false)
    this.#servers.brake.release(10 * REST_MS)
    for (const [process, { host }] of this.#daemons.entries()) {
      if (host.isAlive && !host.isDryRun) continue
      if (host.isAlive) this.#crash(process)
      this.#startProcess(process, false)
    }
  }

  #setRedisAway(isAway: boolean): void {
    this.#servers.queue.isAway = isAway
    this.#servers.brake.isAway = isAway
  }

  #isAllDone(): boolean {
    const { store, queue } = this.#servers
    return (
      !store.all.some(({ orderId, status }) => status === 'pending' && !store.bad.has(orderId)) &&
      ![...queue.jobs.values()].some(({ state, orderId }) => isUnfinished(state) && !store.bad.has(orderId)) &&
      this.#daemons.every(({ breaker }) => !breaker.failure)
    )
  }

  #timeOf(place: number): number {
    return (place / 100) * this.#scenario.spanMs
  }

  /** Faults end when healing begins. */
  #soon(ms: number): number {
    return Math.min(this.#scheduler.now + ms, this.#scenario.spanMs)
  }
}

function orderId(n: number): string {
  return `order-${n}`
}

function isUnfinished(state: string): boolean {
  return state === 'delayed' || state === 'active'
}
