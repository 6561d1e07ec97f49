import type { FastifyInstance } from 'fastify'
import { type ExplainSources, explainOrder } from '../../explain/story.ts'
import type { Vitals } from '../../observe/vitals.ts'
import { guidePage } from './guide.ts'
import { LOCAL_TIMES } from './local-times.ts'
import { LOCAL_TIMES_PATH, searchPage, storyPage } from './order-story.ts'
import { overviewPage, REFRESH_S } from './overview.ts'
import { sendPage } from './page.ts'
import { readOverview } from './read-overview.ts'
import { linkTo, type Site } from './site.ts'

interface Pages {
  site: Site
  vitals: Vitals & ExplainSources
  queueName: string
}

const schema = { hide: true }

/** `/` is the overview, `/orders` asks for an id, and `/orders/{id}` tells that order's story, to which the board links. `/guide` has
 * the documentation. */
export function registerPages(scope: FastifyInstance, pages: Pages): void {
  const { site, vitals, queueName } = pages

  scope.get<{ Querystring: { paused?: unknown } }>('/', { schema }, async ({ query }, reply) => {
    const isPaused = query.paused !== undefined
    if (!isPaused) reply.header('refresh', String(REFRESH_S))
    return sendPage(reply, overviewPage({ site, overview: await readOverview(vitals), isPaused }))
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
    async ({ params, query }, reply) => {
      const jobId = typeof query.job === 'string' ? query.job : undefined
      const story = await explainOrder({ orderId: params.id, jobId, sources: vitals })
      const [queue, job] = [queueName, jobId ?? story.jobId ?? ''].map(encodeURIComponent)
      const boardPath = job ? `/board/queue/${queue}/${job}` : undefined
      return sendPage(reply, storyPage({ site, story, boardPath }))
    },
  )

  scope.get(LOCAL_TIMES_PATH, { schema }, async (_request, reply) =>
    reply.header('cache-control', 'no-cache').type('text/javascript; charset=utf-8').send(LOCAL_TIMES),
  )
}
