/** The licences of third-party code, as the build wrote them beside the page. */
export interface Licence {
  readonly name: string
  readonly version: string
  /** SPDX expression. */
  readonly licence: string
  readonly text: string
}

/** Throws when the file is not there, which only a page served from elsewhere can see. */
export async function readLicences(): Promise<readonly Licence[]> {
  const response = await fetch('licences.json')
  if (!response.ok) throw new Error(`licences.json: ${String(response.status)}`)
  // Ours, and built together with this file.
  return (await response.json()) as readonly Licence[]
}
