import { createSign, randomBytes, verify } from 'node:crypto'
import { type Asked, ProviderServer, type Said } from './provider-server.ts'
import { pemOf, type RsaPair, rsaPair } from './rsa-pair.ts'

const [OURS, THEIRS] = [rsaPair(), rsaPair()]

interface Part {
  mchid: string
  out_trade_no: string
  trade_state: string
}

/** WeChat Pay's API v3 as its reference has it: who has signed a request, what can be closed when, its codes, and its signatures. */
export class WechatServer extends ProviderServer {
  readonly mchid = '1900000109'
  readonly serialNo = '5157F09EFDC096DE15EBE81A47057A7232F1B8E1'
  readonly merchantKeys = OURS
  /** With what it signs, and the id of that key. */
  keys: RsaPair = THEIRS
  keyId = 'PUB_KEY_ID_0114232134912410000000000000'
  /** How old its answers say they are, in seconds. */
  age = 0
  /** What it says the time is, in place of seconds. */
  time?: string
  /** By out_trade_no. */
  readonly orders = new Map<string, string>()
  /** By combine_out_trade_no. */
  readonly combined = new Map<string, Part[]>()
  /** The next answers to reads and to closings, in place of its own. */
  readonly answers: Record<'GET' | 'POST', Said[]> = { GET: [], POST: [] }
  meanwhile: () => void = () => {}
  now = () => Date.UTC(2030, 0, 1)

  static async start(): Promise<WechatServer> {
    const server = new WechatServer()
    await server.listen()
    return server
  }

  get env(): Record<string, string> {
    return {
      PAYMENT_GATEWAY: 'wechat',
      WECHAT_MCHID: this.mchid,
      WECHAT_SERIAL_NO: this.serialNo,
      WECHAT_PRIVATE_KEY: pemOf(this.merchantKeys.privateKey),
      WECHAT_PLATFORM_KEY: `${this.keyId}\n${pemOf(this.keys.publicKey)}`,
      WECHAT_API_URL: this.url,
    }
  }

  protected act(asked: Asked): Said {
    if (!this.#isTheirs(asked)) return this.#signed(wechatError(401, 'SIGN_ERROR'))
    const said = this.answers[asked.method as 'GET' | 'POST'].shift()
    return this.#signed(said ?? (asked.method === 'GET' ? this.#read(asked.path) : this.#close(asked)))
  }

  #isTheirs({ method, path, headers, body }: Asked): boolean {
    const [schema, list = ''] = (headers.authorization ?? '').split(' ')
    const given = Object.fromEntries([...list.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]))
    const content = Buffer.from(`${method}\n${path}\n${given.timestamp}\n${given.nonce_str}\n${body}\n`)
    const isSigned = verify(
      'RSA-SHA256',
      content,
      this.merchantKeys.publicKey,
      Buffer.from(given.signature ?? '', 'base64'),
    )
    const isKnown = given.mchid === this.mchid && given.serial_no === this.serialNo
    return schema === 'WECHATPAY2-SHA256-RSA2048' && isSigned && isKnown && headers.accept === 'application/json'
  }

  #read(path: string): Said {
    const { pathname, searchParams } = new URL(path, this.url)
    const [, kind, name = ''] =
      /^\/v3\/(pay\/transactions|combine-transactions)\/out-trade-no\/([^/]+)$/.exec(pathname) ?? []
    const number = decodeURIComponent(name)
    const state = this.orders.get(number)
    const parts = this.combined.get(number)
    if (kind === 'combine-transactions' && parts) {
      return ok({
        combine_appid: 'wxd678efh567hg6787',
        combine_mchid: this.mchid,
        combine_out_trade_no: number,
        sub_orders: parts,
      })
    }
    if (kind !== 'pay/transactions' || state === undefined) return wechatError(404, 'ORDER_NOT_EXIST')
    if (searchParams.get('mchid') !== this.mchid) return wechatError(400, 'PARAM_ERROR')
    return ok({ appid: 'wxd678efh567hg6787', mchid: this.mchid, out_trade_no: number, trade_state: state })
  }

  #close({ path, body }: Asked): Said {
    const [, kind, name = ''] =
      /^\/v3\/(pay\/transactions|combine-transactions)\/out-trade-no\/([^/]+)\/close$/.exec(path) ?? []
    const number = decodeURIComponent(name)
    const given = JSON.parse(body) as { mchid?: string; combine_appid?: string; sub_orders?: Part[] }
    this.meanwhile()
    if (kind === 'pay/transactions') {
      const state = this.orders.get(number)
      if (given.mchid !== this.mchid) return wechatError(400, 'PARAM_ERROR')
      if (state === 'CLOSED') return wechatError(400, 'ORDER_CLOSED')
      if (state !== 'NOTPAY' && state !== 'PAYERROR') return wechatError(403, 'TRADE_ERROR')
      this.orders.set(number, 'CLOSED')
    } else {
      const parts = this.combined.get(number) ?? []
      const numbers = (list: Part[] = []) => list.map(({ mchid, out_trade_no }) => `${mchid} ${out_trade_no}`).join()
      const isWhole = numbers(given.sub_orders) === numbers(parts) && given.combine_appid === 'wxd678efh567hg6787'
      if (!isWhole || given.sub_orders?.some((part) => 'trade_state' in part)) return wechatError(400, 'PARAM_ERROR')
      if (parts.some(({ trade_state }) => trade_state === 'SUCCESS')) return wechatError(400, 'ORDERPAID')
      for (const part of parts) part.trade_state = 'CLOSED'
    }
    this.closed.push(number)
    return { status: 204, body: '' }
  }

  #signed(said: Said): Said {
    const timestamp = this.time ?? String(Math.floor(this.now() / 1_000) - this.age)
    const nonce = randomBytes(16).toString('hex')
    const content = `${timestamp}\n${nonce}\n${said.body}\n`
    const signature = createSign('RSA-SHA256').update(content).sign(this.keys.privateKey, 'base64')
    return {
      ...said,
      headers: {
        'wechatpay-timestamp': timestamp,
        'wechatpay-nonce': nonce,
        'wechatpay-signature': signature,
        'wechatpay-serial': this.keyId,
        ...said.headers,
      },
    }
  }
}

function ok(body: object): Said {
  return { status: 200, body: JSON.stringify(body) }
}

export function wechatError(status: number, code: string): Said {
  return { status, body: JSON.stringify({ code, message: code }) }
}
