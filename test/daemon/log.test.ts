import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'chai'
import { createLog, textTarget } from '../../src/daemon/log.ts'
import { RotatingFile } from '../../src/daemon/rotating-file.ts'
import { makeDirectory } from './support/fake-daemon.ts'

const HOSTILE = 'a\u001b[31mb\r\nc\u202ed\u009be\u2028f'
const RAW = /[\p{Cc}\u202e\u2028]/u

describe('daemon/log', () => {
  it('keeps each record in one line without a raw control or direction character', () => {
    const lines: string[] = []
    const log = createLog('info', [{ write: line => lines.push(line) }])
    log.child({ part: HOSTILE }).info({ name: HOSTILE }, `saw ${HOSTILE}`)
    log.debug('not at this level')
    expect(lines).to.have.length(1)
    const [line = ''] = lines
    expect(line.trimEnd()).not.to.match(RAW).and.not.contain('\n')
    expect(JSON.parse(line)).to.deep.include({ name: HOSTILE, part: HOSTILE, msg: `saw ${HOSTILE}` })
  })

  it('is as safe as text for a terminal', () => {
    let text = ''
    const stream = { write: (part: string) => (text += part) } as unknown as NodeJS.WritableStream
    createLog('info', [textTarget(stream)]).warn({ part: 'disk', err: new Error(HOSTILE) }, HOSTILE)
    expect(text).to.match(/^\d\d:\d\d:\d\d warn {2}disk: a\\x1b\[31mb/)
    expect(text.slice(0, -1)).not.to.match(RAW).and.not.contain('\n')
  })

  it('writes a private file of bounded size, and keeps the one before', async () => {
    const directory = await makeDirectory()
    try {
      const path = join(directory.path, 'daemon.log')
      const file = new RotatingFile(path, { maxBytes: 100 })
      for (let index = 0; index < 27; index++) file.write(`line ${String(index).padStart(4, '0')}\n`)
      file.close()
      const [now, before] = await Promise.all([readFile(path, 'utf8'), readFile(`${path}.1`, 'utf8')])
      expect(now.length).to.be.within(10, 100)
      expect(before).to.have.length(100)
      expect(before + now).to.match(/line 0026\n$/)
      expect((await stat(path)).mode & 0o777).to.equal(0o600)
      const again = new RotatingFile(path, { maxBytes: 100 })
      again.write('after a restart\n')
      again.close()
      expect(await readFile(path, 'utf8')).to.equal(`${now}after a restart\n`)
    } finally {
      await directory.remove()
    }
  })

  it('does not fail where it cannot write', () => {
    const file = new RotatingFile('/dev/null/nowhere')
    file.write('lost\n')
    file.close()
  })
})
