import { z } from 'zod'
import type { Vitals } from '../../observe/vitals.ts'
import { type ApiRoutes, problems } from './orders-schemas.ts'

const count = z.number().int()
const forecast = z.object({
  at: z.iso.datetime().describe('When Redis was asked.'),
  waiting: count.describe('Checks that are not due yet.'),
  due: count.describe('Checks whose time has come and that have not ended yet.'),
  within: z.object({ '1m': count, '5m': count, '15m': count, '60m': count }).describe('Checks to come within so long.'),
  minutes: z.array(count).length(60).describe('Checks to come in each of the next 60 minutes.'),
})

/** `/v1/forecast`. */
export function registerForecast(routes: ApiRoutes, { view }: Vitals): void {
  routes.get(
    '/v1/forecast',
    {
      schema: {
        tags: ['forecast'],
        summary: 'How many checks fall due within the next minutes',
        response: { 200: forecast, ...problems(503) },
      },
    },
    async () => {
      const { at, ...rest } = await view.forecast()
      return { at: new Date(at).toISOString(), ...rest }
    },
  )
}
