import { join } from 'node:path'
import { expect } from 'chai'
import { loadConfig, parseConfig } from '../../src/daemon/config.ts'
import { makeDirectory } from './support/fake-daemon.ts'
import { refusal } from './support/refusal.ts'

describe('daemon/config', () => {
  it('has defaults where there is no file', async () => {
    const directory = await makeDirectory()
    try {
      const config = await loadConfig(join(directory.path, 'config.toml'))
      expect(config.name).to.match(/^[^.]+$/)
      expect(config).to.deep.include({ port: 0, discovery: true, log: { level: 'info' } })
    } finally {
      await directory.remove()
    }
  })

  it('takes what is set', () => {
    const text = 'name = "Küche"\nport = 4001\ndiscovery = false\n[log]\nlevel = "debug"\n'
    expect(parseConfig(text, 'c')).to.deep.equal({
      name: 'Küche',
      port: 4001,
      discovery: false,
      log: { level: 'debug' },
    })
  })

  const wrong: readonly (readonly [what: string, text: string, says: RegExp])[] = [
    ['broken TOML, with its line', 'name = "a"\nport = = 3\n', /line 2/],
    ['an unknown key, by name', 'colour = "red"\n', /"colour"/],
    ['an unknown key of a table', '[log]\nlevle = "info"\n', /"log\.levle"/],
    ['a value of a wrong type, by key', 'port = "4001"\n', /"port"/],
    ['a port that does not exist', 'port = 70000\n', /"port"/],
    ['an unknown level', '[log]\nlevel = "loud"\n', /"log\.level"/],
    ['an empty name', 'name = " "\n', /"name"/],
    ['a name that is too long', `name = "${'ü'.repeat(32)}"\n`, /"name"/],
    ['bytes that are no text', 'name = "\u0000"\n', /line 1/],
  ]
  for (const [what, text, says] of wrong) {
    it(`refuses ${what}`, () => {
      let message = ''
      try {
        parseConfig(text, '/home/me/config.toml')
      } catch (error) {
        expect(error).to.have.property('code', 'config-invalid')
        message = (error as Error).message
      }
      expect(message).to.match(says).and.contain('/home/me/config.toml')
      expect(message).not.to.contain('\n')
    })
  }

  it('refuses a file that cannot be read', async () => {
    const directory = await makeDirectory()
    try {
      // A directory in its place fails for every user.
      expect((await refusal(loadConfig(directory.path))).code).to.equal('config-invalid')
    } finally {
      await directory.remove()
    }
  })
})
