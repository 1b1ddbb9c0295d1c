# shellcheck shell=bash
# What the job files share: the machine's settings, where the program is, and a launch that outlives the job's end.
# They set `jobs` to the folder of this file and source it; then in turn: need CONFIG, prepare, launch, finish.
#
#   FEDSELECT_MACHINE   a name in jobs/machines, or the path of a file like those there (default: local)
#   FEDSELECT           the program, if it is neither on PATH nor in the build folder beside jobs/
#   FEDSELECT_SCRATCH   a folder on a disk of the node instead of the machine's
#   FEDSELECT_PYTHON    for the report: a Python with numpy, h5py and matplotlib
set -euo pipefail
: "${jobs:?is set by the file that sources this one}"

stopped=75 # the program's exit code after a signal: a checkpoint is written
launched=  # process of the launcher
again="submit it again: it goes on where it stopped"
told=      # why this shell told the ranks to stop: `limit`, the time limit is near, or `end`, the user wants no more

fail() {
  echo "jobs: $*" >&2
  exit 2
}

# The settings of a machine file; what it doesn't set stays as here.
use_machine() {
  preset=release launcher=auto srun_options='' mpirun_options='' scratch=''
  # shellcheck disable=SC2317  # machine files replace it
  load_modules() { :; }
  local name=${FEDSELECT_MACHINE:-local} file
  case $name in
    */*) file=$name ;;
    *) file=$jobs/machines/$name.sh ;;
  esac
  [ -r "$file" ] || fail "no machine $name: $file can't be read; there are $(cd "$jobs/machines" && echo *.sh)"
  # shellcheck source=machines/local.sh
  . "$file"
}

find_program() {
  local place
  for place in "${FEDSELECT:-}" "$(command -v fedselect || true)" "$jobs/../build/$preset/src/app/fedselect" \
    "$jobs/../../../bin/fedselect"; do
    if [ -n "$place" ] && command -v "$place" >/dev/null; then
      program=$place
      return
    fi
    [ -z "${FEDSELECT:-}" ] || fail "FEDSELECT=$FEDSELECT is no program"
  done
  fail "no program fedselect on PATH or in build/$preset: build it (cmake --build --preset $preset) or set FEDSELECT"
}

choose_launcher() {
  if [ "$launcher" = auto ]; then
    launcher=mpirun # it asks Slurm for the nodes
    local plugins
    plugins=$(srun --mpi=list 2>&1) || true
    if grep -qw pmix <<<"$plugins"; then
      launcher=srun srun_options="--mpi=pmix $srun_options"
    fi
  fi
  local options
  case $launcher in
    srun) options=$srun_options ;;
    mpirun) options=$mpirun_options ;;
    *) fail "launcher=$launcher in the machine file: srun, mpirun or auto" ;;
  esac
  read -ra launch_command <<<"$launcher $options"
  if [ "$launcher" = srun ]; then
    # A rank that dies alone ends the job, but not at once: ranks that stopped in order end one after the other.
    launch_command+=(--wait=60)
    export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-1}" # srun no longer takes it from the job by itself
  fi
}

# Everything before the launch. Must be called after the arguments were looked at.
prepare() {
  use_machine
  set +u # module commands of clusters don't expect it
  load_modules || fail "modules of machine ${FEDSELECT_MACHINE:-local} can't be loaded"
  set -u
  find_program
  choose_launcher
  export OMP_NUM_THREADS=1 # a rank is the unit of parallelism
  export SLURM_EXPORT_ENV=ALL
  scratch=${FEDSELECT_SCRATCH:-${scratch:-${SLURM_TMPDIR:-}}} # for client states that memory can't hold
}

# need CONFIG: it is a file that can be read.
need() {
  [ -r "$1" ] || fail "no config $1 in $PWD"
}

# Slurm signals this shell alone (--signal=B:...); the launcher hands USR1 on to all ranks. They take it once.
stop_ranks() {
  told=$1
  echo "$2: all ranks are told to stop"
  if [ -n "$launched" ]; then kill -USR1 "$launched" 2>/dev/null || true; fi
  trap '' USR1
  trap 'told=end' USR2
}

# launch ARGUMENT...: runs the program with these on all ranks; sets exit_code.
launch() {
  if [ -n "$scratch" ] && [[ " $* " != *" --scratch"* ]]; then set -- "$@" --scratch "$scratch"; fi
  echo "job ${SLURM_JOB_ID:-none}, start ${SLURM_RESTART_COUNT:-0}: ${SLURM_NTASKS:-?} ranks on ${SLURM_JOB_NODELIST:-?}:" \
    "${launch_command[*]} $program $*"
  "${launch_command[@]}" "$program" "$@" &
  launched=$!
  trap 'stop_ranks limit "the time limit is near"' USR1 # checkpoint, and back into the queue
  trap 'stop_ranks end "the job is to end"' USR2        # scancel --batch --signal=USR2 JOB: checkpoint, and end
  trap : TERM                                           # the job is cancelled or over: Slurm tells the ranks too
  while kill -0 "$launched" 2>/dev/null; do
    wait "$launched" || true # a trap interrupts it
  done
  exit_code=0
  wait "$launched" || exit_code=$?
}

# show_job JOB: what Slurm says of it; for a minute, as its controller may be busy, or starting anew.
show_job() {
  local attempt
  for attempt in {1..12}; do
    scontrol show job "$1" && return
    [ "$attempt" -gt 1 ] || echo "jobs: Slurm doesn't say how job $1 stands: it is asked again" >&2
    sleep 5
  done
  return 1
}

# Ends the job as the program ended. A run that a signal stopped goes back into the queue: its time limit is near, or Slurm
# told the ranks to make room for another job, which makes mpirun lose its daemons and end with a code of its own. A job that
# is cancelled, or back in the queue already, is no longer running.
finish() {
  if [ "$exit_code" -ne 0 ] && [ "$told" != end ]; then
    # One task of an array has the number of the whole array for its own.
    local job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
    local shown
    shown=$(show_job "$job") || echo "jobs: Slurm doesn't answer: unless job $job failed, or is back in the queue, $again" >&2
    case $exit_code:$told:$launcher:$shown in
      "$stopped":*JobState=RUNNING\ * | "$stopped":limit:*Reason=TimeLimit\ * | *:mpirun:*JobState=RUNNING\ *\ PreemptTime=[0-9]*)
        scontrol requeue "$job" || echo "jobs: Slurm refuses to put job $job back into the queue: $again" >&2
        ;;
    esac
  fi
  exit "$exit_code"
}
