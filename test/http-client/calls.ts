import type { components, paths } from 'generated/order-expiry'
import createClient from 'openapi-fetch'

export type Problem = components['schemas']['Problem']

/** A client as it comes out of openapi.json: what it sends and reads is checked by the compiler. */
export function createOrderExpiry({ url, token }: { url: string; token: string }) {
  const client = createClient<paths>({ baseUrl: url, headers: { authorization: `Bearer ${token}` } })
  const path = (id: string) => ({ params: { path: { id } } })
  return {
    schedule: (id: string, body?: components['schemas']['Deadline']) =>
      client.PUT('/v1/orders/{id}', { ...path(id), ...(body && { body }) }),
    reschedule: (id: string, body: components['schemas']['Deadline']) =>
      client.PATCH('/v1/orders/{id}', { ...path(id), body }),
    withdraw: (id: string) => client.DELETE('/v1/orders/{id}', path(id)),
    find: (id: string) => client.GET('/v1/orders/{id}', path(id)),
    pay: (id: string) => client.POST('/v1/orders/{id}/paid', path(id)),
    explain: (id: string) => client.GET('/v1/orders/{id}/explain', path(id)),
    scheduleMany: (orders: components['schemas']['BatchOrder'][]) =>
      client.POST('/v1/orders/batch', { body: { orders } }),
    forecast: () => client.GET('/v1/forecast'),
  }
}

type OrderExpiry = ReturnType<typeof createOrderExpiry>
type Data<Name extends keyof OrderExpiry> = NonNullable<Awaited<ReturnType<OrderExpiry[Name]>>['data']>

/** What a service would read of the answers: compiles only if openapi.json describes them. */
export const read = {
  schedule: ({ result, deadline }: Data<'schedule'>): [string, number] => [result, Date.parse(deadline)],
  find: ({ check, order }: Data<'find'>) => [check?.state, order?.status],
  explain: ({ outcome, events }: Data<'explain'>) => [outcome satisfies string, events.length],
  forecast: ({ minutes, within }: Data<'forecast'>): number[] => [minutes.length, within['60m']],
  batch: ({ results }: Data<'scheduleMany'>) =>
    results.map((result) => ('error' in result ? result.error.code : result.result)),
  problem: ({ code, detail, status }: Problem): [components['schemas']['ErrorCode'], string, number] => [
    code,
    detail,
    status,
  ],
}
