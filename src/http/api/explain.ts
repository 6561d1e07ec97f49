import type { FastifyInstance, FastifyReply } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { type Story, storyJsonOf } from '../../explain/story.ts'
import { jobIdOf } from '../../queue/contract.ts'
import { escapeHtml, page } from '../pages/html.ts'
import { params, problems } from './orders-schemas.ts'

export interface ExplainApi {
  /** @param jobId of its check, where that is not our own id */
  explain: (orderId: string, jobId?: string) => Promise<Story>
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

/** `/orders` asks for an id, `/orders/{id}` tells that order's story to people; the board links there. */
export function registerExplainPage(scope: FastifyInstance, options: ExplainApi & { queueName: string }): void {
  const { explain, queueName } = options
  const board = `/board/queue/${encodeURIComponent(queueName)}`
  scope.get<{ Querystring: { id?: unknown } }>('/orders', { schema: { hide: true } }, async ({ query }, reply) => {
    const id = typeof query.id === 'string' ? query.id.trim() : ''
    if (id !== '') return reply.redirect(`/orders/${encodeURIComponent(id)}`, 303)
    return send(reply, {
      title: 'Find an order',
      links: [['Board', '/board']],
      body: '<p>Why was it cancelled, or was not?</p>',
    })
  })
  scope.get<{ Params: { id: string }; Querystring: { job?: unknown } }>(
    '/orders/:id',
    { schema: { hide: true } },
    async ({ params: { id }, query: { job } }, reply) => {
      const { orderId, verdict, lines } = await explain(id, typeof job === 'string' ? job : undefined)
      const rows = lines.map(
        ({ at, what }) =>
          `<tr><td>${at === undefined ? '–' : new Date(at).toISOString()}</td><td>${escapeHtml(what)}</td></tr>`,
      )
      return send(reply, {
        title: `Order ${orderId}`,
        links: [
          ['Check on the board', `${board}/${encodeURIComponent(typeof job === 'string' ? job : jobIdOf(orderId))}`],
        ],
        body: `<p>${escapeHtml(verdict)}</p><table>${rows.join('')}</table>`,
      })
    },
  )
}

function send(reply: FastifyReply, content: { title: string; links: [text: string, href: string][]; body: string }) {
  const { title, links, body } = content
  const all = [['Overview', '/'], ...links].map(([text, href]) => `<a href="${escapeHtml(href as string)}">${text}</a>`)
  const form =
    '<form action="/orders"><input name="id" placeholder="Order id" aria-label="Order id" required maxlength="200"> ' +
    '<button>Explain</button></form>'
  const header = `<header><h1>${escapeHtml(title)}</h1>${all.join('')}${form}</header>`
  reply.header('cache-control', 'no-store').type('text/html; charset=utf-8')
  return page({ title, body: header + body })
}
