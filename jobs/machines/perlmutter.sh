# shellcheck shell=bash disable=SC2034  # read by jobs/common.sh and jobs/submit
# Perlmutter (NERSC, Berkeley): nodes of one 64-core CPU and four A100. From public documentation; not tried there.
#   https://docs.nersc.gov/jobs/policy/                     without --qos a job is a debug job
#   https://docs.nersc.gov/beginner-guide/nodetypesfig      the nodes
#   https://docs.nersc.gov/filesystems/perlmutter-scratch/  $PSCRATCH
#   https://github.com/ECP-WarpX/WarpX, Tools/machines/perlmutter-nersc: accounts end in _g, modules, every rank sees all
#   GPUs (--gpu-bind=none), which are numbered against the order of the cores
# A quarter of the node's 128 hardware threads for each rank.
sbatch_options="--constraint=gpu --qos=regular --exclusive --gpu-bind=none --cpus-per-task=32"
ranks_per_node=4
gpus_per_node=4

preset=cuda
launcher=srun
srun_options="--cpu-bind=map_ldom:3,2,1,0" # rank r of a node takes GPU r, which is next to memory domain 3 - r
scratch=${PSCRATCH:-}
export MPICH_OFI_NIC_POLICY=GPU
load_modules() {
  module load gpu PrgEnv-gnu cudatoolkit craype-accel-nvidia80 cray-hdf5-parallel
}
