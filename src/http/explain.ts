import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type Story, storyJsonOf } from '../order/story.ts'
import { escapeHtml, page } from './html.ts'
import { params, problems } from './orders-schemas.ts'

export interface ExplainApi {
  explain: (orderId: string) => Promise<Story>
}

const story = z.object({
  orderId: z.string(),
  verdict: z.string().describe('The answer in one sentence.'),
  story: z.array(z.object({ at: z.iso.datetime().optional(), what: z.string() })).describe('In order of time.'),
})

/** `/v1/orders/{id}/explain`. */
export function registerExplain(scope: FastifyInstance, { explain }: ExplainApi): void {
  scope.withTypeProvider<ZodTypeProvider>().get(
    '/v1/orders/:id/explain',
    {
      schema: {
        tags: ['orders'],
        summary: "Why an order was cancelled, or was not: one order's story",
        params,
        response: { 200: story, ...problems(400, 503) },
      },
    },
    async ({ params: { id } }) => storyJsonOf(await explain(id)),
  )
}

/** `/orders/{id}`: the same for people; the board links here. */
export function registerExplainPage(scope: FastifyInstance, { explain }: ExplainApi): void {
  scope.get<{ Params: { id: string } }>(
    '/orders/:id',
    { schema: { hide: true } },
    async ({ params: { id } }, reply) => {
      const { orderId, verdict, lines } = await explain(id)
      const rows = lines.map(
        ({ at, what }) =>
          `<tr><td>${at === undefined ? '–' : new Date(at).toISOString()}</td><td>${escapeHtml(what)}</td></tr>`,
      )
      const body =
        `<header><h1>Order ${escapeHtml(orderId)}</h1><a href="/">Overview</a><a href="/board">Board</a></header>` +
        `<p>${escapeHtml(verdict)}</p><table>${rows.join('')}</table>`
      reply.header('cache-control', 'no-store').type('text/html; charset=utf-8')
      return page({ title: `Order ${orderId}`, body })
    },
  )
}
