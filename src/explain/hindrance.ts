import { instantOf } from '../order/set-aside.ts'
import type { Answer } from './answer.ts'
import { lastObstacleOf, type Obstacle, type OrderFacts } from './facts.ts'

type Hindrance = Pick<Answer, 'code' | 'text' | 'next'>

/** What keeps an overdue order from being cancelled: all orders now, or this one when it was last looked at. */
export function hindranceOf(facts: OrderFacts): Hindrance | undefined {
  const hold = holdOf(facts)
  if (hold && hold.code !== 'QUEUE_PAUSED') return hold
  const obstacle = lastObstacleOf(facts)
  const when = obstacle && whenMet(obstacle)
  const why = obstacle?.why ?? ''
  if (/^(locked|STORE_LOCKED|STORE_DEADLOCK|STORE_SERIALIZATION)$/.test(why)) {
    return {
      code: 'LOCKED',
      text: `another transaction had locked its row ${when}`,
      next: 'It is tried again by itself, once that payment or whatever it is has ended. If it lasts, find the transaction that holds the lock, and end it.',
    }
  }
  if (/^(STORE_REJECTED|UNEXPECTED)$/.test(why)) {
    return {
      code: 'REJECTED',
      text: `the order store rejected its cancellation ${when}${saying(obstacle?.message)}`,
      next: 'Mend what the order store names: a trigger, a constraint, the row. Then it is tried again by itself.',
    }
  }
  if (why === 'STORE_UNDECIDED') {
    return {
      code: 'UNDECIDED',
      text: `another order in its batch stopped the statement ${when}${saying(obstacle?.message)}`,
      next: 'It is tried again by itself, with others. If it lasts, look for rejected orders in the log.',
    }
  }
  if (why.startsWith('STORE_') || why === 'OUTBOX_MISSING') {
    return {
      code: 'STORE_FAILED',
      text: `the order store did not work ${when} (${why})`,
      next: 'Look at /readyz and `order-expiry doctor`: once the order store works, the order is cancelled.',
    }
  }
  return hold
}

/** What keeps all orders from being cancelled now. */
export function holdOf({ holds = {}, checks, order }: OrderFacts): Hindrance | undefined {
  const { brake, isPaused, dryRun } = holds
  if (brake?.isUnknown) {
    const text = 'nothing is cancelled, because the state of the brake cannot be read'
    const next = 'Let this user of Redis read the brake: `order-expiry doctor` says how.'
    return { code: 'BRAKE_UNKNOWN', text, next }
  }
  if (brake) {
    return {
      code: 'BRAKE_ENGAGED',
      text: `the brake is holding back all cancellations${brake.reason ? ` (${brake.reason})` : ''}`,
      next: 'Find out why payments are missing; then run `order-expiry brake release`.',
    }
  }
  if (dryRun) {
    const text = 'nothing is cancelled while DRY_RUN is set'
    return { code: 'DRY_RUN', text, next: 'Unset DRY_RUN and start the daemon again when its decisions are right.' }
  }
  if (!isPaused || checks.length === 0) return undefined
  const isSwept = order?.deadline !== undefined
  const text = `the queue is paused, so ${isSwept ? 'only the sweep cancels orders' : 'its check does not begin'}`
  return { code: 'QUEUE_PAUSED', text, next: 'Resume the queue on the board.' }
}

function whenMet({ at, by }: Obstacle): string {
  const instant = instantOf(at)
  return by === 'sweep' ? `in the sweeps since ${instant}` : `when it was last tried, at ${instant}`
}

function saying(message: string | undefined): string {
  return message ? `: ${message.replace(/\.$/, '')}` : ''
}
