import { expect } from 'chai'
import { isKithError } from '../../src/core/errors.ts'
import { decodeMeta, encodeMeta } from '../../src/store/folder-seal.ts'
import { ACTOR, metaWith } from './samples.ts'

/** As schema 1 wrote it. */
function stored(pulling: boolean): Buffer {
  const halt = { code: 'root-missing', message: 'It is not there.' }
  return Buffer.from(
    JSON.stringify({ actor: ACTOR, seqCeiling: 17, pulling, halt, stamp: { counter: 3, random: 'a1' } }),
  )
}

describe('what a folder remembers of itself', () => {
  it('is read as it was written', () => {
    for (const counter of [1, 2]) expect(decodeMeta(encodeMeta(metaWith(counter)))).to.deep.equal(metaWith(counter))
  })

  it('is read as schema 1 wrote it: one that pulls rejoins', () => {
    for (const pulling of [false, true])
      expect(decodeMeta(stored(pulling))).to.deep.equal({
        actor: ACTOR,
        seqCeiling: 17,
        pulling,
        rejoining: pulling,
        rejoinSince: null,
      })
  })

  it('is damage where it is anything else', () => {
    for (const text of ['', '{', '{"actor":1}', '{"actor":1,"seqCeiling":1,"pulling":true,"rejoining":2}']) {
      let code = ''
      try {
        decodeMeta(Buffer.from(text))
      } catch (error) {
        code = isKithError(error) ? error.code : String(error)
      }
      expect(code, text).to.equal('database-corrupt')
    }
  })
})
