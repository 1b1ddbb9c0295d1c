#!/bin/sh
# mpirun.sh RANKS PROGRAM [ARGUMENT...]: runs a test on RANKS ranks of this machine, more than it has cores if need be.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl_tcp_if_include=lo OMPI_MCA_oob_tcp_if_include=lo
ranks=$1
shift
exec mpirun --oversubscribe -n "$ranks" "$@" </dev/null
