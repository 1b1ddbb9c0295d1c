# shellcheck shell=bash disable=SC2034  # read by jobs/common.sh and jobs/submit
# ARCHER2 (EPCC, Edinburgh): CPU nodes with 128 cores. From its public documentation; not tried there.
#   https://docs.archer2.ac.uk/user-guide/scheduler/       partition, QoS, whole nodes, options of srun; --account is a must
#   https://docs.archer2.ac.uk/software-libraries/hdf5/    module of the parallel HDF5
# Submit from /work: compute nodes don't see /home.
#   https://github.com/devitocodes/devito/wiki/%5BManual%5D-Devito-on-ARCHER2
sbatch_options="--partition=standard --qos=standard --cpus-per-task=1"
ranks_per_node=128

launcher=srun
srun_options="--distribution=block:block --hint=nomultithread" # else ranks may share cores
scratch=$PWD                                                   # client states beyond memory: where sbatch was called
load_modules() {
  module load PrgEnv-gnu cray-hdf5-parallel
}
