import type { FastifyInstance } from 'fastify'
import { type ExplainSources, explainOrder } from '../../explain/story.ts'
import type { Vitals } from '../../observe/vitals.ts'
import { SeldomRead } from '../../runtime/seldom-read.ts'
import type { FirstSteps } from './first-steps.ts'
import { forViewers } from './for-viewers.ts'
import { guidePage } from './guide.ts'
import { LOCAL_TIMES } from './local-times.ts'
import { LOCAL_TIMES_PATH, searchPage, storyPage } from './order-story.ts'
import { overviewPage, REFRESH_S } from './overview.ts'
import { sendPage } from './page.ts'
import { readOverview } from './read-overview.ts'
import { addressOf, linkTo, type Site } from './site.ts'

interface Pages {
  site: Site
  vitals: Vitals & ExplainSources
  queueName: string
  /** Whether it wants a token, or is closed. */
  api: FirstSteps['api']
}

const schema = { hide: true }
const FRESH_FOR_MS = 1_000

/** `/` is the overview, `/orders` asks for an id, and `/orders/{id}` tells that order's story, to which the board links. `/guide` has
 * the documentation. */
export function registerPages(scope: FastifyInstance, pages: Pages): void {
  const { site, vitals, queueName, api } = pages
  const boardPath = `/board/queue/${encodeURIComponent(queueName)}`
  // However many look, Redis and the store are asked once, and again a second later.
  const overview = new SeldomRead({
    look: () => readOverview(vitals),
    freshForMs: FRESH_FOR_MS,
    freshTimes: 0,
    clock: vitals.clock,
  })

  scope.get<{ Querystring: { paused?: unknown } }>('/', { schema }, async (request, reply) => {
    const isPaused = request.query.paused !== undefined
    const { value } = await overview.read()
    const steps = { address: addressOf(request, site), api }
    if (!isPaused) reply.header('refresh', String(REFRESH_S))
    return sendPage(reply, overviewPage({ site, overview: value, boardPath, isPaused, steps }))
  })

  scope.get<{ Params: { name: string } }>('/guide/:name', { schema }, async ({ params: { name } }, reply) =>
    sendPage(reply, await guidePage({ site, name })),
  )

  scope.get<{ Querystring: { id?: unknown } }>('/orders', { schema }, async ({ query }, reply) => {
    const id = typeof query.id === 'string' ? query.id.trim() : ''
    return id === ''
      ? sendPage(reply, searchPage(site))
      : reply.redirect(linkTo(site, `/orders/${encodeURIComponent(id)}`), 303)
  })

  scope.get<{ Params: { id: string }; Querystring: { job?: unknown } }>(
    '/orders/:id',
    { schema },
    async ({ params, query, role }, reply) => {
      const jobId = typeof query.job === 'string' ? query.job : undefined
      const sources = role === 'operator' ? vitals : forViewers(vitals)
      const story = await explainOrder({ orderId: params.id, jobId, sources })
      const job = jobId ?? story.jobId
      const jobPath = job && `${boardPath}/${encodeURIComponent(job)}`
      return sendPage(reply, storyPage({ site, story, boardPath: jobPath }))
    },
  )

  scope.get(LOCAL_TIMES_PATH, { schema }, async (_request, reply) =>
    reply.header('cache-control', 'no-cache').type('text/javascript; charset=utf-8').send(LOCAL_TIMES),
  )
}
