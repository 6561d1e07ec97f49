import type Stripe from 'stripe'
import { readJson } from '../../runtime/json.ts'
import type { Answer } from '../../runtime/origin.ts'
import type { Provider } from '../provider.ts'

type HttpClient = NonNullable<Stripe.StripeConfig['httpClient']>

/** No answer, for the reason in `cause`. Its code is none after which the SDK would call once more by itself. */
class NoAnswerError extends Error {
  readonly code = 'NO_ANSWER'
}

/** Makes the SDK's calls as all others are made: with our own bounds of time and size, and never twice. */
export function httpClientOver(provider: Provider): HttpClient {
  return {
    getClientName: () => 'order-expiry',
    async makeRequest(_host, _port, path, method, headers, body) {
      // The SDK counts the length in bytes, and so does undici.
      const { 'Content-Length': _, ...given } = headers as Record<string, string | number>
      const sent = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, String(value)]))
      const call = { method: method === 'GET' ? 'GET' : 'POST', path, headers: sent } as const
      try {
        return responseOf(await provider.call(method === 'GET' ? call : { ...call, body }))
      } catch (error) {
        throw new NoAnswerError('no answer', { cause: error })
      }
    },
  }
}

function responseOf({ status, headers, text }: Answer): Awaited<ReturnType<HttpClient['makeRequest']>> {
  const { 'stripe-notice': _, ...shown } = headers // the SDK would print it
  return {
    getStatusCode: () => status,
    getHeaders: () => shown as Record<string, string>,
    getRawResponse: () => ({}),
    toStream: () => {
      throw new Error('no call of ours streams')
    },
    async toJSON() {
      const json = readJson(text)
      const isObject = typeof json === 'object' && json !== null
      // The SDK takes whatever has no error in it for a success, as what a proxy answers.
      if (status >= 300 && !(isObject && 'error' in json)) return { error: { type: 'api_error', message: '' } }
      if (!isObject) throw new Error('answered with no JSON')
      return json
    },
  }
}
