/** What is under way, on one line that is replaced by the next; on separate lines where that is no terminal. */
export class Progress {
  warnings = 0
  readonly #stream: NodeJS.WriteStream
  readonly #startedAt = Date.now()
  #doing = ''
  #estimateMs: number | undefined

  constructor(options: { stream: NodeJS.WriteStream }) {
    this.#stream = options.stream
  }

  /** What will be done, for an estimate. `seconds`: of a round of a whole run. */
  plan(parts: readonly { seconds: number; rounds: number; quick: boolean }[]): void {
    const seconds = parts.reduce((sum, part) => sum + part.rounds * part.seconds * (part.quick ? QUICK_PART : 1), 0)
    this.#estimateMs = seconds * 1_000
  }

  begin(doing: string): void {
    this.#doing = doing
  }

  show(text: string): void {
    const line = [this.#time(), this.#doing, text].filter(Boolean).join(' · ')
    if (this.#stream.isTTY) this.#stream.write(`\r\u001b[K${line.slice(0, (this.#stream.columns || 80) - 1)}`)
    else this.#stream.write(`${line}\n`)
  }

  /** Stays to be read, and counts. */
  warn(text: string): void {
    this.warnings++
    this.note(text)
  }

  /** Stays to be read. */
  note(text: string): void {
    this.#clear()
    this.#stream.write(`${[this.#doing, text].filter(Boolean).join(' · ')}\n`)
  }

  end(): void {
    this.#clear()
  }

  #clear(): void {
    if (this.#stream.isTTY) this.#stream.write('\r\u001b[K')
  }

  #time(): string {
    const elapsed = minutes(Date.now() - this.#startedAt)
    return this.#estimateMs === undefined ? elapsed : `${elapsed} of about ${minutes(this.#estimateMs)}`
  }
}

/** Of the time of a whole run, a quick one takes about so much. */
const QUICK_PART = 0.3

function minutes(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}
