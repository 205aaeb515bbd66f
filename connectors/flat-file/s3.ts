import type { Readable } from 'node:stream';
import { GetObjectCommand, ListObjectsV2Command, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { TidemarkFailure } from '../../model/failure.ts';
import type { Place } from './place.ts';
import { s3Identity } from './place-identity.ts';
import type { S3Settings } from './settings.ts';

export interface S3Options {
  readonly settings: S3Settings;
  /** Absent: whatever the environment of the worker offers. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  readonly pace: (() => Promise<void>) | undefined;
  readonly signal: AbortSignal;
}

/** Objects below a prefix. An object is there whole or not at all, and an answer is of one state of it, so that nothing can change while it is read. */
export function openS3({ settings, credentials, pace, signal }: S3Options): Place {
  const { bucket, prefix, region, endpoint, pathStyle, connectTimeout } = settings;
  const client = new S3Client({
    region,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials }),
    forcePathStyle: pathStyle,
    // Objects that were not put with a checksum have none.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: connectTimeout },
  });
  return {
    identity: s3Identity(settings),
    async list() {
      const names: string[] = [];
      let token: string | undefined;
      do {
        await pace?.();
        const page = await client
          .send(
            new ListObjectsV2Command({
              Bucket: bucket,
              Prefix: prefix,
              Delimiter: '/',
              ...(token === undefined ? {} : { ContinuationToken: token }),
            }),
            { abortSignal: signal },
          )
          .catch((error: unknown) => {
            throw failureOf(error, `the objects below ${prefix}`, settings);
          });
        for (const { Key } of page.Contents ?? []) if (Key !== undefined && Key !== prefix) names.push(Key.slice(prefix.length));
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
      return names;
    },
    async open(name) {
      await pace?.();
      try {
        const answer = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `${prefix}${name}` }), { abortSignal: signal });
        const body = answer.Body as Readable;
        const size = answer.ContentLength ?? 0;
        return {
          size,
          writtenAtMs: undefined,
          async *bytes() {
            try {
              for await (const chunk of body) yield chunk as Buffer;
            } catch (error) {
              throw failureOf(error, name, settings);
            }
          },
          isUnchanged: () => Promise.resolve(true),
          async [Symbol.asyncDispose]() {
            body.destroy();
          },
        };
      } catch (error) {
        if (error instanceof S3ServiceException && error.name === 'NoSuchKey') return undefined;
        throw failureOf(error, name, settings);
      }
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

function failureOf(error: unknown, what: string, { bucket, endpoint, region }: S3Settings): unknown {
  if (error instanceof Error && error.name === 'AbortError') return error;
  const host = endpoint ?? `S3 in ${region}`;
  const code = error instanceof Error ? error.name : 'unknown error';
  const httpStatus = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
  if (code === 'NoSuchBucket') {
    return new TidemarkFailure('InvalidConfiguration', `${host} has no bucket ${bucket}`, { remedy: 'Correct s3.bucket of the settings.' });
  }
  if (['InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ExpiredToken', 'InvalidToken', 'CredentialsProviderError'].includes(code)) {
    return new TidemarkFailure('AuthenticationFailed', `${host} refuses the sign-in (${code})`, {
      remedy: 'Check accessKeyId and secretAccessKey of the settings, or what the environment of the worker offers in their place.',
    });
  }
  if (httpStatus === 403) {
    return new TidemarkFailure('RightsMissing', `${host} does not let the account read ${what} in ${bucket} (${code})`, {
      remedy: 'Grant s3:ListBucket of the bucket and s3:GetObject of its objects.',
    });
  }
  if (httpStatus === 429 || httpStatus === 503) {
    return new TidemarkFailure('RateLimited', `${host} asks to be left alone (${code})`, { remedy: 'Nothing to do: it is tried again.' });
  }
  return new TidemarkFailure(
    'SourceUnavailable',
    `${host} does not give ${what} in ${bucket} (${code})`,
    { remedy: 'It is tried again. Check endpoint, region and bucket of the settings.' },
    error,
  );
}
