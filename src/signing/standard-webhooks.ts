import { createHmac } from 'node:crypto'

/*
 * Signatures as Standard Webhooks has them, version 1: HMAC-SHA256 over `id.timestamp.body`.
 * https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */

const PREFIX = 'whsec_'
const LEAST_BYTES = 24
const MOST_BYTES = 64

export const SECRET_FORMAT = `${PREFIX} and ${LEAST_BYTES} to ${MOST_BYTES} bytes in base64, as \`echo ${PREFIX}$(openssl rand -base64 32)\` makes it`

interface SignedMessage {
  id: string
  /** When this attempt is made, in epoch milliseconds. */
  at: number
  body: string
}

/** @returns the key; undefined if the text is no secret of {@link SECRET_FORMAT} */
export function parseSecret(text: string): Buffer | undefined {
  const base64 = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : ''
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined
  const key = Buffer.from(base64, 'base64')
  return key.length >= LEAST_BYTES && key.length <= MOST_BYTES ? key : undefined
}

/** @param keys several while a secret is replaced: a receiver that knows any of them accepts the message */
export function signedHeaders({ id, at, body }: SignedMessage, keys: readonly Buffer[]): Record<string, string> {
  const timestamp = String(Math.floor(at / 1_000))
  const signatures = keys.map((key) => `v1,${signatureOf(`${id}.${timestamp}.${body}`, key)}`)
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') }
}

function signatureOf(content: string, key: Buffer): string {
  return createHmac('sha256', key).update(content).digest('base64')
}
