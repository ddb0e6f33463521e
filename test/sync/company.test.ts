// Whom a folder that rejoins waits for.
import { expect } from 'chai'
import type { DeviceId } from '../../src/core/ids.ts'
import { type Company, isAlone, type PairedDevice, whomToWaitFor } from '../../src/sync/company.ts'

const A = 'a' as DeviceId
const B = 'b' as DeviceId

function company(parts: {
  paired?: readonly PairedDevice[]
  known?: readonly DeviceId[]
  writers?: readonly DeviceId[]
}): Company {
  return { paired: parts.paired ?? [], known: new Set(parts.known), writers: new Set(parts.writers) }
}

const PAIRED = [A, B].map(id => ({ id, name: `name-${id}` }))

describe('sync/company', () => {
  it('a folder is alone where those that had it are paired no more', () => {
    expect(isAlone(company({ known: [A], writers: [A] }))).to.equal(true)
  })

  it('it is not where anybody is paired: a folder that could not start there is not offered', () => {
    expect(isAlone(company({ paired: PAIRED, known: [A] }))).to.equal(false)
    expect(isAlone(company({ paired: PAIRED.slice(1), known: [A], writers: [A] }))).to.equal(false)
  })

  it('nor where somebody wrote here of whom the database knows nothing', () => {
    expect(isAlone(company({ known: [A], writers: [A, B] }))).to.equal(false)
  })

  it('says whom it waits for, and what to do', () => {
    const both = whomToWaitFor('notes', company({ paired: PAIRED }))
    expect(both).to.match(/^waits for "name-a" or "name-b", to be sure\. Switch one on.*"kith folder remove notes"/)
    expect(whomToWaitFor('notes', company({ writers: [A] }))).to.match(/Pair one .*"kith folder remove notes"/)
  })
})
