import { randomBytes } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { type Asked, ProviderServer, type Said } from './provider-server.ts'

interface Request {
  orderId: string
  payment: string
  method?: string
  amount?: string
  deadline: string
  idempotencyKey: string
}

/** What stands behind the http gateway: a service of the shop's, which verifies each request as the published library does. */
export class PaymentService extends ProviderServer {
  readonly secret = `whsec_${randomBytes(32).toString('base64')}`
  /** Those that were verified. */
  readonly requests: Request[] = []
  /** What it says of a payment; one that it has closed stays so. */
  verdict: (request: Request) => object = () => ({ verdict: 'closed' })

  static async start(): Promise<PaymentService> {
    const service = new PaymentService()
    await service.listen()
    return service
  }

  get env(): Record<string, string> {
    return { PAYMENT_GATEWAY: 'http', PAYMENT_URL: `${this.url}/close?shop=1`, PAYMENT_SECRET: this.secret }
  }

  protected act({ body, headers }: Asked): Said {
    try {
      const request = new Webhook(this.secret).verify(body, headers as Record<string, string>) as Request
      this.requests.push(request)
      const said = this.verdict(request)
      const isNew = !this.closed.includes(request.payment)
      if ('verdict' in said && said.verdict === 'closed' && isNew) this.closed.push(request.payment)
      return { status: 200, body: JSON.stringify(said) }
    } catch (error) {
      return { status: 401, body: String(error) }
    }
  }
}
