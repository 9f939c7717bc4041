#!/usr/bin/env bash
# Packs the package, installs it in an empty project, and uses it there: imports with types, SQL and migrations included.
set -euo pipefail
cd "$(dirname "$0")/../.."
project=$(mktemp -d)
trap 'rm -rf "$project"' EXIT

npx publint --strict
npm pack --silent --pack-destination "$project" >/dev/null
npx attw "$project"/postbus-*.tgz --profile esm-only

cp test/package/use.ts test/package/page.ts test/package/memory.mjs "$project"
typescript=$(node -p "require('typescript/package.json').version")
cd "$project"
cat > package.json <<'JSON'
{ "name": "user", "private": true, "type": "module" }
JSON
npm install --silent --no-audit --no-fund ./postbus-*.tgz "typescript@$typescript" @types/node@20 fastify@5
npx tsc --strict --exactOptionalPropertyTypes --module nodenext --target es2022 --skipLibCheck false --outDir out use.ts
node out/use.js
cat > page.json <<'JSON'
{
  "compilerOptions": {
    "strict": true, "exactOptionalPropertyTypes": true, "skipLibCheck": false, "noEmit": true,
    "target": "es2022", "module": "esnext", "moduleResolution": "bundler", "lib": ["es2022", "dom"], "types": []
  },
  "files": ["page.ts"]
}
JSON
npx tsc --project page.json
# As bundlers compile it, without esModuleInterop.
npx tsc --strict --exactOptionalPropertyTypes --module esnext --moduleResolution bundler --target es2022 --types node \
  --skipLibCheck false --noEmit use.ts
npm install --silent --no-audit --no-fund @electric-sql/pglite
node memory.mjs
npx postbus migrate --print | grep -q 'create table channels'
echo 'the package works in an empty project'
