// A disk that says of a name which it cannot have that it is not there (exFAT by FUSE does): the name is refused, and nothing is gone.
import { closeSync, mkdirSync, openSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { expect } from 'chai'
import { systemCode } from '../../src/core/errors.ts'
import type { Directory } from '../../src/disk/beneath.ts'
import { writingProblem } from '../../src/disk/problem-of.ts'
import { naming } from '../../src/disk/user-place.ts'
import { temporaryRoot } from './real-person.ts'

describe('disk/user-place', () => {
  let root: string
  let directory: Directory
  beforeEach(() => {
    root = temporaryRoot()
    mkdirSync(`${root}/d`)
    directory = { fd: openSync(`${root}/d`, 'r'), base: `${root}/d` }
  })
  afterEach(() => {
    closeSync(directory.fd)
    rmSync(root, { recursive: true, force: true })
  })

  function refused(source: string | null, code: string): unknown {
    try {
      naming(directory, source, () => {
        throw Object.assign(new Error(code), { code })
      })
    } catch (error) {
      return error
    }
    throw new Error('it should have failed')
  }

  it('a name that is not there, of what is there, in a directory that is there, is one that the disk cannot have', () => {
    writeFileSync(`${root}/source`, 'x')
    for (const source of [null, `${root}/source`]) {
      expect(writingProblem(refused(source, 'ENOENT'), 'a:b').code).to.equal('cannot-hold')
    }
  })

  it('what is gone is gone, and other errors stay what they are', () => {
    expect(systemCode(refused(`${root}/gone`, 'ENOENT'))).to.equal('ENOENT')
    expect(systemCode(refused(null, 'EIO'))).to.equal('EIO')
    rmdirSync(`${root}/d`)
    expect(systemCode(refused(null, 'ENOENT'))).to.equal('ENOENT')
  })
})
