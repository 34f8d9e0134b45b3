#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs what the tests need, builds, runs them and ends with the line "N passed, N failed".
#
#   tests/run.sh [--long] [SUITE ...]
#
#   unit     unit tests, conformance of transports, models, layout; also under ASan+UBSan, threads under TSan
#   sim      the data plane in a seeded simulator; also under ASan+UBSan
#   tcp      the user-space TCP/IP stack: scripted cases and simulated networks
#   control  the control process and the command line
#   interop  stock libzmq and pyzmq programs, and odd peers, against the whole appliance
#   fuzz     the fuzzers, each for a short while
#
# Without SUITE all of them. --long takes hours where the default takes minutes. Logs are in tests/out/.
set -u

cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

ALL_SUITES="unit sim tcp control interop fuzz"
PACKAGES="build-essential pkg-config meson ninja-build git python3 libdpdk-dev libhwloc-dev libjemalloc-dev
    libyaml-dev libjansson-dev libmicrohttpd-dev libcurl4-openssl-dev libcmocka-dev libzmq3-dev python3-zmq
    clang-14 libclang-rt-14-dev iproute2 man-db valgrind"

usage()
{
    sed -n '3,15s/^# \{0,1\}//p' "$0"
}

long=
suites=
for arg in "$@"; do
    case $arg in
    --long) long=1 ;;
    -h | --help)
        usage
        exit 0
        ;;
    *)
        case " $ALL_SUITES " in
        *" $arg "*) suites="$suites $arg" ;;
        *)
            echo "run.sh: no suite '$arg': $ALL_SUITES" >&2
            exit 2
            ;;
        esac
        ;;
    esac
done
suites=${suites:-$ALL_SUITES}

passed=0
failed=0
skipped=0
mkdir -p tests/out

say()
{
    printf '\n== %s\n' "$*"
}

# One step that has no counts of its own: it passes or fails as a whole.
step()
{
    local name=$1
    shift
    if "$@" >"tests/out/$name.log" 2>&1; then
        return 0
    fi
    failed=$((failed + 1))
    echo "FAILED $name: $*"
    tail -n 40 "tests/out/$name.log"
    return 1
}

add()
{
    passed=$((passed + ${1:-0}))
    failed=$((failed + ${2:-0}))
    skipped=$((skipped + ${3:-0}))
}

install_packages()
{
    local missing=
    for package in $PACKAGES; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    local root=
    [ "$(id -u)" = 0 ] || root=sudo
    $root apt-get update -qq && $root apt-get install -y -qq --no-install-recommends $missing
}

# configure DIR OPTION...: a build directory that exists is used again, but looks anew for packages: those that came
# since it was made bring tests.
configure()
{
    local dir=$1
    shift
    if [ -e "$dir/build.ninja" ]; then
        /usr/bin/meson setup --reconfigure "$dir"
    else
        /usr/bin/meson setup "$dir" "$@"
    fi
}

build()
{
    local dir=$1
    shift
    step "setup-${dir##*/}" configure "$dir" "$@" && step "build-${dir##*/}" ninja -C "$dir"
}

# meson_suite DIR SUITE: run one suite of a build, count its tests.
meson_suite()
{
    local dir=$1 suite=$2 log="tests/out/${1##*/}-$2.log"
    local setup=
    [ -n "$long" ] && setup=--setup=long
    say "$suite in $dir"
    # Time limits are for an idle machine; others may share it.
    /usr/bin/meson test -C "$dir" --no-rebuild --print-errorlogs ${setup:---timeout-multiplier 4} --suite "$suite" >"$log" 2>&1
    local status=$?
    grep -E '^ *[0-9]+/[0-9]+ ' "$log"
    local ok bad timeout skip
    ok=$(sed -n 's/^Ok: *//p' "$log" | tail -n 1)
    bad=$(sed -n 's/^Fail: *//p' "$log" | tail -n 1)
    timeout=$(sed -n 's/^Timeout: *//p' "$log" | tail -n 1)
    skip=$(sed -n 's/^Skipped: *//p' "$log" | tail -n 1)
    add "${ok:-0}" "$((${bad:-0} + ${timeout:-0}))" "${skip:-0}"
    if [ "$((${ok:-0} + ${bad:-0} + ${timeout:-0} + ${skip:-0}))" -eq 0 ]; then
        echo "FAILED: no test ran"
        failed=$((failed + 1))
        tail -n 20 "$log"
    elif [ $status -ne 0 ]; then
        [ "$((${bad:-0} + ${timeout:-0}))" -gt 0 ] || failed=$((failed + 1))
        sed -n '/^=.*/,$p' "$log" | tail -n 80
    fi
}

# counted LOG COMMAND...: a program that ends with "N passed, N failed[, N skipped]".
counted()
{
    local log=tests/out/$1.log last
    shift
    "$@" >"$log" 2>&1
    local status=$?
    grep -E '^(ok|FAIL|skip|tcp case) ' "$log"
    last=$(tail -n 1 "$log")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
        add "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}" "${BASH_REMATCH[4]:-0}"
        [ $status -eq 0 ] || [ "${BASH_REMATCH[2]}" -gt 0 ] || failed=$((failed + 1))
    else
        echo "FAILED $*: no result line (exit status $status)"
        tail -n 40 "$log"
        failed=$((failed + 1))
    fi
}

wants()
{
    case " $suites " in *" $1 "*) return 0 ;; esac
    return 1
}

say "packages"
if step packages install_packages; then
    say "builds"
    build build -Dbuildtype=release
    if wants unit || wants sim; then
        build build-asan -Dbuildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
        build build-tsan -Dbuildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false
    fi
    for suite in $suites; do
        case $suite in
        unit | sim)
            meson_suite build "$suite"
            meson_suite build-asan "$suite"
            [ "$suite" = unit ] && meson_suite build-tsan threads
            ;;
        tcp | control | fuzz) meson_suite build "$suite" ;;
        interop)
            say "interop"
            counted interop /usr/bin/python3 tests/interop/run.py ${long:+--long}
            ;;
        esac
    done
fi

say "result"
summary="$passed passed, $failed failed"
[ "$skipped" -gt 0 ] && summary="$summary, $skipped skipped"
echo "$summary"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
