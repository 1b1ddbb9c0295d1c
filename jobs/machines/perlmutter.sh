# shellcheck shell=bash disable=SC2034  # read by jobs/common.sh and jobs/submit
# Perlmutter (NERSC, Berkeley): nodes of one 64-core CPU and four A100. From public documentation; not tried there.
#   https://docs.nersc.gov/jobs/policy/                     without --qos a job is a debug job
#   https://docs.nersc.gov/beginner-guide/nodetypesfig      the nodes
#   https://docs.nersc.gov/filesystems/perlmutter-scratch/  $PSCRATCH
#   https://github.com/ECP-WarpX/WarpX, Tools/machines/perlmutter-nersc: accounts end in _g, modules, 16 cores a rank,
#   every rank sees all GPUs (--gpu-bind=none), which are numbered against the order of the cores
sbatch_options="--constraint=gpu --qos=regular --exclusive --gpu-bind=none"
ranks_per_node=4
gpus_per_node=4

preset=cuda
launcher=srun
srun_options="--cpus-per-task=16 --cpu-bind=cores"
scratch=${PSCRATCH:-}
export CUDA_VISIBLE_DEVICES=3,2,1,0 # rank r of a node takes the r-th of these: the GPU next to its cores
export MPICH_OFI_NIC_POLICY=GPU
load_modules() {
  module load gpu PrgEnv-gnu cudatoolkit craype-accel-nvidia80 cray-hdf5-parallel
}
