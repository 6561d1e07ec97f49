import { execFileSync } from 'node:child_process'
import { type Browser, type BrowserContext, chromium } from 'playwright-core'

/** A name under which the browser finds this machine; to it, it is no more trustworthy than any other machine. */
export const OTHER_NAME = 'orders.internal'

/** The Chromium of this machine, without a window, and without anything that it does on the side. It reaches nothing else. */
export function launchBrowser(): Promise<Browser> {
  const where = execFileSync(process.execPath, ['scripts/ensure-servers.mjs', '--where', 'chromium'], {
    encoding: 'utf8',
  })
  return chromium.launch({
    executablePath: where.trim(),
    chromiumSandbox: process.getuid?.() !== 0, // Chromium refuses to run as root with it
    args: [
      `--host-resolver-rules=MAP ${OTHER_NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

/** What goes wrong from now on in the pages of `context`: errors, and requests that fail or go elsewhere than to `url`. */
export function complaintsOf(context: BrowserContext, url: string): string[] {
  const complaints: string[] = []
  context.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`)
  })
  context.on('weberror', (error) => complaints.push(`error: ${error.error().message}`))
  context.on('request', (request) => {
    if (!/^data:/.test(request.url()) && !request.url().startsWith(`${url}/`)) complaints.push(`to: ${request.url()}`)
  })
  context.on('requestfailed', (request) => {
    const why = request.failure()?.errorText
    if (why !== 'net::ERR_ABORTED') complaints.push(`failed: ${request.url()} ${why}`) // aborted: the page was left
  })
  return complaints
}
