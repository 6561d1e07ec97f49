import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unprivileged } from './processes.ts'

/** Paths of a certificate and its key, in PEM. */
export interface Certificate {
  cert: string
  key: string
}

/** A CA in a folder of its own, and what it signs. Debian's PostgreSQL brings openssl. */
export class CertificateAuthority {
  readonly dir = mkdtempSync(join(tmpdir(), 'order-expiry-ca-'))
  readonly file = join(this.dir, 'ca.crt')
  readonly #key = join(this.dir, 'ca.key')
  #issued = 0

  constructor() {
    chmodSync(this.dir, 0o755)
    this.#openssl('req', '-x509', ...KEY, '-keyout', this.#key, '-out', this.file, '-days', '2', '-subj', '/CN=test CA')
  }

  /** @param options.names such as `DNS:localhost,IP:127.0.0.1` @param options.days negative: it has expired */
  issue({
    subject = 'server',
    names,
    days = 1,
  }: {
    subject?: string
    names?: string
    days?: number
  } = {}): Certificate {
    this.#issued++
    const path = (suffix: string) => join(this.dir, `${this.#issued}.${suffix}`)
    const [cert, key, request, extensions] = [path('crt'), path('key'), path('csr'), path('ext')]
    writeFileSync(extensions, `subjectAltName=${names ?? 'DNS:localhost,IP:127.0.0.1'}\n`)
    this.#openssl('req', ...KEY, '-keyout', key, '-out', request, '-subj', `/CN=${subject}`)
    const by = ['-CA', this.file, '-CAkey', this.#key, '-CAcreateserial']
    this.#openssl('x509', '-req', '-in', request, ...by, '-days', `${days}`, '-extfile', extensions, '-out', cert)
    // PostgreSQL refuses a key that others can read, and does not run as root.
    const owner = unprivileged()
    chmodSync(key, 0o600)
    if ('uid' in owner) chownSync(key, owner.uid, owner.gid)
    return { cert, key }
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' })
  }
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
