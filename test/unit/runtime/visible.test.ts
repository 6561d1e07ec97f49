import { describe, expect, test } from '@jest/globals'
import { visibleLine, visibleLines } from '../../../src/runtime/visible.ts'
import { UNSEEN } from './unseen.ts'

const PLAIN = /^[\x20-\x7e]*$/

describe('a line', () => {
  test('shows each character that a terminal obeys or hides', () => {
    for (const char of UNSEEN) {
      expect([char.codePointAt(0), visibleLine(`a${char}b`)]).toEqual([
        char.codePointAt(0),
        expect.stringMatching(/^a\\(n|u[0-9a-f]{4}(\\u[0-9a-f]{4})?)b$/),
      ])
    }
    expect(visibleLine('\u001b[2J\u009b1mpaid\n2026')).toBe('\\u001b[2J\\u009b1mpaid\\n2026')
    expect(visibleLine('a\ud800b')).toBe('a\\ud800b')
  })

  test('of JSON still means the same', () => {
    const value = { [UNSEEN]: `\\${UNSEEN}\\` }
    const line = visibleLine(JSON.stringify(value))
    expect(line).toMatch(PLAIN)
    expect(JSON.parse(line)).toEqual(value)
  })

  test.each(['', 'order-1\tcancelled', '订单已取消', 'Größe 5 €', '❤️ שלום مرحبا', '\\n'])(
    'leaves %j as it is',
    (text) => {
      expect(visibleLine(text)).toBe(text)
    },
  )
})

test('several lines of ours stay lines; a line of others within becomes none', () => {
  expect(visibleLines('2 problems:\n  A: \u001b[31m\n  B: x\nINFO: all is well')).toBe(
    '2 problems:\n  A: \\u001b[31m\n  B: x\\nINFO: all is well',
  )
})
