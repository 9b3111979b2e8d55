/** Types for the tests: the files of an asar archive. */
export function archiveFiles(
  archive: string,
): readonly { readonly path: string; readonly bytes: number; readonly isUnpacked: boolean }[]
