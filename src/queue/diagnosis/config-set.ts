/** The commands that change a setting of Redis such as `appendonly yes`, and make it last. */
export function configSet(info: ReadonlyMap<string, string>, setting: string): string[] {
  return [
    `CONFIG SET ${setting}`,
    info.get('config_file') ? 'CONFIG REWRITE' : `# and, so that it lasts, where Redis gets its settings: ${setting}`,
  ]
}
