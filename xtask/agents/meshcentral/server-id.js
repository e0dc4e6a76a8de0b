// Prints what an agent must be told of its server: SHA-384 of the public key (PKCS#1, DER) in a certificate file.
//
//   usage: node server-id.js <agentserver-cert-public.crt>
//
'use strict';

const { X509Certificate, createHash } = require('crypto');
const { readFileSync } = require('fs');

const certificate = new X509Certificate(readFileSync(process.argv[2]));
const key = certificate.publicKey.export({ type: 'pkcs1', format: 'der' });
console.log(createHash('sha384').update(key).digest('hex').toUpperCase());
