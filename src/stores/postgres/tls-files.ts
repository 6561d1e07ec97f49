import type { TlsFiles } from '../../runtime/certificates.ts'
import type { PostgresAddress } from './address.ts'

type Given = { [Name in `DATABASE_TLS_${'CA' | 'CERT' | 'KEY'}_FILE`]?: string | undefined }

/** Those of the settings or else of the URL. */
export function tlsFilesOf({ files }: Pick<PostgresAddress, 'files'>, given: Given): TlsFiles {
  return {
    ca: given.DATABASE_TLS_CA_FILE ?? files.ca,
    cert: given.DATABASE_TLS_CERT_FILE ?? files.cert,
    key: given.DATABASE_TLS_KEY_FILE ?? files.key,
  }
}
