import type { OrdersTable } from './orders-table.ts'
import type { PaymentService } from './payment-service.ts'
import { TROUBLES } from './provider-server.ts'
import type { Random } from './random.ts'

type State = 'open' | 'in-flight' | 'captured' | 'closed'

/** Buyers who pay around the deadline of their orders, or do not, at a provider that is not always well. */
export class PayingShop {
  /** By reference, what the provider knows. */
  readonly payments = new Map<string, State>()
  /** The payment of each order that was captured. */
  readonly captured = new Map<string, string>()
  /** Those of which the shop's webhook has taken note, or tried to: too late if its order was cancelled. */
  readonly noted = new Set<string>()
  readonly #table: OrdersTable
  readonly #random: Random
  readonly #buyers: Promise<void>[] = []

  constructor(options: { table: OrdersTable; service: PaymentService; random: Random; troubles: number }) {
    const { table, service, random, troubles } = options
    this.#table = table
    this.#random = random
    service.verdict = ({ payment }) => {
      const state = this.payments.get(payment)
      if (state === 'captured') return { verdict: 'paid' }
      if (state === 'in-flight') return { verdict: 'in-flight', retryAfter: 1 }
      this.payments.set(payment, 'closed')
      return { verdict: 'closed' }
    }
    // `busy`, `unavailable` and `silent` ask for seconds of patience, which a few of them show.
    const kinds = TROUBLES.filter((kind) => !['silent', 'busy', 'unavailable', 'endless'].includes(kind))
    const slow = Array.from({ length: troubles }, () => (random.next() < 0.4 ? random.pick(kinds) : undefined))
    service.troubles.push('silent', 'busy', 'unavailable', ...slow)
  }

  /** Orders that fall due within two seconds; most have a payment. */
  async place(count: number): Promise<void> {
    const from = Date.now() + 3_000
    const orders = Array.from({ length: count }, (_, n) => ({
      id: `${n}`,
      deadline: from + this.#random.between(0, 2_000),
    }))
    await this.#table.insert(orders)
    for (const { id, deadline } of orders) {
      if (this.#random.next() < 0.15) continue
      await this.#begin(id, `pay_${id}`)
      this.#buyers.push(this.#buy(id, deadline))
    }
  }

  async #begin(id: string, reference: string): Promise<boolean> {
    const { rowCount } = await this.#table.pool.query(
      `UPDATE orders SET payment = $2 WHERE id::text = $1 AND status = 'pending'`,
      [id, reference],
    )
    if (rowCount === 1) this.payments.set(reference, 'open')
    return rowCount === 1
  }

  /** What a buyer does, by chance: begins a second payment, pays, or only tries to; the shop hears of it later, or never. */
  async #buy(id: string, deadline: number): Promise<void> {
    const random = this.#random
    const [acts, again, pays, hears] = [
      random.next() < 0.5,
      random.next() < 0.2,
      random.next() < 0.7,
      random.next() < 0.5,
    ]
    const [at, takes, hearsAfter] = [random.between(-1_500, 1_500), random.between(0, 1_000), random.between(0, 3_000)]
    if (!acts) return
    await until(deadline + at)
    let reference = `pay_${id}`
    if (again && this.payments.get(reference) === 'open' && (await this.#begin(id, `${reference}_again`))) {
      reference = `${reference}_again`
    }
    if (this.payments.get(reference) !== 'open') return
    this.payments.set(reference, 'in-flight')
    await until(Date.now() + takes)
    this.payments.set(reference, pays ? 'captured' : 'open')
    if (pays) this.captured.set(id, reference)
    if (!pays || !hears) return
    await until(Date.now() + hearsAfter)
    this.noted.add(id)
    await this.#table.pay(id)
  }

  /** Resolves once no buyer does anything any more. */
  async buyersAreDone(): Promise<void> {
    await Promise.all(this.#buyers)
  }
}

function until(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, time - Date.now())))
}

/** Lets slow answers go after a moment. */
export function releaseSlow(service: PaymentService, random: Random): () => void {
  const timer = setInterval(() => {
    if (random.next() < 0.5) service.held.shift()?.()
  }, 20)
  return () => clearInterval(timer)
}
