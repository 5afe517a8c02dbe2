#!/usr/bin/env bash
# What a container or a node of a farm does, one word a role:
#   head           the head of a Ray cluster; runs the drivers of submitted jobs, renders nothing itself
#   worker         a node that renders; $RENDER_HEAD names the head
#   submit JOB …   hand jobs to the head and follow them (`render submit --follow`)
#   health         exit code 0 while this node's part of Ray answers
# Any other command runs as it is. Every role ends in exec: signals reach the process that has to hear them.
#
# RENDER_HEAD            host of the head; default 127.0.0.1
# RENDER_PORT, RENDER_DASHBOARD_PORT   the head's; default 6379 and 8265
# RENDER_NODE_IP         address that other nodes reach this one at; default: what Ray finds
# RENDER_DASHBOARD_HOST  where the head's dashboard listens; default 127.0.0.1: submit through a tunnel
# RENDER_RAY_OPTIONS     more options of `ray start`, split at blanks; they win over those below
# RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token hold the cluster's token; without one nothing starts
set -euo pipefail

: "${RENDER_HEAD:=127.0.0.1}" "${RENDER_NODE_IP:=}" "${RENDER_RAY_OPTIONS:=}"
: "${RENDER_PORT:=6379}" "${RENDER_DASHBOARD_HOST:=127.0.0.1}" "${RENDER_DASHBOARD_PORT:=8265}"
AGENT_PORT=52365
# Every port is fixed, so that a firewall can name them. 20000-20999: one for each process of a worker.
PORTS=(--node-manager-port=6380 --object-manager-port=6381 --runtime-env-agent-port=6382
  --dashboard-agent-grpc-port=6383 --metrics-export-port=6384 "--dashboard-agent-listen-port=$AGENT_PORT"
  --min-worker-port=20000 --max-worker-port=20999)

fail() {
  echo "entrypoint: $1" >&2
  exit 64
}

need_token() {
  export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}
  [[ $RAY_AUTH_MODE != disabled ]] || fail "RAY_AUTH_MODE=disabled: anyone who reaches a port could run code here; use a token"
  [[ -z ${RAY_AUTH_TOKEN:-} ]] || return 0
  local file=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
  [[ -r $file ]] || fail "no token: user $(id -u) cannot read $file; put the cluster's token there, or set RAY_AUTH_TOKEN"
  [[ -s $file ]] || fail "the token file $file is empty"
}

start() {
  local options=("$@" --block --disable-usage-stats "${PORTS[@]}") more=()
  [[ -z $RENDER_NODE_IP ]] || options+=("--node-ip-address=$RENDER_NODE_IP")
  read -r -a more <<<"$RENDER_RAY_OPTIONS"
  exec ray start "${options[@]}" "${more[@]}"
}

# Ray's own answer for this node; a head answers for the whole cluster as well.
healthy() {
  exec python -P -c '
import sys, urllib.request
for url in sys.argv[1:]:
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert b"success" in answer.read(), url
' "$@"
}

role=${1:-}
[[ -n $role ]] || fail "name a role: head, worker, submit, health, or a command"
shift
case $role in
  head)
    need_token
    start --head "--port=$RENDER_PORT" "--dashboard-host=$RENDER_DASHBOARD_HOST" "--dashboard-port=$RENDER_DASHBOARD_PORT" \
      --num-cpus=0 --num-gpus=0
    ;;
  worker)
    need_token
    start "--address=$RENDER_HEAD:$RENDER_PORT"
    ;;
  submit)
    need_token
    exec python -P -m render submit --address "http://$RENDER_HEAD:$RENDER_DASHBOARD_PORT" --follow "$@"
    ;;
  health)
    healthy "http://127.0.0.1:${1:-$AGENT_PORT}/api/local_raylet_healthz"
    ;;
  *)
    exec "$role" "$@"
    ;;
esac
