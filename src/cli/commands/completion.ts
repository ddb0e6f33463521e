// `kith completion SHELL`: scripts that complete commands and options, made from the commands themselves.
import type { Command } from 'commander'
import type { Context } from '../context.ts'

interface Words {
  /** The commands so far, as in `device rename`. */
  readonly path: string
  readonly words: readonly string[]
}

export async function completion(
  { surroundings }: Context,
  shell: string | undefined,
  program: Command,
): Promise<void> {
  const all = collect(program, [])
  const script =
    shell === 'fish'
      ? fish(program)
      : shell === 'zsh'
        ? `autoload -U +X bashcompinit && bashcompinit\n${bash(all)}`
        : bash(all)
  surroundings.stdout.write(script)
}

function collect(command: Command, path: readonly string[]): Words[] {
  const children = visible(command)
  const options = command.options.map(option => option.long ?? option.short ?? '')
  const words = [...children.map(child => child.name()), ...options, ...(path.length === 0 ? ['help'] : []), '--help']
  return [{ path: path.join(' '), words }, ...children.flatMap(child => collect(child, [...path, child.name()]))]
}

function visible(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter(child => child.name() !== 'help') as Command[]
}

function bash(all: readonly Words[]): string {
  const cases = all.map(({ path, words }) => `    '${path}') words='${words.join(' ')}' ;;`)
  return `_kith() {
  local word path='' words=''
  local current="\${COMP_WORDS[COMP_CWORD]}"
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in
      -*) ;;
      *) path="\${path:+$path }$word" ;;
    esac
  done
  case "$path" in
${cases.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -o filenames -F _kith kith
`
}

function fish(program: Command): string {
  const lines: string[] = []
  const tops = visible(program)
  for (const option of program.options)
    lines.push(`complete -c kith -l ${long(option.long)} -d ${word(option.description)}`)
  for (const top of tops) {
    lines.push(`complete -c kith -n __fish_use_subcommand -a ${top.name()} -d ${word(top.description())}`)
    const seen = `__fish_seen_subcommand_from ${top.name()}`
    for (const option of top.options)
      lines.push(`complete -c kith -n ${word(seen)} -l ${long(option.long)} -d ${word(option.description)}`)
    for (const child of visible(top)) {
      lines.push(`complete -c kith -n ${word(seen)} -a ${child.name()} -d ${word(child.description())}`)
    }
  }
  return `${lines.join('\n')}\n`
}

function long(name: string | undefined): string {
  return (name ?? '').replace(/^--/, '')
}

function word(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
}
