import type { FastifyInstance } from 'fastify'
import { type ExplainSources, explainOrder } from '../../explain/story.ts'
import type { Vitals } from '../../observe/vitals.ts'
import { jobIdOf } from '../../queue/contract.ts'
import { searchPage, storyPage } from './order-story.ts'
import { overviewPage } from './overview.ts'
import { sendPage } from './page.ts'
import { readOverview } from './read-overview.ts'

interface Pages {
  vitals: Vitals & ExplainSources
  queueName: string
  /** A badge on the overview, such as `staging`. */
  environment: string | undefined
}

const schema = { hide: true }

/** `/` is the overview, `/orders` asks for an id, and `/orders/{id}` tells that order's story; the board links to it. */
export function registerPages(scope: FastifyInstance, pages: Pages): void {
  const { vitals, queueName, environment } = pages

  scope.get('/', { schema }, async (_request, reply) =>
    sendPage(reply, overviewPage({ overview: await readOverview(vitals), environment, version: vitals.version })),
  )

  scope.get<{ Querystring: { id?: unknown } }>('/orders', { schema }, async ({ query }, reply) => {
    const id = typeof query.id === 'string' ? query.id.trim() : ''
    return id === '' ? sendPage(reply, searchPage()) : reply.redirect(`/orders/${encodeURIComponent(id)}`, 303)
  })

  scope.get<{ Params: { id: string }; Querystring: { job?: unknown } }>(
    '/orders/:id',
    { schema },
    async ({ params, query }, reply) => {
      const jobId = typeof query.job === 'string' ? query.job : undefined
      const story = await explainOrder({ orderId: params.id, jobId, sources: vitals })
      const [queue, job] = [queueName, jobId ?? jobIdOf(story.orderId)].map(encodeURIComponent)
      return sendPage(reply, storyPage({ story, boardHref: `/board/queue/${queue}/${job}` }))
    },
  )
}
