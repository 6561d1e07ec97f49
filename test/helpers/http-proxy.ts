import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a proxy does to each request. */
export interface ProxyHabits {
  /** The path as it goes on. Default: as it came. */
  path?: (path: string) => string
  /** Headers as they go on, beside and in place of those that came; undefined takes one away. */
  headers?: (given: IncomingHttpHeaders) => Record<string, string | string[] | undefined>
}

/** Where it comes from: an address that is nobody else's. */
export const PROXY_ADDRESS = '127.0.0.2'

/** Stands between browsers and the daemon, as nginx or an ingress does, with its habits. */
export class HttpProxy {
  readonly #server: Server
  readonly url: string

  private constructor(server: Server) {
    this.#server = server
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  /** @param url of the daemon */
  static async to(url: string, { path = (same) => same, headers = () => ({}) }: ProxyHabits): Promise<HttpProxy> {
    const server = createServer((given, answer) => {
      const passed = Object.entries({ ...given.headers, ...headers(given.headers) }).filter(([, value]) => value)
      const options = {
        agent: false,
        localAddress: PROXY_ADDRESS,
        method: given.method,
        path: path(given.url ?? '/'),
        headers: Object.fromEntries(passed) as IncomingHttpHeaders,
      }
      const onward = request(new URL(url), options, (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(answer)
      })
      onward.on('error', () => answer.writeHead(502).end())
      given.pipe(onward)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new HttpProxy(server)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
