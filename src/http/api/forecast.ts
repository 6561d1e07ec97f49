import type { FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import type { Forecast } from '../../queue/view/forecast.ts'
import { problems } from './orders-schemas.ts'

export interface ForecastApi {
  readForecast: () => Promise<Forecast>
}

const count = z.number().int()
const forecast = z.object({
  at: z.iso.datetime().describe('When Redis was asked.'),
  waiting: count.describe('Checks that are not due yet.'),
  due: count.describe('Checks whose time has come and that have not ended yet.'),
  within: z.object({ '1m': count, '5m': count, '15m': count, '60m': count }).describe('Checks to come within so long.'),
  minutes: z.array(count).length(60).describe('Checks to come in each of the next 60 minutes.'),
})

/** `/v1/forecast`. */
export function registerForecast(scope: FastifyInstance, { readForecast }: ForecastApi): void {
  scope.withTypeProvider<ZodTypeProvider>().get(
    '/v1/forecast',
    {
      schema: {
        tags: ['forecast'],
        summary: 'How many checks fall due within the next minutes',
        response: { 200: forecast, ...problems(503) },
      },
    },
    async () => {
      const { at, ...rest } = await readForecast()
      return { at: new Date(at).toISOString(), ...rest }
    },
  )
}
