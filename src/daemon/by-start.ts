// Versions as a person names them: by an id, or by as much of its beginning as tells it apart.
import { printable } from '../core/display.ts'
import { KithError } from '../core/errors.ts'

/** `lists`: the command that shows them. Throws `no-such-version`, `version-ambiguous`. */
export function byStart<T extends { readonly id: string }>(start: string, versions: readonly T[], lists: string): T {
  const exact = versions.find(version => version.id === start)
  if (exact !== undefined) return exact
  const found = versions.filter(version => start !== '' && version.id.startsWith(start))
  const [first] = found
  if (first === undefined) {
    throw new KithError('no-such-version', `There is no version "${printable(start)}" of it: "${lists}" shows them.`)
  }
  if (found.some(version => version.id !== first.id)) {
    throw new KithError(
      'version-ambiguous',
      `More than one version starts with "${printable(start)}": type more of it.`,
    )
  }
  return first
}
