# shellcheck shell=bash disable=SC2034  # read by jobs/common.sh and jobs/submit
# A cluster, or one machine, whose Slurm needs nothing in particular; and a pattern for a file of your own: copy it to
# jobs/machines/NAME.sh, then say --machine NAME. What a file leaves out is as here.
#
# Read by jobs/submit, on the login node:
sbatch_options= # such as "--partition=standard --qos=standard --cpus-per-task=2"
ranks_per_node= # one a core, or one a GPU; empty: as the sbatch file says (8)
gpus_per_node=  # empty: none is asked for

# Read in the job:
preset=release     # where the program is: build/PRESET
launcher=auto      # srun, mpirun, or auto: srun if this Slurm has PMIx, else mpirun
srun_options=      # such as "--mpi=pmix --cpu-bind=cores"; auto says --mpi=pmix
mpirun_options=    # such as "--bind-to core"
scratch=           # a disk of the node for client states beyond memory; empty: $SLURM_TMPDIR, $TMPDIR, else /tmp
load_modules() { # as when the program was built; fails if one is missing
  :
}
