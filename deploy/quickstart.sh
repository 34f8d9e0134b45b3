#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# From a fresh Debian 12 to messages that go through Busbar, in one command:
#
#   deploy/quickstart.sh [--stay]
#
#   1. installs what is missing of Debian's packages (apt-get; with sudo for users)
#   2. builds the programs in build/
#   3. starts the appliance on its embedded default: three endpoints on loopback, ports 5559 to 5564,
#      kernel sockets, no hugepages, as the user who runs this
#   4. sends messages through every endpoint with stock ZeroMQ sockets (python3-zmq), shows what arrived
#      and what Busbar's own counters say of it
#   5. stops the appliance in order; with --stay it goes on, and the way to stop it is printed
#
# Exit status: 0 if everything that was sent arrived and the counters agree, 1 if not, 2 for wrong use.
set -u

cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

PACKAGES="build-essential pkg-config meson ninja-build python3 libdpdk-dev libhwloc-dev libjemalloc-dev libyaml-dev
    libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev libcmocka-dev python3-zmq"
PROGRAMS="dataplane/busbar-dataplane control/busbar-control control/busbar"
START_SECONDS=30

stay=
case ${1-} in
"") ;;
--stay) stay=1 ;;
-h | --help)
    sed -n '4,18s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
*)
    echo "quickstart.sh: $1: unknown option: --help shows them" >&2
    exit 2
    ;;
esac

say()
{
    printf '\n== %s\n' "$*"
}

# The logs stay where the message says they are.
die()
{
    printf '\nquickstart.sh: %s\n' "$*" >&2
    keep=1
    exit 1
}

install_packages()
{
    local missing="" root="" package
    for package in $PACKAGES; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    if [ -z "$missing" ]; then
        echo "nothing is missing"
        return
    fi
    echo "installing:$missing"
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "no root and no sudo: have an administrator run
    apt-get install --no-install-recommends$missing"
        root="sudo DEBIAN_FRONTEND=noninteractive"
    fi
    { $root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends $missing; } \
        >"$log_dir/packages.log" 2>&1 || {
        tail -n 20 "$log_dir/packages.log" >&2
        die "the packages could not be installed: all of it is in $log_dir/packages.log"
    }
}

build()
{
    {
        { [ -e build/build.ninja ] || /usr/bin/meson setup build -Dbuildtype=release; } &&
            ninja -C build $PROGRAMS
    } >"$log_dir/build.log" 2>&1 || {
        tail -n 30 "$log_dir/build.log" >&2
        die "the build failed: all of it is in $log_dir/build.log"
    }
    echo "build/dataplane/busbar-dataplane, build/control/busbar-control, build/control/busbar"
}

start_failed()
{
    grep -v ' INFO \|^INFO' "$log_dir/busbar.log" >&2
    die "$1"
}

start()
{
    local tries=$((START_SECONDS * 10))
    # A session of its own, so that ^C reaches this script alone, which then stops the appliance in order.
    setsid build/control/busbar run --state-dir "$log_dir/state" >"$log_dir/busbar.log" 2>&1 &
    run_pid=$!
    until build/control/busbar status 2>/dev/null | grep -q '^state  *running'; do
        kill -0 $run_pid 2>/dev/null || start_failed "the appliance did not start"
        tries=$((tries - 1))
        [ $tries -gt 0 ] || start_failed "the appliance was not ready after $START_SECONDS s"
        sleep 0.1
    done
    build/control/busbar status
}

# Drain, and wait for the end; the last line of the log says whether all was delivered.
stop()
{
    local status
    kill -TERM "$run_pid" 2>/dev/null
    wait "$run_pid"
    status=$?
    run_pid=
    grep '^drained' "$log_dir/busbar.log"
    return $status
}

clean_up()
{
    [ -z "$run_pid" ] || stop
    [ -n "$keep" ] || rm -rf "$log_dir"
}

how_to_go_on()
{
    cat <<END

It goes on. Try, in this directory:

    export BUSBAR_SOCKET=$BUSBAR_SOCKET
    build/control/busbar status           # also: endpoints, peers, subscriptions, counters, cores
    /usr/bin/python3 deploy/quickstart_traffic.py build/control/busbar
    kill $run_pid                         # drains and stops it; its log: $log_dir/busbar.log
END
}

run_pid=
keep=
log_dir=$(mktemp -d "${TMPDIR:-/tmp}/busbar-quickstart.XXXXXX") || exit 1
export BUSBAR_SOCKET="$log_dir/control.sock"
trap clean_up EXIT
trap 'exit 1' INT TERM HUP

say "packages"
install_packages
say "build"
build
say "start"
start
say "messages"
/usr/bin/python3 deploy/quickstart_traffic.py build/control/busbar
result=$?
if [ -n "$stay" ] && [ $result -eq 0 ]; then
    keep=1
    how_to_go_on
    run_pid=
else
    say "stop"
    stop || result=1
fi
exit $result
