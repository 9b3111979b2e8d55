/**
 * The environment of the host process: a fixed list, not what happens to be set. Left out on purpose: NODE_OPTIONS, LD_PRELOAD,
 * ELECTRON_RUN_AS_NODE and everything else that can change what a process loads (docs/security.md, host and workers).
 */

const PASSED_ON = [
  // folders and language
  'HOME',
  'USERPROFILE',
  'TMPDIR',
  'TEMP',
  'TMP',
  'LANG',
  'LC_ALL',
  // what native code needs to start at all
  'PATH',
  'SystemRoot',
  'LD_LIBRARY_PATH',
  // choice of the graphics driver and device
  'VK_ICD_FILENAMES',
  'VK_DRIVER_FILES',
  'CUDA_VISIBLE_DEVICES',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XDG_RUNTIME_DIR',
] as const

export function hostEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    PASSED_ON.flatMap((name) => {
      const value = environment[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** Removes everything else from this process's own environment, for the case that a launcher added to it. */
export function stripEnvironment(environment: Record<string, string | undefined>): void {
  const kept = hostEnvironment(environment)
  for (const name of Object.keys(environment)) {
    if (!Object.hasOwn(kept, name)) Reflect.deleteProperty(environment, name)
  }
}
