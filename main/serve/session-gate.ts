/**
 * Who may use the browser server. The printed URL carries a token of 256 bits that works once; the browser that used it holds a cookie from
 * then on. Host and Origin are checked first, so that a name which an attacker points at the loopback address (DNS rebinding) gets nowhere.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'

export interface GateRequest {
  readonly method: string
  readonly pathname: string
  readonly token: string | undefined
  readonly headers: IncomingHttpHeaders
}

export type Verdict =
  | { readonly kind: 'admitted'; readonly setCookie: string | undefined }
  | { readonly kind: 'refused'; readonly status: 401 | 403 }

const SECRET_BYTES = 32

export class SessionGate {
  readonly #port: number
  readonly #session = newSecret()
  #token: string | undefined = newSecret()

  constructor(port: number) {
    this.#port = port
  }

  /** The one-time token; undefined once it was used. */
  get token(): string | undefined {
    return this.#token
  }

  /** Decides from the head of a request alone; the caller reads no body before it is admitted. */
  admit(request: GateRequest): Verdict {
    const isApi = request.pathname.startsWith('/api/')
    if (!this.#isOwnHost(request.headers.host)) return { kind: 'refused', status: 403 }
    if (!isOwnOrigin(request, isApi)) return { kind: 'refused', status: 403 }
    if (this.#hasCookie(request.headers.cookie)) return { kind: 'admitted', setCookie: undefined }
    const { token } = request
    if (token === undefined || request.method !== 'GET' || request.pathname !== '/') return UNAUTHORISED
    if (this.#token === undefined || !isSameSecret(token, this.#token)) return UNAUTHORISED
    this.#token = undefined
    const setCookie = `${this.#cookieName}=${this.#session}; HttpOnly; SameSite=Strict; Path=/`
    return { kind: 'admitted', setCookie }
  }

  /** Cookies ignore ports, so the name carries it: two servers on one machine do not overwrite each other's. */
  get #cookieName(): string {
    return `quantmill_${String(this.#port)}`
  }

  #isOwnHost(host: string | undefined): boolean {
    const suffix = this.#port === 80 ? '' : `:${String(this.#port)}`
    return host === `127.0.0.1${suffix}` || host === `localhost${suffix}`
  }

  #hasCookie(header: string | undefined): boolean {
    const prefix = `${this.#cookieName}=`
    return (header ?? '')
      .split(';')
      .map((part) => part.trim())
      .some((part) => part.startsWith(prefix) && isSameSecret(part.slice(prefix.length), this.#session))
  }
}

const UNAUTHORISED: Verdict = { kind: 'refused', status: 401 }

/** A browser sends Origin with every POST, so its absence there is refused; elsewhere it may be missing but not foreign. */
function isOwnOrigin({ method, headers }: GateRequest, isApi: boolean): boolean {
  const site = headers['sec-fetch-site']
  if (isApi && site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (headers.origin === undefined) return method === 'GET'
  return headers.origin === `http://${headers.host ?? ''}`
}

/** Constant time: digests have one length, whatever was sent. */
function isSameSecret(given: string, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given), digest(expected))
}

function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url')
}
