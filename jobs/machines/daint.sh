# shellcheck shell=bash disable=SC2034  # read by jobs/common.sh and jobs/submit
# Daint (CSCS, Lugano), a part of Alps: nodes of four GH200, each with 72 cores. From its public documentation; not tried
# there. Build on a node of the same kind: the processors are Arm.
#   https://github.com/eth-cscs/cscs-docs, rendered at https://docs.cscs.ch, under docs/:
#   clusters/daint.md                           partition; nodes are not shared
#   running/slurm.md                            one rank a GPU; without --gpus-per-task every rank sees all four
#   software/uenv/using.md                      --uenv and --view of sbatch
#   software/prgenv/prgenv-gnu-openmpi.md       CUDA 13, NCCL, HDF5 and Open MPI
#   software/communication/openmpi.md           PMIx and the variables below
sbatch_options="--partition=normal --cpus-per-task=72 --uenv=prgenv-gnu-openmpi/26.3 --view=default"
ranks_per_node=4
gpus_per_node=4

preset=cuda
launcher=srun
srun_options="--mpi=pmix"  # rank r of a node gets the cores of module r, and takes the r-th GPU that it sees
scratch=${SCRATCH:-}
export PMIX_MCA_psec=native FI_PROVIDER=cxi OMPI_MCA_pml=cm OMPI_MCA_mtl=ofi
