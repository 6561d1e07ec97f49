import { createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'

const BLOCK = /([^\s-]*)\s*(-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \3-----)/g

/** An RSA key as PEM, or as the bare base64 within it, which some providers hand out. Undefined: it is none. */
export function parsePrivateKey(text: string): KeyObject | undefined {
  const pem = withLineBreaks(text)
  if (pem.includes('-----BEGIN')) return rsaOnly(() => createPrivateKey(pem))
  const der = { key: Buffer.from(pem, 'base64'), format: 'der' } as const
  return (
    rsaOnly(() => createPrivateKey({ ...der, type: 'pkcs8' })) ??
    rsaOnly(() => createPrivateKey({ ...der, type: 'pkcs1' }))
  )
}

/** A public key, and the id under which the provider signs with it: what a certificate has as its serial number, or stands before the key. */
export interface NamedKey {
  id: string
  key: KeyObject
}

/** Public RSA keys and certificates in PEM, one behind the other, or bare base64 with commas between. Undefined: not all of it is. */
export function parsePublicKeys(text: string): NamedKey[] | undefined {
  const pem = withLineBreaks(text)
  const begun = pem.match(/-----BEGIN/g)?.length
  const keys = begun
    ? [...pem.matchAll(BLOCK)].map(([, id = '', block = '']) => parseBlock(id, block))
    : pem.split(',').map((base64) => parseBare(base64))
  const found = keys.filter((key) => key !== undefined)
  return found.length === (begun ?? keys.length) ? found : undefined
}

function parseBlock(id: string, pem: string): NamedKey | undefined {
  const key = rsaOnly(() => createPublicKey(pem))
  if (!key || pem.includes('PRIVATE')) return undefined
  return { key, id: pem.includes('CERTIFICATE') ? new X509Certificate(pem).serialNumber : id }
}

function parseBare(base64: string): NamedKey | undefined {
  const key = rsaOnly(() => createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' }))
  return key && { id: '', key }
}

/** Some platforms can set no variable with more than one line. */
function withLineBreaks(text: string): string {
  return text.replaceAll('\\n', '\n')
}

function rsaOnly(parse: () => KeyObject): KeyObject | undefined {
  try {
    const key = parse()
    return key.asymmetricKeyType === 'rsa' ? key : undefined
  } catch {
    return undefined
  }
}
