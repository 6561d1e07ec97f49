// Loaded into a worker before everything else: its clock can be set from outside, and its event loop blocked.
import { readFileSync } from 'node:fs'

const RealDate = Date
const { FAULT_CLOCK_FILE: file, FAULT_BLOCK_MS: blockMs } = process.env
let offset = 0

function readOffset() {
  offset = Number(readFileSync(file, 'utf8'))
}
readOffset()
setInterval(readOffset, 50).unref()

globalThis.Date = class SkewedDate extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [RealDate.now() + offset] : args))
  }

  static now() {
    return RealDate.now() + offset
  }
}

process.on('SIGUSR2', () => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(blockMs))
})
