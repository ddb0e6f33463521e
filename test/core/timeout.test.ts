import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect } from 'chai'
import { timeoutSignal } from '../../src/core/timeout.ts'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

describe('core: time limits', () => {
  it('hold where nothing but what is joined of them is left, over a garbage collection', async () => {
    const other = new AbortController()
    const ends = Array.from({ length: 50 }, () => {
      const signal = AbortSignal.any([other.signal, timeoutSignal(20)])
      return new Promise<unknown>(resolve => {
        signal.addEventListener('abort', () => resolve(signal.reason), { once: true })
      })
    })
    await new Promise(resolve => setImmediate(resolve))
    collect()
    for (const reason of await Promise.all(ends)) expect(reason).to.have.property('name', 'TimeoutError')
  })
})
