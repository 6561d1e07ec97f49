#!/usr/bin/env bash
# Proves of the built image what its users rely on: run as uid 1000, without privileges and with a read-only root, it
# becomes ready, cancels an order at its deadline, answers its own health check, opens no inspector on SIGUSR1, and ends with
# code 0 on SIGTERM.
#
#   scripts/check-image.sh [IMAGE]      default: localhost/order-expiry, as ../shared/tools/build-image leaves it
#
# Needs root and buildah, but no container engine: what an engine would do (entry point, command, environment, user and
# working directory from the image; process namespace, read-only mounts) is done here, so that every bit of it is known.
set -euo pipefail
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot LC_ALL=C PATH=$PATH:/usr/sbin
image=${1:-localhost/order-expiry}
order="image-check-1"

main() {
  node "$(dirname "$0")/ensure-servers.mjs" redis
  unpack_image
  check_contents
  start_redis
  check_isolation

  start_daemon
  check_first_process
  wait_for 60 'daemon ready' http_ok /readyz
  check_cancels_an_order
  check_health_command
  check_opens_no_inspector
  check_ends_on_sigterm
  passed 'the image does what it promises'
}

unpack_image() {
  work=$(mktemp -d) container='' redis='' daemon='' init=''
  trap clean_up EXIT
  container=$(buildah from "$image")
  root=$(buildah mount "$container")
  buildah inspect --type image "$image" >"$work/image.json"
  local -ga entrypoint command environment health user directory
  from_image entrypoint Entrypoint
  from_image command Cmd
  from_image environment Env
  from_image health Healthcheck.Test
  from_image user User
  from_image directory WorkingDir
  redis_port=$(free_port) http_port=$(free_port)
  environment+=("REDIS_URL=redis://127.0.0.1:$redis_port" "HTTP_PORT=$http_port")
}

check_contents() {
  local name modules=$root/app/node_modules
  [[ -e $modules/bullmq/package.json ]] || failed 'bullmq is missing from the image'
  # Packages, not folders: npm 10 leaves the empty folders of scopes behind.
  for name in typescript jest '@jest/*' '@biomejs/*' '@swc/*'; do
    ! compgen -G "$modules/$name/package.json" >/dev/null || failed "the development dependency $name is in the image"
  done
  for name in "$root"/app/*; do
    [[ ${name##*/} =~ ^(dist|docs|node_modules|package\.json)$ ]] || failed "/app/${name##*/} has no business in the image"
  done
  passed 'production dependencies only'
  [[ -z $(find "$root/app" ! -type l \( ! -user 0 -o -perm /022 \) -print -quit) ]] || failed '/app can be written to'
  passed 'the application belongs to root, and nobody else can write to it'
}

start_redis() {
  local server
  server=$(command -v redis-server || command -v valkey-server)
  "$server" --bind 127.0.0.1 --port "$redis_port" --dir "$work" --save '' --maxmemory-policy noeviction \
    >"$work/redis.log" 2>&1 &
  redis=$!
  wait_for 10 'Redis started' redis_answers
}

redis_answers() { (: <>"/dev/tcp/127.0.0.1/$redis_port"); }

check_isolation() {
  [[ $user == 1000:1000 && $(in_image id -u) == 1000 ]] || failed "the user is $user, not 1000:1000"
  passed 'runs as uid 1000'
  # Root may write everywhere and everybody in /tmp, so it is the mount that refuses.
  is_read_only as_root_in_image touch /app/created || failed 'root can write to /app'
  is_read_only in_image touch /tmp/created || failed 'uid 1000 can write to /tmp'
  passed 'the root file system is read-only, /tmp included'
}

is_read_only() {
  local output
  ! output=$("$@" 2>&1) && [[ $output == *'Read-only file system'* ]]
}

start_daemon() {
  in_image "${entrypoint[@]}" "${command[@]}" >"$work/daemon.log" 2>&1 &
  daemon=$!
  wait_for 10 'daemon started' has_first_process
}

# Process 1 of the image's own process namespace is the youngest descendant; at first it is still the shell that prepares
# the mounts, and outside wait its parents, `unshare` and a subshell.
has_first_process() {
  local child=$daemon
  while [[ -n $child ]]; do
    init=$child
    read -r child _ < <(cat "/proc/$init/task/$init/children" && echo)
  done
  [[ $(readlink "/proc/$init/exe") == */node ]]
}

check_first_process() {
  local -a arguments
  grep -q '^NSpid:.*[[:space:]]1$' "/proc/$init/status" || failed 'node is not process 1'
  mapfile -d '' -t arguments <"/proc/$init/cmdline"
  [[ ${arguments[*]} == "${entrypoint[*]} ${command[*]}" ]] || failed "process 1 is ${arguments[*]}"
  passed "process 1 is ${arguments[*]}, no shell"
}

check_cancels_an_order() {
  in_image "${entrypoint[@]}" schedule "$order" --timeout 2s >"$work/schedule.log" 2>&1 ||
    failed "schedule: $(<"$work/schedule.log")"
  wait_for 20 "order $order cancelled" order_is cancelled
}

order_is() {
  in_image "${entrypoint[@]}" show "$order" --json >"$work/show.json" 2>"$work/show.log" &&
    node -e '
      const { order } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"))
      process.exit(order?.status === process.argv[2] ? 0 : 1)' "$work/show.json" "$1"
}

check_health_command() {
  [[ ${health[0]} == CMD ]] || failed "the health check is not in exec form: ${health[*]}"
  in_image "${health[@]:1}" || failed 'the health check says unhealthy'
  passed 'its health check says healthy'
}

check_opens_no_inspector() {
  local caught
  caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$init/status")
  # Bit 9 is SIGUSR1, which Node catches to open its inspector.
  (((0x$caught >> 9 & 1) == 0)) || failed 'node catches SIGUSR1, which opens its inspector'
  kill -USR1 "$init"
  http_ok /readyz || failed 'SIGUSR1 ended it'
  ! grep -q 'Debugger listening' "$work/daemon.log" || failed 'SIGUSR1 opened the inspector'
  passed 'SIGUSR1 opens no inspector'
}

check_ends_on_sigterm() {
  local code=0
  kill -TERM "$init"
  wait_for 30 'daemon ended on SIGTERM' has_ended
  wait "$daemon" || code=$?
  daemon=''
  [[ $code == 0 ]] || failed "SIGTERM ended it with code $code"
  passed 'exit code 0'
  ! in_image "${health[@]:1}" 2>/dev/null || failed 'the health check says healthy, but nothing runs'
  passed 'its health check now says unhealthy'
}

has_ended() { ! kill -0 "$daemon" 2>/dev/null; }

# --- a container without an engine ---

in_image() {
  isolated setpriv --reuid="${user%:*}" --regid="${user#*:}" --clear-groups --inh-caps=-all --bounding-set=-all \
    --no-new-privs env --ignore-environment --chdir="$directory" "${environment[@]}" "$@"
}

as_root_in_image() { isolated "$@"; }

# Mounts and processes live in namespaces of their own, so they are gone as soon as the command ends, however it ends.
isolated() {
  unshare --mount --pid --fork --kill-child -- bash -euc '
    root=$1; shift
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom; do
      touch "$root/dev/$device"
      mount --bind "/dev/$device" "$root/dev/$device"
    done
    mount -o remount,ro "$root/dev"
    exec chroot "$root" "$@"' bash "$root" "$@"
}

# Sets the array $1 to what the image's configuration says under the path $2, a string counting as a list of one.
from_image() {
  mapfile -d '' -t "$1" < <(node -e '
    const { Docker } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"))
    const value = process.argv[2].split(".").reduce((part, name) => part?.[name], Docker.config)
    for (const item of [value ?? []].flat()) process.stdout.write(`${item}\0`)' "$work/image.json" "$2")
  local -n list=$1
  ((${#list[@]})) || failed "the image has no $2 (a health check is only kept with BUILDAH_FORMAT=docker)"
}

# --- waiting and telling ---

wait_for() {
  local seconds=$1 what=$2 deadline
  shift 2
  for ((deadline = SECONDS + seconds; SECONDS <= deadline; )); do
    if "$@" 2>/dev/null; then passed "$what"; return; fi
    [[ -z $daemon ]] || ! has_ended || [[ $1 == has_ended ]] || failed "the daemon ended; awaited: $what"
    sleep 0.2
  done
  failed "not within $seconds s: $what"
}

http_ok() {
  node -e '
    fetch(process.argv[1], { signal: AbortSignal.timeout(2000) })
      .then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))' "http://127.0.0.1:$http_port$1"
}

free_port() {
  node -e '
    const server = require("node:net").createServer().listen(0, "127.0.0.1", () => {
      console.log(server.address().port)
      server.close()
    })'
}

passed() { printf '  ok      %s\n' "$1"; }

failed() {
  printf '  FAILED  %s\n' "$1" >&2
  local log
  for log in "$work"/{daemon,redis,show}.log; do
    if [[ -s $log ]]; then printf -- '--- %s\n' "${log##*/}" && tail -n 40 "$log"; fi >&2
  done
  exit 1
}

clean_up() {
  local code=$?
  set +e
  exec 2>/dev/null
  # Ending process 1 of a namespace ends all of it, and the processes that wait outside with it.
  [[ -z $init ]] || kill -KILL "$init"
  [[ -z $redis ]] || kill "$redis"
  wait ${daemon:+"$daemon"} ${redis:+"$redis"}
  [[ -z $container ]] || buildah rm "$container" >/dev/null
  rm -rf "$work"
  exit "$code"
}

main
