#!/usr/bin/env bash
# Makes the certificates of the tests anew, good for a hundred years. Needs OpenSSL 3. None of the keys guards anything.
set -euo pipefail
cd "$(dirname "$0")"
days=36500
alt='subjectAltName=DNS:localhost,IP:127.0.0.1'
authority() { openssl req -x509 -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.pem" -days $days -subj "/CN=$2" 2>/dev/null; }
signed() { # NAME SUBJECT AUTHORITY EXTENSION
  openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA "$3.pem" -CAkey "$3.key" -days $days -out "$1.pem" -extfile <(echo "$4") 2>/dev/null
  rm "$1.csr"
}
alone() { openssl req -x509 -nodes -keyout "$1.key" -out "$1.pem" -days $days -subj /CN=localhost -addext "$alt" "${@:2}" 2>/dev/null; }

authority authority 'pgweir test authority'
authority stranger 'somebody else'
signed server /CN=localhost authority "$alt"
signed elsewhere /CN=elsewhere.example authority 'subjectAltName=DNS:elsewhere.example'
signed client /CN=app authority 'extendedKeyUsage=clientAuth'
signed unknown-client /CN=app stranger 'extendedKeyUsage=clientAuth'
alone rsa-sha1 -newkey rsa:2048 -sha1
alone rsa-sha512 -newkey rsa:2048 -sha512
alone rsa-pss-sha384 -newkey rsa:2048 -sha384 -sigopt rsa_padding_mode:pss
alone ecdsa-sha384 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384
alone ed25519 -newkey ed25519
rm -f ./*.srl authority.key stranger.key rsa-*.key
