#!/usr/bin/env bash
# Self-play with the training checklist's settings: on the Self-RedTeam fork if it is here, else on upstream OpenRLHF.
#
#   ./scripts/train_medical_reinforce.sh
#   DRY_RUN=1 ./scripts/train_medical_reinforce.sh                    # print the engine's command, start nothing
#   ENGINE=openrlhf ENGINE_PYTHON=~/openrlhf-env/bin/python ./scripts/train_medical_reinforce.sh --training.steps 20
#
# Builds the training data if they are missing, starts the judge if none answers (and stops the one it started), then
# calls `medical-team train --preset checklist --engine ...`; whatever follows the script's name is passed on to it.
# docs/launch.md tells more.
#
#   ENGINE          red-team-fork or openrlhf
#   ENGINE_PYTHON   the Python of the engine's own environment (default: the python on the PATH)
#   FORK            the fork's checkout (selfplay-redteaming-reference)
#   MEDEC           the CSV that training data are built from
#   DATA            training data (data/medical_rl_training/train.jsonl)
#   RUN             folder of the run (runs/medical_selfplay_RL_ and the time)
#   JUDGE_URL       the judge's service (http://127.0.0.1:8000)
#   JUDGE_OPTIONS   how a judge is served (--model google/medgemma-4b-it --device cuda)
#   PYTHON          the Python that has medical_team (that of .venv if it is there, else python3)

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

FORK="${FORK:-selfplay-redteaming-reference}"
MEDEC="${MEDEC:-data_copy/MEDEC/MEDEC-MS/MEDEC-MS-ValidationSet-with-GroundTruth-and-ErrorType.csv}"
DATA="${DATA:-data/medical_rl_training/train.jsonl}"
RUN="${RUN:-runs/medical_selfplay_RL_$(date +%m%dT%H%M%S)}"
JUDGE_URL="${JUDGE_URL:-http://127.0.0.1:8000}"
JUDGE_SECONDS="${JUDGE_SECONDS:-1800}"
ENGINE_PYTHON="${ENGINE_PYTHON:-$(command -v python || command -v python3)}"
if [[ -z "${PYTHON:-}" ]]; then
    PYTHON=python3
    [[ -x .venv/bin/python ]] && PYTHON=.venv/bin/python
fi
if [[ -z "${ENGINE:-}" ]]; then
    ENGINE=openrlhf
    [[ -d "$FORK/openrlhf" ]] && ENGINE=red-team-fork
fi
read -r -a judge_options <<<"${JUDGE_OPTIONS:---model google/medgemma-4b-it --device cuda}"

judge=""

say() {
    printf '%s\n' "$*" >&2
}

judge_answers() {
    curl --silent --fail --noproxy localhost,127.0.0.1,::1 --max-time 10 "$JUDGE_URL/health" >/dev/null
}

# Called by the trap.
# shellcheck disable=SC2329
stop_judge() {
    if [[ -n "$judge" ]] && kill -0 "$judge" 2>/dev/null; then
        say "Stopping the judge that was started here"
        kill "$judge"
        wait "$judge" || true
    fi
}

build_data() {
    if [[ ! -f "$MEDEC" ]]; then
        say "There is no $DATA, and no $MEDEC to build it from. Set MEDEC to MEDEC's CSV, or DATA to training data."
        exit 2
    fi
    say "Building $DATA from $MEDEC"
    "$PYTHON" scripts/create_rl_training_data.py --input "$MEDEC" --output-dir "$(dirname "$DATA")"
}

start_judge() {
    local port="${JUDGE_URL##*:}"
    port="${port%%/*}"
    case "$JUDGE_URL" in
        http://127.0.0.1:*|http://localhost:*) ;;
        *)
            say "No judge answers at $JUDGE_URL. Start it there; only one on this machine is started from here."
            exit 2
            ;;
    esac
    say "No judge answers at $JUDGE_URL: starting one (${judge_options[*]}), which is stopped at the end"
    # In a process group of its own: a Ctrl-C is for the training, which still needs its judge while it stops.
    set -m
    "$PYTHON" scripts/serve_medical_judge.py "${judge_options[@]}" --port "$port" --references "$DATA" >&2 &
    judge=$!
    set +m
    local deadline=$((SECONDS + JUDGE_SECONDS))
    until judge_answers; do
        if ! kill -0 "$judge" 2>/dev/null; then
            say "The judge ended before it was ready; its reason is above."
            exit 2
        fi
        if ((SECONDS >= deadline)); then
            say "The judge is not ready after $JUDGE_SECONDS seconds (JUDGE_SECONDS)."
            exit 2
        fi
        sleep 1
    done
}

arguments=(
    train --preset checklist
    --engine "$ENGINE" --engine-python "$ENGINE_PYTHON"
    --data.train "$DATA" --judge "$JUDGE_URL" --run "$RUN"
)
[[ "$ENGINE" == red-team-fork && -d "$FORK" ]] && arguments+=(--engine.fork "$FORK")

if [[ "${DRY_RUN:-0}" != 0 ]]; then
    exec "$PYTHON" -m medical_team "${arguments[@]}" --dry-run "$@"
fi

trap stop_judge EXIT
# The training is told of a Ctrl-C too, and decides when it ends.
trap : INT
[[ -f "$DATA" ]] || build_data
judge_answers || start_judge
status=0
"$PYTHON" -m medical_team "${arguments[@]}" "$@" || status=$?
exit "$status"
