// What was passed on gives its memory back at once, and nothing else does.
import { once } from 'node:events'
import { MessageChannel } from 'node:worker_threads'
import { expect } from 'chai'
import { discard } from '../../src/disk/transfer.ts'

describe('disk/transfer', () => {
  it('empties the buffers that it is given', async () => {
    // The port that takes them is closed a turn after it was made, as this one is.
    const { port1, port2 } = new MessageChannel()
    port2.close()
    await once(port1, 'close')
    const [given, kept] = [new ArrayBuffer(1 << 20), new ArrayBuffer(8)]
    discard([given, given, new SharedArrayBuffer(8)])
    expect([given.byteLength, kept.byteLength]).to.deep.equal([0, 8])
  })
})
