import { describe, expect, test } from '@jest/globals'
import { EventBus } from '../../../src/observe/events.ts'

describe('an event', () => {
  test('reaches every listener of its name, in the order in which they were added, and no other', () => {
    const events = new EventBus()
    const heard: unknown[] = []
    events.on('ready', (event) => heard.push(['first', event]))
    events.on('ready', (event) => heard.push(['second', event]))
    events.on('stopping', (event) => heard.push(['other', event]))
    events.emit('ready', { startedInMs: 5 })
    expect(heard).toEqual([
      ['first', { startedInMs: 5 }],
      ['second', { startedInMs: 5 }],
    ])
  })

  test('that nobody listens to is dropped', () => {
    expect(() => new EventBus().emit('worker-error', { error: new Error('x') })).not.toThrow()
  })
})

describe('a listener that throws', () => {
  test('neither breaks the emitter nor keeps the others from hearing', () => {
    const events = new EventBus()
    const heard: string[] = []
    events.on('stopping', ({ reason }) => heard.push(`before ${reason}`))
    events.on('stopping', () => {
      throw new Error('cannot be worded')
    })
    events.on('stopping', ({ reason }) => heard.push(`after ${reason}`))
    expect(() => events.emit('stopping', { reason: 'SIGTERM' })).not.toThrow()
    expect(heard).toEqual(['before SIGTERM', 'after SIGTERM'])
  })

  test('is asked again with the next event', () => {
    const events = new EventBus()
    let calls = 0
    events.on('ready', () => {
      calls++
      throw new Error('always')
    })
    events.emit('ready', { startedInMs: 1 })
    events.emit('ready', { startedInMs: 2 })
    expect(calls).toBe(2)
  })
})
