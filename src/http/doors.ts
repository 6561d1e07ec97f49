import type { FastifyInstance } from 'fastify'
import type { EventBus } from '../observe/events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { ApiToken, BoardUser } from '../settings/credentials.ts'
import { type Door, guard } from './auth.ts'
import type { Front } from './front.ts'
import { Guesses } from './guesses.ts'

/** Closes the routes of a scope to whoever has no business there. */
export type Admit = (scope: FastifyInstance) => void

/** Who may come in where. What has neither users nor tokens is open if `isOpen`, else closed. */
export function createDoors(options: {
  users: readonly BoardUser[]
  tokens: readonly ApiToken[]
  /** Undefined: not set. Without `token`: open to everybody. */
  metrics: { token?: string } | undefined
  /** Only programs of this machine can ask. */
  isOpen: boolean
  front: Front
  events: EventBus
  clock: Clock
}): Record<Door['name'], Admit> {
  const { users, tokens, metrics, isOpen, front, events, clock } = options
  const watch = { guesses: new Guesses({ clock }), events, clock }
  const admit = (door: Door) => (scope: FastifyInstance) => guard(scope, { door, watch })
  // A browser cannot send a token: where the pages are open, so is the description of the API.
  const readers = users.length === 0 && isOpen && front.userHeader === undefined ? [] : tokens
  const scraper = metrics?.token === undefined ? [] : [{ name: 'metrics', token: metrics.token }]
  return {
    api: admit({ name: 'api', tokens, isOpen, settings: 'API_TOKENS' }),
    pages: admit({ name: 'pages', users, front, isOpen, settings: 'BOARD_USERS' }),
    docs: admit({ name: 'docs', users, front, tokens: readers, isOpen, settings: 'BOARD_USERS or API_TOKENS' }),
    metrics:
      metrics && scraper.length === 0
        ? () => {}
        : admit({ name: 'metrics', tokens: scraper, isOpen, settings: 'METRICS_TOKEN' }),
  }
}
