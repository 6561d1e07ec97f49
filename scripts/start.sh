#!/bin/sh
# What `npm start` and `npm run demo` do, with what follows behind `--`: it may say where Redis is.
# Without `--`, Node would read the file of --env-file itself, before we know whose it is.
set -e
node -- scripts/ensure-servers.mjs redis --unless-redis-url -- "$@"
npm run --silent build
# Node itself takes memory by what the machine has, and lets a flood of requests fill hundreds of MB before it clears up. Within so
# small a bound it would look through all of its memory each time that 10 MB have been added: once a second in a wave of deadlines.
exec node --enable-source-maps --max-old-space-size=256 --heap-growing-percent=100 -- dist/cli.js "$@"
