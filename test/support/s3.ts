import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import S3rver from 's3rver';
import { freeAddress } from './loopback.ts';

const port = 4568;

/** A server that speaks S3, with one bucket, on a loopback address of its own. */
export interface S3Server extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  readonly bucket: string;
  /** The one access key that it takes; the id is the secret too. */
  readonly accessKey: string;
  put(key: string, text: string): Promise<void>;
  remove(key: string): Promise<void>;
}

export async function startS3(): Promise<S3Server> {
  const directory = await mkdtemp(join(tmpdir(), 'tidemark-s3-'));
  const address = await freeAddress(port);
  const bucket = 'exports';
  const accessKey = 'S3RVER';
  const server = new S3rver({ address, port, directory, silent: true, configureBuckets: [{ name: bucket, configs: [] }] });
  await server.run();
  const client = new S3Client({
    endpoint: `http://${address}:${port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: accessKey, secretAccessKey: accessKey },
  });
  return {
    address,
    port,
    bucket,
    accessKey,
    async put(key, text) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: text }));
    },
    async remove(key) {
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
    },
    async [Symbol.asyncDispose]() {
      client.destroy();
      await server.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
