import { expect } from 'chai'
import { readingProblem } from '../../src/disk/problem-of.ts'

describe('disk: problems of reading', () => {
  it('tell what may never be readable from what passes', () => {
    const codeOf = (code: string): string => readingProblem(Object.assign(new Error(code), { code }), 'f').code
    for (const code of ['EACCES', 'EPERM', 'EIO']) expect(codeOf(code), code).to.equal('unreadable')
    for (const code of ['EMFILE', 'ENFILE', 'ESTALE', 'ENOMEM']) expect(codeOf(code), code).to.equal('failed')
  })
})
