#!/bin/sh
# Runs Farforge's main job on this machine: a broker and an agent on loopback, a
# real cross compiler in the agent's sandbox, WebRTC back to the client, and a
# board. Without a port as its argument, the board is a simulated chip.
#
#   examples/demo.sh [/dev/ttyUSB0]
set -eu
cd "$(dirname "$0")/.."
port=${1:-}
bin=$PWD/bin
state=$(mktemp -d)
pids=

finish() {
	status=$?
	trap - EXIT INT TERM
	# shellcheck disable=SC2086 # a list of numbers
	[ -z "$pids" ] || { kill $pids 2>/dev/null || :; wait $pids 2>/dev/null || :; }
	if [ "$status" != 0 ]; then
		for log in "$state"/*.log; do
			[ -s "$log" ] || continue
			echo "--- the end of $(basename "$log"):" >&2
			tail -n 20 "$log" >&2
		done
	fi
	rm -rf "$state"
	exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

# Waits until a file exists, or the process that should create it has ended.
await() { # file, process id, name
	tries=0
	until [ -e "$1" ]; do
		kill -0 "$2" 2>/dev/null || { echo "error: $3 did not start" >&2; exit 1; }
		tries=$((tries + 1))
		[ "$tries" -lt 200 ] || { echo "error: $3 was not ready after 20 s" >&2; exit 1; }
		sleep 0.1
	done
}

# The operator makes the agent's key and lists it at the broker.
"$bin/proxy-agent" keygen --state-dir "$state/agent" >"$state/authorized_agents"

"$bin/broker" --addr 127.0.0.1:0 --disable-tls --open --state-dir "$state/broker" \
	--authorized-agents "$state/authorized_agents" --addr-file "$state/addr" >"$state/broker.log" 2>&1 &
pids="$pids $!"
await "$state/addr" $! "the broker"
url=$(cat "$state/addr")
echo "broker         $url"

"$bin/proxy-agent" run --url "$url" --state-dir "$state/agent" --name demo >"$state/agent.log" 2>&1 &
pids="$pids $!"
echo "agent          $(cut -d' ' -f3 "$state/authorized_agents"), in a $(command -v bwrap) sandbox"

if [ -n "$port" ]; then
	echo "board          $port"
else
	port=$state/port
	"$bin/simulated-chip" --chip esp32c3 --pty --link "$port" >"$state/simulated-chip.log" 2>&1 &
	pids="$pids $!"
	await "$port" $! "the simulated chip"
	echo "board          a simulated ESP32-C3 (PORT=/dev/ttyUSB0 uses a real one)"
fi
echo
"$bin/client" run examples/esp32c3-hello --url "$url" --known-agents "$state/known_agents" --port "$port" --queue-timeout 30s --monitor-lines 6
