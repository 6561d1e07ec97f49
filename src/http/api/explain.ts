import { z } from 'zod'
import { type ExplainSources, explainOrder } from '../../explain/explain-order.ts'
import { storyJsonOf } from '../../explain/story.ts'
import { type ApiRoutes, params, problems } from './orders-schemas.ts'

const story = z.object({
  orderId: z.string(),
  verdict: z.string().describe('The answer in one sentence.'),
  story: z.array(z.object({ at: z.iso.datetime().optional(), what: z.string() })).describe('In order of time.'),
})

/** `/v1/orders/{id}/explain`. */
export function registerExplain(routes: ApiRoutes, sources: ExplainSources): void {
  routes.get(
    '/v1/orders/:id/explain',
    {
      schema: {
        tags: ['orders'],
        summary: "Why an order was cancelled, or was not: one order's story",
        params,
        response: { 200: story, ...problems(400, 503) },
      },
    },
    async ({ params: { id } }) => storyJsonOf(await explainOrder({ orderId: id, sources })),
  )
}
