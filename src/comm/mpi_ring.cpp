#include "comm/mpi_ring.hpp"

#include <fmt/format.h>

#include <array>

#include "comm/communicator.hpp"
#include "comm/mpi_check.hpp"

namespace fedselect {

namespace {

using Name = std::array<char, MPI_MAX_PROCESSOR_NAME>;

class MpiRing final : public Ring {
 public:
  explicit MpiRing(MPI_Comm comm) {
    FEDSELECT_CHECK_MPI(MPI_Comm_dup(comm, &comm_));
    FEDSELECT_CHECK_MPI(MPI_Comm_set_errhandler(comm_, MPI_ERRORS_RETURN));
    FEDSELECT_CHECK_MPI(MPI_Comm_rank(comm_, &rank_));
    FEDSELECT_CHECK_MPI(MPI_Comm_size(comm_, &size_));
    before_ = (rank_ + size_ - 1) % size_;
    next_ = (rank_ + 1) % size_;
    Name mine{};
    int length = 0;
    FEDSELECT_CHECK_MPI(MPI_Get_processor_name(mine.data(), &length));
    FEDSELECT_CHECK_MPI(MPI_Sendrecv(mine.data(), MPI_MAX_PROCESSOR_NAME, MPI_CHAR, next_, 0,
                                     before_name_.data(), MPI_MAX_PROCESSOR_NAME, MPI_CHAR, before_,
                                     0, comm_, MPI_STATUS_IGNORE));
    expect_sign();
  }
  /// Both sides have said that they leave: nothing is on its way any more but our last sign.
  ~MpiRing() override {
    if (awaits_sign_) {
      MPI_Cancel(&receiving_);
      MPI_Request_free(&receiving_);
    }
    MPI_Wait(&sending_, MPI_STATUS_IGNORE);
    MPI_Comm_free(&comm_);
  }

  bool send(Sign sign) override {
    int is_sent = 0;
    FEDSELECT_CHECK_MPI(MPI_Test(&sending_, &is_sent, MPI_STATUS_IGNORE));
    if (is_sent == 0) return false;
    sent_ = sign.leaves ? kLeaves : sign.waiting;
    FEDSELECT_CHECK_MPI(MPI_Isend(&sent_, 1, MPI_INT, next_, 0, comm_, &sending_));
    return true;
  }

  std::optional<Sign> receive() override {
    if (!awaits_sign_) return std::nullopt;
    int is_here = 0;
    FEDSELECT_CHECK_MPI(MPI_Test(&receiving_, &is_here, MPI_STATUS_IGNORE));
    if (is_here == 0) return std::nullopt;
    awaits_sign_ = received_ != kLeaves;
    if (!awaits_sign_) return Sign{.leaves = true};
    const Sign sign{.waiting = received_};
    expect_sign();
    return sign;
  }

  std::string before() const override {
    return fmt::format("rank {} on node {}", before_, before_name_.data());
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

 private:
  static constexpr int kLeaves = -1;  // any other message: the ranks that wait

  void expect_sign() {
    FEDSELECT_CHECK_MPI(MPI_Irecv(&received_, 1, MPI_INT, before_, 0, comm_, &receiving_));
  }

  MPI_Comm comm_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
  int before_ = 0;
  int next_ = 0;
  Name before_name_{};
  int sent_ = 0;
  int received_ = 0;
  bool awaits_sign_ = true;
  MPI_Request sending_ = MPI_REQUEST_NULL;
  MPI_Request receiving_ = MPI_REQUEST_NULL;
};

}  // namespace

std::unique_ptr<Ring> make_mpi_ring(MPI_Comm comm) {
  int size = 0;
  FEDSELECT_CHECK_MPI(MPI_Comm_size(comm, &size));
  if (size == 1 || !mpi_has_threads()) return nullptr;
  return std::make_unique<MpiRing>(comm);
}

}  // namespace fedselect
