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

function paired(id: DeviceId, mayHold: boolean): PairedDevice {
  return { id, name: `name-${id}`, mayHold }
}

describe('sync/company', () => {
  it('a folder is alone where those that had it are paired no more', () => {
    expect(isAlone(company({ known: [A], writers: [A] }))).to.equal(true)
    expect(isAlone(company({ paired: [paired(B, false)], known: [A] })), 'one that has other folders').to.equal(true)
  })

  it('it is not where a paired device had it, has it, or was never asked', () => {
    expect(isAlone(company({ paired: [paired(A, false)], known: [A] }))).to.equal(false)
    expect(isAlone(company({ paired: [paired(A, false)], writers: [A] }))).to.equal(false)
    expect(isAlone(company({ paired: [paired(B, true)], known: [A] }))).to.equal(false)
  })

  it('nor where somebody wrote here of whom the database knows nothing', () => {
    expect(isAlone(company({ known: [A], writers: [A, B] }))).to.equal(false)
  })

  it('says whom it waits for, and what to do', () => {
    const both = company({ paired: [paired(A, true), paired(B, true)] })
    expect(whomToWaitFor(both)).to.match(/^waits for "name-a" or "name-b", to be sure\. Switch one on/)
    expect(whomToWaitFor(company({ writers: [A] }))).to.match(/Pair one/)
  })
})
