// When the heap is given back, and that V8 begins a collection for what it is given as a reason.
import { once } from 'node:events'
import { PerformanceObserver } from 'node:perf_hooks'
import { expect } from 'chai'
import { timeoutSignal } from '../../src/core/timeout.ts'
import { askToCollect, HeapTrim } from '../../src/daemon/heap-trim.ts'
import { kindOf, MAJOR } from './support/collections.ts'

const MB = 1024 * 1024

describe('daemon/heap-trim', () => {
  let heap: number
  let busy: number
  let calls: string[]
  let trim: HeapTrim
  const looks = (...sizes: readonly number[]): string[] => {
    for (const size of sizes) {
      heap = size * MB
      trim.look()
    }
    return calls.splice(0)
  }

  beforeEach(() => {
    busy = 0
    calls = []
    trim = new HeapTrim({
      heapBytes: () => heap,
      busyShare: () => busy,
      collect: () => calls.push('collect'),
      thrifty: on => calls.push(on ? 'thrifty' : 'as before'),
    })
  })

  it('collects at rest for as long as that gives something back', () => {
    expect(looks(400, 300, 200, 195)).to.deep.equal(['thrifty', 'collect', 'collect', 'collect', 'as before'])
    expect(looks(195, 200, 210)).to.deep.equal([])
  })

  it('ends after a few rounds whatever they give', () => {
    expect(looks(800, 600, 400, 300, 200, 100)).to.deep.equal([
      'thrifty',
      ...Array.from({ length: 4 }, () => 'collect'),
      'as before',
    ])
  })

  it('begins again only where much was added to what the last time left', () => {
    looks(400, 399)
    expect(looks(440, 490)).to.deep.equal([])
    expect(looks(500)).to.deep.equal(['thrifty', 'collect'])
  })

  it('leaves a small heap alone', () => {
    expect(looks(40)).to.deep.equal([])
  })

  it('does nothing while there is work, and stops where work begins', () => {
    busy = 0.2
    expect(looks(400)).to.deep.equal([])
    busy = 0
    expect(looks(400)).to.deep.equal(['thrifty', 'collect'])
    busy = 0.2
    expect(looks(300), 'that was the collection').to.deep.equal(['collect'])
    busy = 0.9
    expect(looks(300)).to.deep.equal(['as before'])
    busy = 0
    expect(looks(300), 'the rest is done later').to.deep.equal(['thrifty', 'collect'])
  })

  it('is as before after a stop', () => {
    looks(400)
    trim.stop()
    expect(calls).to.deep.equal(['as before'])
  })

  it('V8 collects for the reason that it is given', async () => {
    const found = new EventTarget()
    const observer = new PerformanceObserver(list => {
      if (list.getEntries().some(entry => kindOf(entry) === MAJOR)) found.dispatchEvent(new Event('major'))
    })
    observer.observe({ entryTypes: ['gc'] })
    try {
      const major = once(found, 'major', { signal: timeoutSignal(5_000) })
      expect(askToCollect()).to.be.greaterThan(0)
      await major
    } finally {
      observer.disconnect()
    }
  })
})
