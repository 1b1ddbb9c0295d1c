#include <mpi.h>
#include <nccl.h>

#include <array>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "streams.hpp"

struct ncclCommOnHost {
  MPI_Comm comm = MPI_COMM_NULL;
};

namespace {

constexpr int kJoinTag = 7001, kMembersTag = 7002;

int rank_in_job() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

/// The ranks of the job that are to be a communicator, in their order there: each says to the one
/// that made the id, which is rank 0, who it is.
std::vector<int> find_members(int ranks, int maker, int rank) {
  std::vector<int> members(static_cast<std::size_t>(ranks), maker);
  if (rank != 0) {
    const std::array<int, 2> mine{rank, rank_in_job()};
    MPI_Send(mine.data(), 2, MPI_INT, maker, kJoinTag, MPI_COMM_WORLD);
    MPI_Recv(members.data(), ranks, MPI_INT, maker, kMembersTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return members;
  }
  for (int i = 1; i < ranks; ++i) {
    std::array<int, 2> joins{};
    MPI_Recv(joins.data(), 2, MPI_INT, MPI_ANY_SOURCE, kJoinTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    members[static_cast<std::size_t>(joins[0])] = joins[1];
  }
  for (int i = 1; i < ranks; ++i)
    MPI_Send(members.data(), ranks, MPI_INT, members[static_cast<std::size_t>(i)], kMembersTag,
             MPI_COMM_WORLD);
  return members;
}

}  // namespace

const char* ncclGetErrorString(ncclResult_t result) {
  return result == ncclSuccess ? "success" : "the ranks don't fit those of MPI";
}

ncclResult_t ncclGetVersion(int* version) {
  *version = 0;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  *id = {};
  const int maker = rank_in_job();
  std::memcpy(id->internal, &maker, sizeof(maker));
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  int maker = 0;
  std::memcpy(&maker, id.internal, sizeof(maker));
  if (rank == 0 && maker != rank_in_job()) return ncclSystemError;
  const std::vector<int> members = find_members(ranks, maker, rank);
  MPI_Group job = MPI_GROUP_NULL, part = MPI_GROUP_NULL;
  MPI_Comm_group(MPI_COMM_WORLD, &job);
  MPI_Group_incl(job, ranks, members.data(), &part);
  *comm = new ncclCommOnHost;
  MPI_Comm_create_group(MPI_COMM_WORLD, part, kMembersTag, &(*comm)->comm);
  MPI_Group_free(&part);
  MPI_Group_free(&job);
  return ncclSuccess;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  MPI_Comm_free(&comm->comm);
  delete comm;
  return ncclSuccess;
}

/// Only this rank's part: the others may never come.
ncclResult_t ncclCommAbort(ncclComm_t comm) {
  delete comm;
  return ncclSuccess;
}

ncclResult_t ncclAllReduce(const void* send, void* receive, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t /*op*/, ncclComm_t comm, cudaStream_t stream) {
  const MPI_Datatype kind = type == ncclInt64 ? MPI_INT64_T : MPI_UINT32_T;
  const cudaError_t code = fedselect::cuda::host::enqueue(stream, [=, on = comm->comm] {
    const void* from = send == receive ? MPI_IN_PLACE : send;
    if (MPI_Allreduce(from, receive, static_cast<int>(count), kind, MPI_SUM, on) != MPI_SUCCESS)
      throw std::runtime_error("MPI_Allreduce failed");
  });
  // NCCL makes progress by itself, a lazy stream does not: a rank that waits for another in MPI
  // would wait for ever if that one waited for this sum.
  const bool done = code == cudaSuccess && cudaStreamSynchronize(stream) == cudaSuccess;
  return done ? ncclSuccess : ncclSystemError;
}
