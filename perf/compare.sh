#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Busbar beside its peers, in one interleaved run on one machine: perf/README.md says what the figures mean.
set -u
cd "$(dirname "$0")/.." || exit 1

usage="usage: perf/compare.sh [--quick] [--json FILE] [--runs N] [--systems LIST] [--rows REGEX] [--build DIR]

  --quick         3 short runs instead of 5
  --json FILE     write one JSON row per line and system: medians over the runs
  --runs N        so many runs of every row
  --systems LIST  of busbar,zmq (both, as far as they are built)
  --rows REGEX    only rows whose name matches, such as '^pipeline 1:1'
  --build DIR     build directory (build)

The broker runs on CPU 0, the load on CPU 1. Exit status: 0 every gate that could be judged was reached,
1 one was missed or a run failed, 2 wrong use."

runs=5 seconds=3 warmup=0.5 quick=0 json="" systems="busbar,zmq" only="" build=build
wrong() {
    echo "compare.sh: $1" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 ;;
    --help) echo "$usage"; exit 0 ;;
    --json | --runs | --systems | --rows | --build)
        [ $# -ge 2 ] || wrong "$1: its value is missing (see --help)"
        case $1 in
        --json) json=$2 ;;
        --runs) runs=$2 runs_set=1 ;;
        --systems) systems=$2 ;;
        --rows) only=$2 ;;
        --build) build=$2 ;;
        esac
        shift
        ;;
    *) wrong "'$1': not an option (see --help)" ;;
    esac
    shift
done
[[ $runs =~ ^[1-9][0-9]*$ ]] || wrong "--runs: '$runs' is not a whole number above 0"
for s in ${systems//,/ }; do
    [[ $s =~ ^(busbar|zmq)$ ]] || wrong "--systems: '$s' is neither busbar nor zmq"
done
if [ $quick = 1 ]; then
    seconds=1 warmup=0.3
    [ -n "${runs_set:-}" ] || runs=3
fi

bench=$build/perf/busbar-bench
proxy=$build/perf/peers/zmq_proxy
busbar=$build/control/busbar
[ -x "$bench" ] || { echo "compare.sh: $bench: not built (meson setup $build && ninja -C $build)" >&2; exit 1; }
[ "$(nproc)" -ge 2 ] || { echo "compare.sh: two CPUs are needed, one for the broker and one for the load" >&2; exit 1; }

variants=()
for s in ${systems//,/ }; do
    case $s in
    busbar)
        if [ -x "$busbar" ]; then variants+=(busbar); else echo "busbar left out: $busbar is not built"; fi
        ;;
    zmq)
        if [ -x "$proxy" ]; then
            variants+=(zmq-hwm1000 zmq-hwm100000)
        else
            echo "zmq left out: $proxy is not built (needs libzmq3-dev)"
        fi
        ;;
    esac
done
[ ${#variants[@]} -gt 0 ] || { echo "compare.sh: no system to measure" >&2; exit 1; }

# name | pattern | options | least ratio to the better libzmq proxy (- none)
rows=(
    "pipeline 1:1 40 B|pipeline|--size 40|3"
    "pipeline 1:1 1 KiB|pipeline|--size 1024|2"
    "pipeline 4:4 40 B|pipeline|--size 40 --producers 4 --consumers 4|3"
    "pipeline 4:4 1 KiB|pipeline|--size 1024 --producers 4 --consumers 4|2"
    "pubsub 1:1 40 B|pubsub|--size 40|3"
    "pubsub 1:1 1 KiB|pubsub|--size 1024|2"
    "pubsub 1:10 40 B|pubsub|--size 40 --consumers 10|2"
    "pubsub 1:10 1 KiB|pubsub|--size 1024 --consumers 10|1.5"
    "reqrep 4:4 40 B 5000/s|reqrep|--size 40 --producers 4 --consumers 4 --window 16 --rate 5000|-"
)

tmp=$(mktemp -d "${TMPDIR:-/tmp}/busbar-compare.XXXXXX") || exit 1
broker_pid="" failed=0

# Ports below the range that connections take theirs from, so that nothing else sits on them by chance.
port_in=18551 port_out=18552

stop_broker() {
    [ -n "$broker_pid" ] || return 0
    local pids
    pids="$broker_pid $(pgrep -P "$broker_pid" 2>/dev/null | tr '\n' ' ')"
    kill -TERM "$broker_pid" 2>/dev/null
    for _ in $(seq 100); do
        # shellcheck disable=SC2086
        kill -0 $pids 2>/dev/null || break
        sleep 0.05
    done
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null
    wait "$broker_pid" 2>/dev/null
    broker_pid=""
}
trap 'stop_broker; rm -rf "$tmp"' EXIT
trap 'exit 1' INT TERM

busbar_config() {
    local in_side out_side
    case $1 in
    pipeline) in_side=producers out_side=consumers ;;
    pubsub) in_side=publishers out_side=subscribers ;;
    reqrep) in_side=clients out_side=workers ;;
    esac
    cat <<EOF
node: { name: compare }
dataplane:
  cores: { io: "0", router: "0" }
  roles: joined
  linger: 0s
endpoints:
  - name: compare
    pattern: $1
    $in_side: { bind: ["tcp://127.0.0.1:$port_in"] }
    $out_side: { bind: ["tcp://127.0.0.1:$port_out"] }
control:
  socket: $tmp/control.sock
EOF
}

# Sets broker_pid (what to end) and load_pids (whose CPU time counts).
start_broker() {
    local variant=$1 pattern=$2
    case $variant in
    zmq-hwm*)
        taskset -c 0 "$proxy" "$pattern" "tcp://127.0.0.1:$port_in" "tcp://127.0.0.1:$port_out" \
            "${variant#zmq-hwm}" >"$tmp/ready" 2>"$tmp/broker.log" &
        broker_pid=$!
        load_pids=$broker_pid
        for _ in $(seq 100); do
            grep -q READY "$tmp/ready" && return 0
            kill -0 "$broker_pid" 2>/dev/null || return 1
            sleep 0.05
        done
        return 1
        ;;
    busbar)
        rm -rf "$tmp/state" && mkdir -p "$tmp/state"
        busbar_config "$pattern" >"$tmp/busbar.yaml"
        taskset -c 0 "$busbar" run -c "$tmp/busbar.yaml" --state-dir "$tmp/state" >"$tmp/broker.log" 2>&1 &
        broker_pid=$!
        for _ in $(seq 200); do
            if (: <"/dev/tcp/127.0.0.1/$port_out") 2>/dev/null; then
                load_pids=$(cat "$tmp/state/dataplane.pid" 2>/dev/null || pgrep -P "$broker_pid" busbar-datapl)
                load_pids=$(echo "$load_pids" | paste -sd,)
                return 0
            fi
            kill -0 "$broker_pid" 2>/dev/null || return 1
            sleep 0.05
        done
        return 1
        ;;
    esac
}

# One measurement; its JSON row goes to $tmp/raw with the row's name before it.
measure() {
    local variant=$1 system=$2 name=$3 pattern=$4 options=$5 status
    if ! start_broker "$variant" "$pattern"; then
        echo "compare.sh: $variant did not start: $(tail -n 1 "$tmp/broker.log")" >&2
        failed=1
        stop_broker
        return
    fi
    # shellcheck disable=SC2086
    "$bench" --pattern "$pattern" --in "tcp://127.0.0.1:$port_in" --out "tcp://127.0.0.1:$port_out" \
        --cpu 1 --seconds "$seconds" --warmup "$warmup" --quiet 0.5 --system "$system" \
        ${load_pids:+--broker-pid "$load_pids"} --json "$tmp/row" $options >"$tmp/bench.log" 2>&1
    status=$?
    if [ -s "$tmp/row" ]; then
        printf '%s\t%s\n' "$name" "$(cat "$tmp/row")" >>"$tmp/raw"
    fi
    if [ $status -ne 0 ]; then
        echo "compare.sh: $name, $system: $(grep -E '^busbar-bench:|^check' "$tmp/bench.log" | head -n 1)" >&2
        failed=1
    fi
    rm -f "$tmp/row"
    stop_broker
}

load=$(cut -d' ' -f1 /proc/loadavg)
"$bench" --version
echo "load average before: $load; broker on CPU 0, load on CPU 1; $runs runs of $seconds s"
: >"$tmp/raw"
for run in $(seq "$runs"); do
    for row in "${rows[@]}"; do
        IFS='|' read -r name pattern options gate <<<"$row"
        [[ -z $only || $name =~ $only ]] || continue
        for variant in "${variants[@]}"; do
            [ ! -t 2 ] || printf '\rrun %s of %s: %-24s %-16s' "$run" "$runs" "$name" "$variant" >&2
            case $pattern-$variant in
            pubsub-busbar)
                measure "$variant" "$variant" "$name" "$pattern" "$options --max-loss 0.001"
                ;;
            pubsub-zmq-*)
                # Flat out it drops at its HWM; what is delivered counts for it all the same. Without --quick it
                # may also show what it carries without loss.
                measure "$variant" "$variant" "$name" "$pattern" "$options"
                [ $quick = 1 ] ||
                    measure "$variant" "$variant-paced" "$name" "$pattern" "$options --max-loss 0.001"
                ;;
            *) measure "$variant" "$variant" "$name" "$pattern" "$options" ;;
            esac
        done
    done
done
[ ! -t 2 ] || printf '\r%-60s\r' "" >&2

for row in "${rows[@]}"; do
    IFS='|' read -r name _ _ gate <<<"$row"
    printf '%s\t%s\n' "$name" "$gate"
done >"$tmp/gates"
python3 perf/compare_table.py "$tmp/gates" "$tmp/raw" ${json:+"$json"} || failed=1
exit $failed
