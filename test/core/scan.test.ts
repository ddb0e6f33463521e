// The loop in WebAssembly is what its text says, and finds what a plain one finds, wherever the bytes lie.
import { readFileSync } from 'node:fs'
import { expect } from 'chai'
import wabt from 'wabt'
import { cutChunk, cuttingRoom, gear } from '../../src/core/chunker.ts'
import { MAX_CHUNK_BYTES, MIN_CHUNK_BYTES } from '../../src/core/content.ts'
import { CODE } from '../../src/core/scan.ts'
import { pseudorandom } from '../contract/network-contract.ts'

const NORMAL_BYTES = 64 * 1024
const GEAR = gear()

/** As the design has it: two bytes a step, the first judged by the shifted mask, a byte that is left over by none. */
function plainCut(bytes: Uint8Array): number {
  if (bytes.length <= MIN_CHUNK_BYTES) return bytes.length
  const stop = Math.min(bytes.length, MAX_CHUNK_BYTES)
  const normal = Math.min(NORMAL_BYTES, stop)
  let fingerprint = 0
  let at = MIN_CHUNK_BYTES
  for (const [end, mask] of [
    [normal, 0x7fffe000],
    [stop, 0x7ffe0000],
  ] as const) {
    for (; at + 1 < end; at += 2) {
      fingerprint = ((fingerprint << 2) + ((GEAR[bytes[at] as number] as number) << 1)) | 0
      if ((fingerprint & (mask << 1)) === 0) return at + 1
      fingerprint = (fingerprint + (GEAR[bytes[at + 1] as number] as number)) | 0
      if ((fingerprint & mask) === 0) return at + 2
    }
  }
  return stop
}

describe('core/scan', () => {
  it('is scan.wat', async () => {
    const text = readFileSync(new URL('../../src/core/scan.wat', import.meta.url), 'utf8')
    const { buffer } = (await wabt()).parseWat('scan.wat', text).toBinary({})
    expect(Buffer.from(buffer).toString('base64')).to.equal(CODE)
  })

  it('cuts where a plain loop cuts, in its own memory and in any other', () => {
    const found = new Set<string>()
    for (let seed = 1; seed <= 60; seed++) {
      // Few different bytes cut early or never; odd lengths leave one over.
      const width = [256, 256, 3, 2][seed % 4] as number
      const length = MIN_CHUNK_BYTES - 3 + ((seed * 7919) % (MAX_CHUNK_BYTES - MIN_CHUNK_BYTES + 40))
      const bytes = pseudorandom(length, seed).map(byte => byte % width)
      const cut = plainCut(bytes)
      const room = cuttingRoom()
      const start = seed * 101
      room.set(bytes, start)
      expect(cutChunk(bytes, 0, length), `seed ${seed}, elsewhere`).to.equal(cut)
      expect(cutChunk(room, start, start + length), `seed ${seed}, in the room`).to.equal(cut)
      found.add(cut === length ? 'none' : cut === MAX_CHUNK_BYTES ? 'longest' : cut > NORMAL_BYTES ? 'long' : 'short')
      found.add(`cut at ${cut % 4}`)
    }
    expect([...found].sort()).to.deep.equal(['cut at 0', 'cut at 1', 'cut at 2', 'cut at 3', 'long', 'none', 'short'])
  })
})
